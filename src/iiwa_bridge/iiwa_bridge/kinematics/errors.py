"""Errors of the kinematics."""

from iiwa_bridge.errors import IiwaBridgeError


class KinematicsError(IiwaBridgeError):
    """A pose that the arm cannot take, or a motion that is none."""
