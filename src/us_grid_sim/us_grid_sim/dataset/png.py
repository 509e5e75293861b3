"""The PNG of a frame (W3C PNG, third edition): made, and what is wrong with one: header, chunks, pixels (sec. 5)."""

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH

HEADER_BYTES = 33
"""Signature and first chunk: all that ``header_fault`` looks at."""
_INTERLACE = 28
_FILTERED_BYTES = FRAME_HEIGHT * (FRAME_WIDTH + 1)  # a row has the number of its filter before its pixels
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "grey", 2: "colour", 3: "palette", 4: "grey with transparency", 6: "colour with transparency"}

_SUB = 1
"""The filter that stores differences from the pixel to the left (sec. 9)."""
_LEVEL = 1


def encode_png(frame: npt.NDArray[np.uint8]) -> bytes:
    """The PNG file of a grey image (height, width).

    Put together here so that ISA-L packs it: speckle takes a quarter of the time of those of zlib's settings that make
    it as small (docs/simulation.md, Speed).
    """
    height, width = frame.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _SUB
    rows[:, 1] = frame[:, 0]
    np.subtract(frame[:, 1:], frame[:, :-1], out=rows[:, 2:])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows, _LEVEL)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def header_fault(data: bytes) -> str | None:
    """What is wrong with the header of a frame, or None."""
    if not data:
        return "the file is empty"
    if not data.startswith(_SIGNATURE):
        return "it is no PNG"
    if len(data) < HEADER_BYTES or data[12:16] != b"IHDR":
        return "it is truncated in its header"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
        return f"it has {width}x{height} pixels"
    if colour != 0:
        return f"its pixels are {_COLOURS.get(colour, f'of unknown type {colour}')}"
    if depth != 8:
        return f"its pixels have {depth} bit"
    return None


def _unwrap(data: bytes) -> tuple[bytes, str | None]:
    """The packed pixels in the chunks after the signature, and what is wrong with these, or None."""
    packed = []
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        end = at + 12 + length
        if end > len(data):
            break
        kind = data[at + 4 : at + 8]
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return b"", f"its bytes {at} to {end} are corrupt (checksum)"
        if kind == b"IDAT":
            packed.append(data[at + 8 : end - 4])
        if kind == b"IEND":
            return b"".join(packed), None
        at = end
    return b"", f"it is truncated after {len(data)} bytes"


def _may_be_flat(packed: bytes) -> bool:
    """Whether the pixels may all be equal, by their filtered rows (sec. 9), which cost half of what decoding does.

    Each filter makes the bytes of a row equal, from the third pixel on, where the image is flat.

    Raises:
        zlib.error: they cannot be unpacked, or are not as many as a frame has.
    """
    unpack = zlib.decompressobj()
    filtered = unpack.decompress(packed, _FILTERED_BYTES + 1)
    if len(filtered) != _FILTERED_BYTES or not unpack.eof:
        raise zlib.error(f"{len(filtered)} bytes")
    rows = np.frombuffer(filtered, np.uint8).reshape(FRAME_HEIGHT, -1)[:, 3:]
    return bool((rows.min(axis=1) == rows.max(axis=1)).all())


def frame_fault(data: bytes) -> str | None:
    """What is wrong with a frame's PNG, its pixels among it, or None."""
    fault = header_fault(data)
    if fault:
        return fault
    packed, fault = _unwrap(data)
    if fault:
        return fault
    interlaced = data[_INTERLACE] != 0
    try:
        if not interlaced and not _may_be_flat(packed):
            return None
    except zlib.error:
        return "its pixels cannot be unpacked"
    return _pixel_fault(data)


def _pixel_fault(data: bytes) -> str | None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return "its pixels cannot be unpacked"
    low, high = int(pixels.min()), int(pixels.max())
    if high == 0:
        return "it is all black"
    if low == high:
        return f"every pixel is {low}"
    return None
