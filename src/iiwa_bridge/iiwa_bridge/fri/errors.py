"""Errors of the Fast Robot Interface, on the wire and around it."""

from iiwa_bridge.errors import IiwaBridgeError


class FriMessageError(IiwaBridgeError):
    """A datagram is not a message of FRI 1.15, or cannot be made into one."""


class NotFiniteError(FriMessageError):
    """A message that is sound otherwise holds NaN or infinity."""


class FriSessionError(IiwaBridgeError):
    """An answer does not fit the session, or a session is set up with what cannot be."""


class FriProcessError(IiwaBridgeError):
    """The client's process does not start, has ended, or does not take what it is sent."""
