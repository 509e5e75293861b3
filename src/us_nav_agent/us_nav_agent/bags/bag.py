"""A bag as a whole: its files, what it holds, and its messages in the order in which they were written.

Read without metadata.yaml and without an index, so that a bag whose recorder was killed is read like any other. What
cannot be read is named in ``damage`` and passed over.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from rosbags.serde import SerdeError
from rosbags.typesys.store import Typestore

from us_nav_agent.bags.definitions import store_for
from us_nav_agent.bags.mcap_file import scan_mcap
from us_nav_agent.bags.provenance import ABOUT_FILE
from us_nav_agent.bags.raw import Findings, RawMessage, Scan, Topic
from us_nav_agent.bags.sqlite_file import scan_sqlite
from us_nav_agent.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

METADATA_FILE = "metadata.yaml"
LEAP = 1_000_000_000
"""A clock that moves by more than this against another one between two messages has jumped [ns]."""
_SCANS: dict[str, Scan] = {".mcap": scan_mcap, ".db3": scan_sqlite}
_PACKED = ".zstd"


@dataclass(frozen=True)
class BagMessage:
    """A message of a bag: its topic, when it was received [ns], and its content as a dataclass of rosbags."""

    topic: str
    time_ns: int
    message: Any


@dataclass
class TopicCount:
    """A topic, its messages, and when the first and the last of them were received [ns]."""

    topic: Topic
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def rate(self) -> float:
        """Messages a second; NaN where there are too few to tell."""
        span = self.last_ns - self.first_ns
        return (self.count - 1) * 1e9 / span if span > 0 else float("nan")


@dataclass
class Survey:
    """What one pass over a bag shows.

    Attributes:
        topics: by name.
        damage: what could not be read, a line each.
        start_ns, end_ns: when the first and the last message were received [ns].
        backwards: how often the receive time goes back by more than LEAP.
        unordered: whether a message was written before one that was received earlier.
    """

    topics: dict[str, TopicCount] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    start_ns: int = 0
    end_ns: int = 0
    backwards: int = 0
    unordered: bool = False

    @property
    def messages(self) -> int:
        """How many there are."""
        return sum(one.count for one in self.topics.values())

    @property
    def duration(self) -> float:
        """From the first to the last message [s]."""
        return (self.end_ns - self.start_ns) * 1e-9


class Bag:
    """A bag to read: a folder with metadata.yaml, a folder without, or one file of a bag.

    Attributes:
        path: that was given.
        files: of the bag, in their order.
        damage: what could not be read, a line each; grows while messages are read.

    Raises:
        BagError: there is no bag.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise BagError(f"{path}: no such bag")
        self.path = path
        self.damage: list[str] = []
        self._metadata = self._read_metadata()
        self.files = self._find_files()
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def survey(self) -> Survey:
        """Topics, counts and times, by one pass.

        Raises:
            BagError: no file of it is one of a bag.
        """
        found, problems = Survey(), []
        for file in self.files:
            try:
                self._count(file, found)
            except (BagError, OSError) as error:
                problems.append(error)
                found.damage.append(_line(error))
        if problems and len(problems) == len(self.files):
            raise BagError("; ".join(map(_line, problems)))
        held = [one for one in found.topics.values() if one.count]
        if held:
            found.start_ns, found.end_ns = min(one.first_ns for one in held), max(one.last_ns for one in held)
        if found.backwards:
            found.damage.append(
                f"receive times go back by more than 1 s {found.backwards} times: the recorder's clock was set back, "
                "or others wrote the bag in another order; messages are read in the order in which they were written"
            )
        self.damage += found.damage
        return found

    def _count(self, file: Path, found: Survey) -> None:
        """Add what one file holds."""
        findings, before = Findings(), -1
        for topic, time_ns, _ in self._scan(file, findings):
            one = found.topics.get(topic.name)
            if one is None:
                one = found.topics[topic.name] = TopicCount(topic, first_ns=time_ns, last_ns=time_ns)
            one.count += 1
            one.first_ns, one.last_ns = min(one.first_ns, time_ns), max(one.last_ns, time_ns)
            found.backwards += time_ns < before - LEAP
            found.unordered = found.unordered or time_ns < before
            before = time_ns
        for name, topic in findings.topics.items():
            found.topics.setdefault(name, TopicCount(topic))
        found.damage += findings.damage

    @cached_property
    def store(self) -> Typestore:
        """What reads the messages; the definitions in the bag win over those known here."""
        store, notes = store_for(one.topic for one in self.survey.topics.values())
        self.damage += notes
        return store

    @property
    def about(self) -> dict[str, str]:
        """What was said of the recording (``provenance``): version, commit, model, parameters; others' bags: empty."""
        content = self._metadata.get("custom_data") or {}
        if not content and self.path.is_dir() and (self.path / ABOUT_FILE).exists():
            with suppress(ValueError, OSError):
                content = json.loads((self.path / ABOUT_FILE).read_text())
        return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}

    @property
    def storage(self) -> str:
        """The storage of rosbag2 that the bag is written with: mcap or sqlite3."""
        return "sqlite3" if ".db3" in self.files[0].name else "mcap"

    def raw(self, topics: Iterable[str] | None = None) -> Iterator[RawMessage]:
        """The serialized messages of these topics or of all, in the order in which they were written."""
        wanted = None if topics is None else set(topics)
        for file in self.files:
            # A file that is none of a bag is named by the survey.
            with suppress(BagError, OSError):
                for message in self._scan(file, Findings()):
                    if wanted is None or message.topic.name in wanted:
                        yield message

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
        """The messages of these topics or of all; one that cannot be read is passed over and counted in ``damage``."""
        failed: dict[str, int] = {}
        why: dict[str, str] = {}
        for topic, time_ns, data in self.raw(topics):
            try:
                if topic.encoding != "cdr":
                    raise SerdeError(f"written as {topic.encoding}, not as cdr")
                message = self.store.deserialize_cdr(data, topic.type)
            except (SerdeError, KeyError, ValueError, IndexError, UnicodeDecodeError, TypeError) as problem:
                failed[topic.name] = failed.get(topic.name, 0) + 1
                why.setdefault(topic.name, f"{type(problem).__name__}: {problem}")
                continue
            yield BagMessage(topic.name, time_ns, message)
        for name, count in failed.items():
            line = f"{name}: {count} messages cannot be read ({why[name]})"
            if line not in self.damage:
                self.damage.append(line)

    def _read_metadata(self) -> dict[str, Any]:
        """The content of metadata.yaml; empty where there is none that can be read."""
        file = self.path / METADATA_FILE
        if not self.path.is_dir():
            return {}
        try:
            content = yaml.safe_load(file.read_text())["rosbag2_bagfile_information"]
            return dict(content)
        except FileNotFoundError:
            self.damage.append(f"{METADATA_FILE} is missing, the recorder did not end; the files are read without it")
        except (yaml.YAMLError, KeyError, TypeError, ValueError, OSError) as error:
            self.damage.append(f"{METADATA_FILE} cannot be read ({_line(error)}); the files are read without it")
        return {}

    def _find_files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        named = [self.path / Path(str(name)).name for name in self._metadata.get("relative_file_paths") or ()]
        here = [file for file in self.path.iterdir() if file.name.removesuffix(_PACKED).endswith(tuple(_SCANS))]
        for file in named:
            if not file.exists():
                self.damage.append(f"{file.name} is missing; {METADATA_FILE} names it")
        files = [file for file in named if file.exists()] or sorted(here, key=_natural)
        if not files:
            raise BagError(f"{self.path}: no bag, it holds no .mcap and no .db3 file")
        return files

    def _scan(self, file: Path, findings: Findings) -> Iterator[RawMessage]:
        """The messages of one file, decompressed where rosbag2 compressed file or messages."""
        if file.suffix == _PACKED:
            file = self._unpack(file, findings)
        scan = _SCANS.get(file.suffix)
        if scan is None:
            raise BagError(f"{file}: no bag; expected a file that ends in .mcap or .db3, or a folder of them")
        for message in scan(file, findings):
            if str(self._metadata.get("compression_mode", "")).lower() == "message":
                try:
                    message = message._replace(data=zstd.decompress(message.data))
                except zstd.ZstdError as problem:
                    findings.say(f"{file.name}: a message cannot be decompressed ({problem})")
                    continue
            yield message
        if not self._metadata and findings.metadata:
            with suppress(yaml.YAMLError, ValueError, TypeError):
                self._metadata = dict(yaml.safe_load(findings.metadata))

    def _unpack(self, file: Path, findings: Findings) -> Path:
        """A file that rosbag2 compressed as a whole, decompressed into a folder that goes with this object."""
        if self._unpacked is None:
            self._unpacked = tempfile.TemporaryDirectory(prefix="usnav_bag_")
        target = Path(self._unpacked.name) / file.stem
        if not target.exists():
            with target.open("wb") as out:
                try:
                    with zstd.open(file, "rb") as packed:
                        while part := packed.read(2**20):
                            out.write(part)
                except (zstd.ZstdError, EOFError) as problem:
                    findings.say(f"{file.name}: decompressed up to where it is cut off ({problem})")
        return target


def _natural(file: Path) -> list[str | int]:
    """Sorts bag_10 behind bag_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
