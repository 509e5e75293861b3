"""What is made of the frames of a bag, by a thread of their own while a policy decides on those before."""

from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from threading import Event, Thread
from types import TracebackType
from typing import Generic, TypeVar

from us_grid_sim.preprocess import Frame8

from us_nav_agent.evaluation.bags.recording import Recording

Made = TypeVar("Made")


class FramesAhead(Generic[Made]):
    """What is made of frames by their stamps; who asks before one is read waits for it.

    A context, at whose end the bag has been read and its notes are complete. Of frames with one stamp the last counts.

    Args:
        recording: of the bag.
        stamps: of the frames [ns].
        make: what to make of a stamp and its frame; called by the thread, in the order of the bag.
    """

    def __init__(self, recording: Recording, stamps: Collection[int], make: Callable[[int, Frame8], Made]) -> None:
        self._recording, self._make = recording, make
        self._made: dict[int, Future[Made | None]] = {stamp: Future() for stamp in stamps}
        self._given_up = Event()
        self._thread = Thread(target=self._read, name="frames ahead")

    def __enter__(self) -> "FramesAhead[Made]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._given_up.set()
        self._thread.join()

    def at(self, stamp: int) -> Made | None:
        """What was made of the frame of ``stamp`` [ns]; None where that is not in the bag, or cannot be taken.

        Raises:
            Exception: what stopped the thread.
        """
        return self._made[stamp].result()

    def _read(self) -> None:
        """Read the bag; whoever waits is told how it ended."""
        try:
            last = self._read_frames()
        except Exception as error:
            for future in self._made.values():
                if not future.done():
                    future.set_exception(error)
        else:
            for stamp, future in self._made.items():
                if not future.done():
                    future.set_result(last.get(stamp))

    def _read_frames(self) -> dict[int, Made]:
        """Hand out each frame as it comes; of stamps that come more than once return the last one."""
        times = Counter(self._recording.frame_stamps.tolist())
        last: dict[int, Made] = {}
        for stamp, frame in self._recording.frames(self._made):
            if self._given_up.is_set():
                break
            made = self._make(stamp, frame)
            if times[stamp] > 1:
                last[stamp] = made
            else:
                self._made[stamp].set_result(made)
        return last
