"""Damaged bags and bags by others: what can be read is read, and what was not is said."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

from support.bags import MS, Messages, bag_of, two_runs
from us_grid_sim.geometry import Bin
from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.mcap_file import scan_mcap
from us_nav_agent.bags.raw import Findings, RawMessage
from us_nav_agent.errors import BagError


def many_states(messages: Messages, count: int = 60) -> None:
    for number in range(count):
        messages.state((number + 1) * MS, Bin(number % 11, 0))
        messages.frame((number + 1) * MS, number, shape=(200, 300))


def times(bag: Bag) -> list[int]:
    return [entry.time_ns for entry in bag.messages()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[RawMessage]]:
    """An MCAP file of several chunks, and its messages."""
    path = bag_of(tmp_path_factory.mktemp("bags") / "bag", many_states) / "bag.mcap"
    return path.read_bytes(), list(scan_mcap(path, Findings()))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.0, 0.999))
def test_of_a_file_that_is_cut_off_anywhere_the_messages_before_the_cut_are_read(
    whole: tuple[bytes, list[RawMessage]], tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    content, messages = whole
    size = max(8, int(share * len(content)))
    path = tmp_path_factory.mktemp("cut") / "cut.mcap"
    path.write_bytes(content[:size])
    findings = Findings()
    read = list(scan_mcap(path, findings))
    assert [(one.time_ns, bytes(one.data)) for one in read] == [
        (one.time_ns, bytes(one.data)) for one in messages[: len(read)]
    ]
    # Of what was written nothing but the message at the cut is lost: a frame has 60 000 bytes.
    assert len(read) >= len(messages) * (size - 130_000) / len(content)
    assert any(f"cut off after {size} bytes" in line for line in findings.damage)


def test_a_corrupt_chunk_is_left_out_and_the_ones_behind_it_are_read(
    whole: tuple[bytes, list[RawMessage]], tmp_path: Path
) -> None:
    content = bytearray(whole[0])
    chunks = [place for place in range(len(content) - 33) if content[place] == 6 and _is_chunk(content, place)]
    second = chunks[1]
    content[second + 9 + 24 : second + 9 + 28] = b"\x01\x02\x03\x04"  # the checksum
    path = tmp_path / "corrupt.mcap"
    path.write_bytes(content)
    findings = Findings()
    read = [one.time_ns for one in scan_mcap(path, findings)]
    assert 0 < len(read) < len(whole[1]) and read[-1] == whole[1][-1].time_ns
    assert any("the checksum of a chunk is wrong" in line for line in findings.damage)


def _is_chunk(content: bytearray, place: int) -> bool:
    size = int.from_bytes(content[place + 1 : place + 9], "little")
    held = int.from_bytes(content[place + 25 : place + 33], "little")
    return 0 < held == size - 40


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_without_metadata_is_read_whole(tmp_path: Path, storage: str) -> None:
    path = bag_of(tmp_path / "bag", two_runs, storage)
    expected = times(Bag(path))
    (path / "metadata.yaml").unlink()
    bag = Bag(path)
    assert times(bag) == expected and len(expected) == 9
    assert bag.damage == ["metadata.yaml is missing, the recorder did not end; the files are read without it"]


def test_a_sqlite3_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = bag_of(tmp_path / "bag", many_states, "sqlite3")
    expected = times(Bag(path))
    file = path / "bag.db3"
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size // 2)
    bag = Bag(path)
    read = times(bag)
    assert len(read) > 20 and read == expected[: len(read)]
    assert any("cut off or corrupt after" in line for line in bag.damage)


def test_what_a_killed_recorder_left_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("us_nav_agent.bags.record._SAFE", 0.0)
    for storage in ("mcap", "sqlite3"):
        left: list[int] = []

        def fill(messages: Messages, storage: str = storage, left: list[int] = left) -> None:
            two_runs(messages)
            left.extend(times(Bag(tmp_path / storage)))

        bag_of(tmp_path / storage, fill, storage)
        assert left == [1, 2, 2, 3, 4, 4, 5, 6, 6]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mcap", b"", "is empty, 0 bytes"),
        ("a.mcap", b"nothing of a bag", "no MCAP file"),
        ("a.db3", b"nothing of a bag", "no sqlite3 file"),
        ("a.txt", b"words", r"expected a file that ends in .mcap or .db3"),
    ],
)
def test_a_file_that_is_no_bag_is_one_clear_error(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=words):
        _ = Bag(tmp_path / name).survey


def test_a_definition_in_the_bag_wins_over_ours_and_that_is_said(tmp_path: Path) -> None:
    kind = "us_nav_interfaces/msg/TargetBins"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(
            "/simulation/target_bins", kind, msgdef="string target\nuint8 size\n", rihs01="RIHS01_" + "0" * 64
        )
        writer.write(connection, 5, b"\x00\x01\x00\x00\x03\x00\x00\x00l4\x00\x07")
    bag = Bag(tmp_path / "bag")
    messages = [entry.message for entry in bag.messages()]
    assert [(one.target, one.size) for one in messages] == [("l4", 7)]
    assert bag.damage == [
        f"{kind} is defined otherwise in the bag than here "
        "(no field header, no field subject, no field rows, no field columns, a field size more); the bag's is used"
    ]


@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_bags_that_rosbag2_compressed_are_read(tmp_path: Path, mode: CompressionMode) -> None:
    writer = Writer(tmp_path / "bag", version=9)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        bool_definition = {"msgdef": "bool data\n", "rihs01": "RIHS01_" + "0" * 64}
        connection = writer.add_connection("/words", "std_msgs/msg/Bool", **bool_definition)
        writer.write(connection, 7, b"\x00\x01\x00\x00\x01")
    assert [(entry.time_ns, entry.message.data) for entry in Bag(tmp_path / "bag").messages()] == [(7, True)]


@pytest.mark.parametrize("chunks", [True, False])
def test_a_file_by_the_mcap_library_without_index_and_with_a_foreign_encoding_is_read(
    tmp_path: Path, chunks: bool
) -> None:
    library = pytest.importorskip("mcap.writer", reason="the mcap package is not installed")
    file = io.BytesIO()
    writer = library.Writer(file, use_chunking=chunks, index_types=library.IndexType.NONE, use_statistics=False)
    writer.start(profile="ros2", library="others")
    schema = writer.register_schema("std_msgs/msg/Bool", "ros2msg", b"bool data\n")
    plain, foreign = (
        writer.register_channel(topic, encoding, schema) for topic, encoding in (("/words", "cdr"), ("/more", "json"))
    )
    for channel, time_ns in ((plain, 3), (foreign, 4), (plain, 5)):
        writer.add_message(channel, log_time=time_ns, publish_time=time_ns, data=b"\x00\x01\x00\x00\x01")
    writer.finish()
    (tmp_path / "others.mcap").write_bytes(file.getvalue())
    bag = Bag(tmp_path / "others.mcap")
    assert [(entry.time_ns, entry.message.data) for entry in bag.messages()] == [(3, True), (5, True)]
    assert any("/more: 1 messages cannot be read" in line and "json" in line for line in bag.damage)


def test_receive_times_that_go_back_are_said_and_the_order_is_kept(tmp_path: Path) -> None:
    def fill(messages: Messages) -> None:
        for seconds in (10, 11, 2, 3):
            messages.state(seconds * 10**9, Bin(0, 0))

    bag = Bag(bag_of(tmp_path / "bag", fill))
    assert np.array(times(bag)).tolist() == [10 * 10**9, 11 * 10**9, 2 * 10**9, 3 * 10**9]
    assert bag.damage[0].startswith("receive times go back by more than 1 s 1 times")
