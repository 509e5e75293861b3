"""Bags in sqlite3 files (rosbag2's schema, versions 1 to 4) in the order in which the messages were written."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from us_nav_agent.bags.raw import Findings, RawMessage, Topic
from us_nav_agent.errors import BagError

_MAGIC = b"SQLite format 3\x00"


def scan_sqlite(path: Path, findings: Findings) -> Iterator[RawMessage]:
    """The messages of a sqlite3 bag, see ``raw.Scan``.

    Raises:
        BagError: it is no sqlite3 file, or not one of a bag.
    """
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if not head:
        raise BagError(f"{path}: is empty, 0 bytes; the recorder wrote nothing")
    if head != _MAGIC:
        raise BagError(f"{path}: no sqlite3 file, its first bytes are {head!r}; expected {_MAGIC!r}")
    if path.with_name(f"{path.name}-journal").exists() or path.with_name(f"{path.name}-wal").exists():
        findings.say(f"{path.name}: was not closed, the recorder was killed; its last messages may be missing")
    # Immutable: what a killed recorder left is read as it is, and nothing is written beside it.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
        # Without this a file that is cut off is refused as a whole; with it, its pages up to the cut can be read.
        connection.execute("PRAGMA writable_schema=ON")
        topics = _topics(path, connection, findings)
        read = 0
        try:
            for number, time_ns, data in connection.execute(
                "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
            ):
                read += 1
                if number in topics:
                    yield RawMessage(topics[number], time_ns, data)
        except sqlite3.DatabaseError as problem:
            findings.say(f"{path.name}: cut off or corrupt after {read} messages ({problem}); read up to there")


def _topics(path: Path, connection: sqlite3.Connection, findings: Findings) -> dict[int, Topic]:
    """The topics by their number in the file."""
    try:
        definitions = {
            row["topic_type"]: (row["encoded_message_definition"], row["encoding"])
            for row in _rows(connection, "message_definitions")
        }
        topics = {}
        for row in _rows(connection, "topics"):
            text, form = definitions.get(row["type"], ("", ""))
            qos = str(row.get("offered_qos_profiles", ""))
            topics[row["id"]] = Topic(row["name"], row["type"], row["serialization_format"], text, form, qos)
        findings.metadata = next((row["metadata"] for row in _rows(connection, "metadata")), "")
    except (sqlite3.DatabaseError, KeyError) as problem:
        raise BagError(f"{path}: its list of topics cannot be read ({problem}); it may be cut off, or no bag") from None
    if not topics:
        findings.say(f"{path.name}: lists no topic")
    findings.topics.update({topic.name: topic for topic in topics.values()})
    return topics


def _rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """The rows of a small table; none where an older bag does not have it."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
        return []
    cursor = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
