"""The views that a navigation can be sent to; ``goal`` has the rule of each."""

from enum import Enum


class Target(str, Enum):
    """What a goal bin shows; left and right are the patient's. The value is the name in files and commands."""

    SACRUM = "sacrum"
    L5 = "l5"
    L4 = "l4"
    L3 = "l3"
    SACROILIAC_LEFT = "sacroiliac_left"
    SACROILIAC_RIGHT = "sacroiliac_right"
