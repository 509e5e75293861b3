"""Where a console's pictures come from, and what it may ask for: protocols, so that the page never knows which."""

from dataclasses import dataclass
from typing import Protocol

from us_nav_agent.console.model import Marks, NumberedFrame, Snapshot


@dataclass(frozen=True)
class Answer:
    """What became of an order: whether it was carried out, and in words for the operator."""

    done: bool
    words: str


class Feed(Protocol):
    """Something to look at. Every method may be called from any thread and returns at once; a recording's takes some
    hundredths of a second after it has been moved.
    """

    title: str
    """What is looked at, in words."""

    def snapshot(self, marks: Marks) -> tuple[Snapshot, Marks]:
        """What is to be seen now, of the curves what ``marks`` has not; and the marks after it."""
        ...

    def frame(self) -> NumberedFrame | None:
        """The newest frame."""
        ...

    def close(self) -> None:
        """Give back what the feed holds."""
        ...


class Orders(Protocol):
    """What the operator may order of a live graph. Each waits for its answer, with a deadline, and never raises."""

    targets: tuple[str, ...]
    """Views that a run may be sent to."""

    def start(self, target: str) -> Answer:
        """Send the probe to a view."""
        ...

    def cancel(self) -> Answer:
        """End the run that is under way, whoever began it."""
        ...

    def stop(self) -> Answer:
        """Call the emergency stop; works while everything else hangs."""
        ...


@dataclass(frozen=True)
class Playhead:
    """Where in a recording: ``position`` of ``duration`` [s], whether it runs, and how often it has been moved."""

    position: float
    duration: float
    playing: bool
    jumps: int


class Player(Protocol):
    """A feed that is a recording. Whoever looks sees the same place of it."""

    def playhead(self) -> Playhead:
        """Where it stands."""
        ...

    def play(self) -> None:
        """Go on, at the end from the beginning."""
        ...

    def pause(self) -> None:
        """Stand still."""
        ...

    def seek(self, position: float) -> None:
        """Go to ``position`` [s], held within the recording."""
        ...
