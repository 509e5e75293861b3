"""Errors of the description."""

from iiwa_bridge.errors import IiwaBridgeError


class DescriptionError(IiwaBridgeError):
    """A parameter file is missing or malformed, or a parameter is not one that a probe or a cell can have."""
