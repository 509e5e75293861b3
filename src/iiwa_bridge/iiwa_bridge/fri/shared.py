"""Memory that two processes share without waiting for each other: a snapshot one way, a stop flag the other."""

import mmap
import os
import struct
import time
import zlib

from iiwa_bridge.fri.errors import FriProcessError

_SIZE = 1 << 18
_STOP = 0
_HEAD = struct.Struct("@QII")
_HEAD_AT = 8
_CONTENT_AT = 24
_TRIES = 100
_PAUSE = 1e-4


class SharedPage:
    """A snapshot behind a sequence lock: the writer never waits, the reader looks again where it was overtaken.

    The sequence number is odd while a snapshot is being written. Python has no memory barriers, so a checksum says
    whether what was read is whole.

    Args:
        file: of :meth:`create`, in this process or handed to a child.
    """

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, _SIZE)
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
        self._sequence += 1
        _HEAD.pack_into(self._memory, _HEAD_AT, self._sequence, 0, 0)
        self._memory[_CONTENT_AT : _CONTENT_AT + len(content)] = content
        self._sequence += 1
        _HEAD.pack_into(self._memory, _HEAD_AT, self._sequence, len(content), zlib.crc32(content))

    def read(self) -> bytes | None:
        """The snapshot; None before the first, and the one read last where the writer ended in the midst of writing."""
        for _ in range(_TRIES):
            before = _HEAD.unpack_from(self._memory, _HEAD_AT)
            sequence, length, checksum = before
            content = self._memory[_CONTENT_AT : _CONTENT_AT + length]
            if sequence == 0:
                return None
            if (
                sequence % 2 == 0
                and _HEAD.unpack_from(self._memory, _HEAD_AT) == before
                and zlib.crc32(content) == checksum
            ):
                self._last = content
                return content
            time.sleep(_PAUSE)
        return self._last

    def stop(self) -> None:
        """Set the stop flag, for good; waits for nothing."""
        self._memory[_STOP] = 1

    @property
    def stopped(self) -> bool:
        """Whether the stop flag is set."""
        return self._memory[_STOP] == 1

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.file)
