"""A frame that is written as PNG is read back as it was, by libraries that know nothing of ours."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from us_grid_sim.dataset.png import encode_png


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_a_frame_is_read_back_as_it_was(frame: np.ndarray) -> None:
    encoded = encode_png(frame)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED), frame)
    picture = Image.open(io.BytesIO(encoded))
    picture.verify()
    assert (picture.format, picture.mode) == ("PNG", "L")


def test_a_damaged_file_is_noticed() -> None:
    encoded = bytearray(encode_png(np.arange(600 * 800, dtype=np.uint32).astype(np.uint8).reshape(600, 800)))
    encoded[len(encoded) // 2] ^= 1
    with pytest.raises((SyntaxError, OSError)):
        Image.open(io.BytesIO(bytes(encoded))).verify()


def test_a_frame_with_empty_borders_is_packed() -> None:
    frame = np.zeros((600, 800), np.uint8)
    frame[:, 186:614] = np.random.default_rng(0).integers(40, 60, (600, 428))
    assert len(encode_png(frame)) < 0.4 * frame.size
