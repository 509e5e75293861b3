"""From the frame to the small picture."""

import numpy as np
import pytest
from us_grid_sim.errors import FrameError
from us_grid_sim.preprocess import Preprocess, check_frame


def test_an_area_average_keeps_the_mean() -> None:
    frame = np.zeros((600, 800), np.uint8)
    frame[::2] = 200
    small = Preprocess(height=60, width=80)(frame)
    assert small.shape == (60, 80)
    assert small.dtype == np.uint8
    assert (small == 100).all()


def test_the_region_is_x_y_width_height() -> None:
    frame = np.zeros((600, 800), np.uint8)
    frame[100:160, 200:280] = 255
    assert (Preprocess(6, 8, roi=(200, 100, 80, 60))(frame) == 255).all()
    assert (Preprocess(6, 8, roi=(280, 100, 80, 60))(frame) == 0).all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((480, 640), np.uint8), "frame is 640x480 uint8; expected 800x600 uint8"),
        (np.zeros((600, 800), np.float32), "frame is 800x600 float32; expected 800x600 uint8"),
        (np.zeros((600, 800, 3), np.uint8), "frame is 3x800x600 uint8; expected 800x600 uint8"),
    ],
)
def test_another_frame_is_refused_with_its_size(frame: np.ndarray, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        check_frame(frame)
