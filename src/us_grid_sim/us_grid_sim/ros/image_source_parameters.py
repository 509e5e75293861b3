"""The parameters of the image source node, declared with type, range and description."""

from dataclasses import fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from us_grid_sim.sources.config import SOURCES, ImageSourceConfig

_WORDS = {
    "source": f"one of {', '.join(SOURCES)}",
    "file": "metaimage, dicom, bag: the sequence; video: a video file, or empty for the device",
    "device": "video: path or index of the V4L2 device",
    "host": "openigtlink: address of the server",
    "port": "openigtlink: TCP port of the server",
    "igtl_device": "openigtlink: device name of the images; empty: any",
    "roi": 'corner of the 800 x 600 region: "x,y" or "middle"; empty: images are 800 x 600 as they come',
    "mirror_columns": "whether left and right change places, after the region was cut out",
    "mirror_rows": "whether top and bottom change places, after the region was cut out",
    "mm_per_pixel_x": "lateral size of a pixel [mm]; 0, both: as the source says",
    "mm_per_pixel_y": "axial size of a pixel [mm]; 0, both: as the source says",
    "calibration": "metaimage: pixels to probe marker [mm], 16 numbers row by row, by blanks; empty: none",
    "seed": "phantom: the cohort",
    "subject": "phantom: the subject's index within the cohort",
    "rate": "frames a second; 0: the recorded pace, or the device's own",
    "delay": "video device, openigtlink: from a frame's capture to its arrival [s] (usnav calibrate temporal)",
    "stall_after": "video device, openigtlink: without a usable frame for so long it is opened again [s]",
    "wait_for_subscribers": "a sequence begins when so many subscribe to /us/image_raw",
    "wait_timeout": "longest wait for these subscribers [s]",
}
_WHOLE = {"port": (1, 65535), "seed": (0, 2**31 - 1), "subject": (0, 10**6), "wait_for_subscribers": (0, 100)}
_REAL = {
    "mm_per_pixel_x": (0.0, 10.0),
    "mm_per_pixel_y": (0.0, 10.0),
    "rate": (0.0, 120.0),
    "delay": (0.0, 2.0),
    "stall_after": (0.2, 60.0),
    "wait_timeout": (0.0, 600.0),
}


def declare(node: Node) -> ImageSourceConfig:
    """Declare the parameters on ``node``, and read them.

    Raises:
        SourceError: there is no such source.
    """
    values: dict[str, Any] = {}
    for field in fields(ImageSourceConfig):
        values[field.name] = node.declare_parameter(field.name, field.default, describe(field.name)).value
    return ImageSourceConfig(**values)


def describe(name: str) -> ParameterDescriptor:
    """What is told of a parameter: its description, and the range of a number."""
    descriptor = ParameterDescriptor(description=_WORDS[name], read_only=True)
    if name in _WHOLE:
        low, high = _WHOLE[name]
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    if name in _REAL:
        least, most = _REAL[name]
        descriptor.floating_point_range = [FloatingPointRange(from_value=least, to_value=most, step=0.0)]
    return descriptor
