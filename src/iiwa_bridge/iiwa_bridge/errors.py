"""Errors of iiwa_bridge. Every message says what was wrong, where, and what would be right."""


class IiwaBridgeError(Exception):
    """Root of every error that this package raises on purpose."""


class CommandError(IiwaBridgeError):
    """A command is not one that may be sent (not finite, or beyond a limit)."""


class PlantError(IiwaBridgeError):
    """A plant is unknown, cannot be started or has failed."""
