"""Writing of bags: serialized messages into a bag, MCAP or sqlite3, that ros2 bag, Foxglove and rosbags read."""

import errno
import json
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer

from us_nav_agent.bags.definitions import full_definition, make_typestore
from us_nav_agent.bags.provenance import ABOUT_FILE
from us_nav_agent.errors import BagError

STORAGES = ("mcap", "sqlite3")
_CHECK_BYTES = 16 * 2**20
_SAFE = 1.0
"""A recorder that is killed loses no more than what came in so long [s]."""


class BagWriter:
    """Writes one bag; use as a context manager, the bag is whole when it is left.

    Args:
        path: folder of the bag; it must not be there yet.
        min_free: bytes that must be free on the disk, when the bag is opened and while it is written.
        storage: one of STORAGES.
    """

    def __init__(self, path: Path, min_free: int = 0, storage: str = "mcap") -> None:
        if storage not in STORAGES:
            raise BagError(f'storage is "{storage}"; expected one of {", ".join(STORAGES)}')
        self.path = path
        self.messages = 0
        self._plugin = StoragePlugin[storage.upper()]
        self._min_free, self._since_check, self._saved = min_free, 0, 0.0
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
            self._writer = Writer(self.path, version=9, storage_plugin=self._plugin)
            self._writer.open()
            self._share()
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
        except (OSError, sqlite3.Error) as error:
            raise _refused(self.path, error) from error

    def describe(self, about: Mapping[str, str]) -> None:
        """Say what the recording is of (``provenance``): at once in a file beside, at the end in the bag's metadata.

        Raises:
            BagError: the file cannot be written.
        """
        assert self._writer is not None
        for key, value in about.items():
            self._writer.set_custom_data(key, value)
        try:
            (self.path / ABOUT_FILE).write_text(json.dumps(self._writer.custom_data, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise _refused(self.path, error) from error

    def add_topic(self, topic: str, message_type: str, qos: Sequence[Qos] = ()) -> None:
        """Add a topic, of a type such as ``sensor_msgs/msg/Image``."""
        assert self._writer is not None
        self._connections[topic] = self._writer.add_connection(
            topic,
            message_type,
            msgdef=full_definition(self._store, message_type),
            rihs01=self._store.hash_rihs01(message_type),
            offered_qos_profiles=qos,
        )

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """Write a serialized (CDR) message that came at ``time_ns`` [ns].

        Raises:
            BagError: the disk is full, or the file cannot be written.
        """
        assert self._writer is not None
        try:
            self._since_check += len(data)
            if self._since_check > _CHECK_BYTES:
                self._check_space()
                self._since_check = 0
            self._writer.write(self._connections[topic], time_ns, data)
            now = time.monotonic()
            if now - self._saved > _SAFE:
                self._saved = now
                self._save()
        except (OSError, sqlite3.Error) as error:
            raise _refused(self.path, error) from error
        self.messages += 1

    def _share(self) -> None:
        """Let any thread write, one at a time: the callbacks of a node come from several."""
        assert self._writer is not None
        storage = self._writer.storage
        if isinstance(storage, Sqlite3Writer):
            storage.conn.close()
            storage.conn = sqlite3.connect(storage.path, check_same_thread=False)
            storage.cursor = storage.conn.cursor()

    def _save(self) -> None:
        """Hand what is still in memory to the system: rosbags keeps a chunk, or a whole sqlite3 transaction, there."""
        assert self._writer is not None
        storage = self._writer.storage
        if isinstance(storage, McapWriter):
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()
        elif isinstance(storage, Sqlite3Writer):
            storage.conn.commit()

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < self._min_free:
            raise BagError(
                f"{self.path}: {free / 1e6:.0f} MB free on its disk, {self._min_free / 1e6:.0f} MB are to stay free; "
                "free some or record elsewhere; what was recorded is kept"
            )


def _refused(path: Path, error: Exception) -> BagError:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "disk is full" in str(error):  # sqlite3's words
        return BagError(f"{path}: the disk is full; free some or record elsewhere; what was recorded is kept")
    return BagError(f"{path}: cannot be written ({error})")
