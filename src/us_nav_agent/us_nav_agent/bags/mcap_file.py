"""MCAP files from front to back, chunk by chunk (format: mcap.dev/spec, version 0).

Without the index: where a recorder was killed there is none, and where the clock was set back its order is not the one
in which messages came. A library reads up to the first damage at best; here what lies beyond is looked for too. Chunks
that are not compressed are not copied: messages are views of the mapped file.
"""

import mmap
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct, error, unpack_from

from lz4.frame import decompress as decompress_lz4

from us_nav_agent.bags.raw import Bytes, Findings, RawMessage, Topic
from us_nav_agent.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
_HEAD, _MESSAGE = Struct("<BQ"), Struct("<HIQQ")
_FOOTER, _SCHEMA, _CHANNEL, _DATA, _CHUNK, _METADATA = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C


class _CorruptError(Exception):
    """A chunk or a record cannot be read; says why."""


def scan_mcap(path: Path, findings: Findings) -> Iterator[RawMessage]:
    """The messages of an MCAP file, see ``raw.Scan``.

    Raises:
        BagError: it is no MCAP file at all.
    """
    if path.stat().st_size == 0:
        raise BagError(f"{path}: is empty, 0 bytes; the recorder wrote nothing")
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if data[:8] != MAGIC:
        raise BagError(f"{path}: no MCAP file, its first bytes are {bytes(data[:8])!r}; expected {MAGIC!r}")
    yield from _File(path.name, data, findings).messages()


class _File:
    """One pass over a file."""

    def __init__(self, name: str, data: memoryview, findings: Findings) -> None:
        self._name, self._data, self._findings = name, data, findings
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Topic] = {}

    def messages(self) -> Iterator[RawMessage]:
        """All messages up to the end or to the cut."""
        place, data = len(MAGIC), self._data
        while place + _HEAD.size <= len(data):
            opcode, size = _HEAD.unpack_from(data, place)
            first = place + _HEAD.size
            body = data[first : first + size]
            try:
                if opcode == _CHUNK:
                    yield from self._chunk(body, whole=len(body) == size)
                elif len(body) == size:
                    yield from self._record(opcode, body)
            except (_CorruptError, error, UnicodeDecodeError) as problem:
                self._findings.say(f"{self._name}: left out {size} bytes at byte {place}: {problem}")
            if len(body) < size:
                break
            if opcode == _FOOTER:
                if unpack_from("<Q", body)[0] == 0:
                    self._findings.say(f"{self._name}: has no index; read from front to back, nothing is missing")
                return
            place = first + size
        self._findings.say(
            f"{self._name}: cut off after {len(data)} bytes, index and end are missing; read up to there"
        )

    def _chunk(self, body: memoryview, whole: bool) -> Iterator[RawMessage]:
        """The messages of a chunk; of one that is cut off those before the cut, where it is not compressed."""
        size, checksum = unpack_from("<QI", body, 16)
        compression, place = _text(body, 28)
        held = body[place + 8 :]
        if whole or not compression:
            records = _decompressed(held, compression)
            if whole and len(records) != size:
                raise _CorruptError(f"a chunk of {size} bytes has {len(records)}")
            if whole and checksum and zlib.crc32(records) != checksum:
                raise _CorruptError("the checksum of a chunk is wrong")
            yield from self._records(memoryview(records))

    def _records(self, data: memoryview) -> Iterator[RawMessage]:
        """The messages of the records that lie whole in ``data``."""
        place, size = 0, len(data)
        while place + _HEAD.size <= size:
            opcode, length = _HEAD.unpack_from(data, place)
            first, place = place + _HEAD.size, place + _HEAD.size + length
            if place > size:
                return
            yield from self._record(opcode, data[first:place])

    def _record(self, opcode: int, body: memoryview) -> Iterator[RawMessage]:
        """The message of a record, where it is one; schemas, channels and metadata are kept."""
        if opcode == _DATA:
            number, _, time_ns, _ = _MESSAGE.unpack_from(body)
            topic = self._channels.get(number)
            if topic is None:
                raise _CorruptError(f"a message of channel {number}, which no channel record describes")
            yield RawMessage(topic, time_ns, body[_MESSAGE.size :])
        elif opcode == _SCHEMA:
            name, place = _text(body, 2)
            form, place = _text(body, place)
            self._schemas[unpack_from("<H", body)[0]] = (name, form, _text(body, place)[0])
        elif opcode == _CHANNEL:
            self._keep_channel(body)
        elif opcode == _METADATA and _text(body, 0)[0] == "rosbag2":
            self._findings.metadata = _pairs(body, _text(body, 0)[1]).get("serialized_metadata", "")

    def _keep_channel(self, body: memoryview) -> None:
        number, schema = unpack_from("<HH", body)
        name, place = _text(body, 4)
        encoding, place = _text(body, place)
        kind, form, definition = self._schemas.get(schema, ("", "", ""))
        qos = _pairs(body, place).get("offered_qos_profiles", "")
        self._channels[number] = topic = Topic(name, kind, encoding, definition, form, qos)
        self._findings.topics.setdefault(name, topic)


def _decompressed(data: memoryview, compression: str) -> Bytes:
    """The records of a chunk."""
    try:
        if compression == "":
            return data
        if compression == "zstd":
            return bytes(zstd.decompress(data))
        if compression == "lz4":
            return bytes(decompress_lz4(data))
    except (zstd.ZstdError, RuntimeError, EOFError) as problem:
        raise _CorruptError(f"a chunk cannot be decompressed ({problem})") from None
    raise _CorruptError(f"a chunk is compressed by {compression!r}; known are zstd and lz4")


def _text(body: memoryview, place: int) -> tuple[str, int]:
    """The text at ``place``, its length before it, and the place behind it."""
    (length,) = unpack_from("<I", body, place)
    first = place + 4
    return str(body[first : first + length], "utf-8"), first + length


def _pairs(body: memoryview, place: int) -> dict[str, str]:
    """The map of texts at ``place``."""
    end, pairs = place + 4 + unpack_from("<I", body, place)[0], {}
    place += 4
    while place < min(end, len(body)):
        key, place = _text(body, place)
        pairs[key], place = _text(body, place)
    return pairs
