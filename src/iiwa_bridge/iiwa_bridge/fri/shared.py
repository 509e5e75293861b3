"""Memory that two processes share without waiting for each other: a snapshot one way, a stop flag the other."""

import mmap
import os
import time
import zlib

from iiwa_bridge.fri.errors import FriProcessError

_SIZE = 1 << 18
_STOP = 0
_SEQUENCE_AT = 8
_EXTENT_AT = 16
_CONTENT_AT = 24
_TRIES = 100
_PAUSE = 1e-4


class SharedPage:
    """A snapshot behind a sequence lock: the writer never waits, the reader looks again where it was overtaken.

    The sequence number is odd while a snapshot is being written. Python has no memory barriers, so a checksum says
    whether what was read is whole. Numbers are stored through a typed view, in one piece: ``struct.pack_into`` clears
    their bytes first, and a reader on another core sees a page that was never written.

    Args:
        file: of :meth:`create`, in this process or handed to a child.
    """

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, _SIZE)
        self._view = memoryview(self._memory)
        self._number = self._view[_SEQUENCE_AT:_EXTENT_AT].cast("Q")
        self._extent = self._view[_EXTENT_AT:_CONTENT_AT].cast("I")
        self._sequence = 0
        self._last: bytes | None = None

    @classmethod
    def create(cls) -> "SharedPage":
        """A page without a name: it is gone with the last process that holds it, however that ends."""
        file = os.memfd_create("fri")
        os.ftruncate(file, _SIZE)
        return cls(file)

    def write(self, content: bytes) -> None:
        """Replace the snapshot; one process only may write.

        Raises:
            FriProcessError: it is too long.
        """
        if len(content) > _SIZE - _CONTENT_AT:
            raise FriProcessError(f"status of {len(content)} bytes; at most {_SIZE - _CONTENT_AT}")
        self._sequence += 2
        self._number[0] = self._sequence - 1
        self._view[_CONTENT_AT : _CONTENT_AT + len(content)] = content
        self._extent[0], self._extent[1] = len(content), zlib.crc32(content)
        self._number[0] = self._sequence

    def read(self) -> bytes | None:
        """The snapshot; None before the first, and the one read last where the writer ended in the midst of writing."""
        for _ in range(_TRIES):
            sequence = self._number[0]
            if sequence == 0:
                return None
            length, checksum = self._extent
            content = bytes(self._view[_CONTENT_AT : _CONTENT_AT + length])
            if sequence % 2 == 0 and self._number[0] == sequence and zlib.crc32(content) == checksum:
                self._last = content
                return content
            time.sleep(_PAUSE)
        return self._last

    def stop(self) -> None:
        """Set the stop flag, for good; waits for nothing."""
        self._view[_STOP] = 1

    @property
    def stopped(self) -> bool:
        """Whether the stop flag is set."""
        return self._view[_STOP] == 1

    def close(self) -> None:
        """Give the memory back."""
        for view in (self._number, self._extent, self._view):
            view.release()
        self._memory.close()
        os.close(self.file)
