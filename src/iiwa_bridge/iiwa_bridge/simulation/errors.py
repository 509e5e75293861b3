"""Errors of the simulated cell."""

from iiwa_bridge.errors import IiwaBridgeError


class SimulationError(IiwaBridgeError):
    """A simulated cell is set up, or driven, with what it does not know."""
