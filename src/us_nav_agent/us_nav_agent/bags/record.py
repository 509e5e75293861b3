"""Writing of bags: serialized messages into an MCAP bag that ros2 bag and rosbags read."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from us_nav_agent.bags.definitions import make_typestore
from us_nav_agent.errors import BagError


class BagWriter:
    """Writes one bag; use as a context manager, the bag is whole when it is left.

    Args:
        path: folder of the bag; it must not be there yet.
        min_free: bytes that must be free on the disk, when the bag is opened and while it is written.
    """

    def __init__(self, path: Path, min_free: int = 0) -> None:
        self.path = path
        self.messages = 0
        self._min_free, self._since_check = min_free, 0
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> "BagWriter":
        """Open the bag.

        Raises:
            BagError: the folder is there already or cannot be made, or the disk is too full.
        """
        if self.path.exists():
            raise BagError(f"{self.path}: already there; name another folder for the bag")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._check_space()
            self._store = make_typestore()
            self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (OSError, WriterError) as error:
            raise _refused(self.path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bag: index and metadata are written.

        Raises:
            BagError: they cannot be.
        """
        self.close()

    def close(self) -> None:
        """Write index and metadata; once.

        Raises:
            BagError: they cannot be written.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except OSError as error:
            raise _refused(self.path, error) from error

    def add_topic(self, topic: str, message_type: str, qos: Sequence[Qos] = ()) -> None:
        """Add a topic, of a type such as ``sensor_msgs/msg/Image``."""
        assert self._writer is not None
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=self._store, offered_qos_profiles=qos
        )

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """Write a serialized (CDR) message that came at ``time_ns`` [ns].

        Raises:
            BagError: the disk is full, or the file cannot be written.
        """
        assert self._writer is not None
        try:
            self._since_check += len(data)
            if self._since_check > 16 * 2**20:
                self._check_space()
                self._since_check = 0
            self._writer.write(self._connections[topic], time_ns, data)
        except OSError as error:
            raise _refused(self.path, error) from error
        self.messages += 1

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < self._min_free:
            raise BagError(
                f"{self.path}: {free / 1e6:.0f} MB free on its disk, {self._min_free / 1e6:.0f} MB are to stay free; "
                "free some or record elsewhere; what was recorded is kept"
            )


def _refused(path: Path, error: Exception) -> BagError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return BagError(f"{path}: the disk is full; free some or record elsewhere; what was recorded is kept")
    return BagError(f"{path}: cannot be written ({error})")
