"""How images become frames: what is cut out, turned, made grey, and refused; nothing is ever resized."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.sources.base import SourceInfo
from us_grid_sim.sources.picture import Picture, parse_corner, pixel_size

SPARE = st.integers(0, 30)


def image(width: int, height: int) -> np.ndarray:
    """Each pixel of a row, and of a column, another one than its neighbours."""
    rows, columns = np.mgrid[:height, :width]
    return ((7 * rows + columns) % 251).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.data(), SPARE, SPARE, st.booleans(), st.booleans())
def test_the_frame_is_the_region_mirrored_and_its_matrix_says_where_each_pixel_was(
    data: st.DataObject, wider: int, higher: int, left_right: bool, up_down: bool
) -> None:
    whole = image(800 + wider, 600 + higher)
    corner = (data.draw(st.integers(0, wider)), data.draw(st.integers(0, higher)))
    picture = Picture(corner, left_right, up_down)
    frame = picture(whole)
    assert (frame.shape, frame.dtype) == ((600, 800), np.uint8)
    matrix = picture.to_image(800 + wider, 600 + higher)
    for column, row in ((0, 0), (799, 0), (0, 599), (123, 456)):
        x, y, _, _ = (matrix @ (column, row, 0, 1)).astype(int)
        assert frame[row, column] == whole[y, x]


def test_the_frame_keeps_its_pixels_when_the_device_fills_its_buffer_again() -> None:
    buffer = image(800, 600)
    frame = Picture()(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(frame, image(800, 600))


@pytest.mark.parametrize(("colours", "red"), [("rgb", 0), ("bgr", 2)])
def test_colours_become_luma(colours: str, red: int) -> None:
    coloured = np.zeros((600, 800, 3), np.uint8)
    coloured[..., red] = 200
    frame = Picture()(coloured, colours)
    assert (frame == round(0.299 * 200)).all(), "ITU-R BT.601"


def test_a_grey_picture_shown_in_colour_stays_what_it_is() -> None:
    grey = image(820, 616)
    coloured = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(Picture("middle")(coloured), grey[8:608, 10:810])


@pytest.mark.parametrize(
    ("picture", "size", "message"),
    [
        (Picture(), (640, 480), "image is 640x480; expected 800x600"),
        (Picture(), (1920, 1080), 'image is 1920x1080; expected 800x600: choose the region with roi, as "x,y" or "mid'),
        (Picture("middle"), (799, 600), "image is 799x600; expected 800x600 or more"),
        (Picture((0, 0)), (800, 599), "image is 800x599; expected 800x600 or more"),
        (Picture((21, 0)), (820, 616), "at 21,0 is not within it; expected a corner from 0,0 to 20,16"),
        (Picture((0, -1)), (820, 616), "at 0,-1 is not within it"),
    ],
)
def test_another_size_is_refused_with_the_size_found_and_wanted(
    picture: Picture, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(FrameError) as raised:
        picture(image(*size))
    assert message in str(raised.value)


@pytest.mark.parametrize("array", [np.zeros((600, 800), np.uint16), np.zeros((600, 800, 4), np.uint8), np.zeros(800)])
def test_what_is_no_picture_of_eight_bits_is_refused(array: np.ndarray) -> None:
    with pytest.raises(FrameError, match="expected rows x columns, or rows x columns x 3, of uint8"):
        Picture()(array)


def test_a_given_pixel_size_replaces_the_sources_own_and_its_depth() -> None:
    own = SourceInfo(1.0, 2.0, 1.2, 0.05, "video", "x")
    assert Picture().described(own) is own
    told = Picture(mm_per_pixel=(0.1, 0.2)).described(own)
    assert (told.mm_per_pixel_x, told.mm_per_pixel_y, told.depth) == pytest.approx((0.1, 0.2, 0.12))
    assert (told.probe_width, told.source) == (0.05, "video")


def test_the_corner_is_written_as_people_write_it() -> None:
    assert [parse_corner(text) for text in ("", "middle", "10,12", "10, 12")] == [None, "middle", (10, 12), (10, 12)]
    for text in ("10", "10,12,800,600", "a,b", "centre"):
        with pytest.raises(SourceError, match=f'parameter roi is "{text}"; expected "x,y"'):
            parse_corner(text)


def test_a_pixel_has_two_sizes_or_none() -> None:
    assert pixel_size(0.0, 0.0) is None
    assert pixel_size(0.1, 0.2) == (0.1, 0.2)
    for x, y in ((0.1, 0.0), (0.0, 0.1), (-1.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(SourceError, match="expected both above 0, or both 0"):
            pixel_size(x, y)
