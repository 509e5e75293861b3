"""Every fault of a data set is named once, and nothing else is; a sound data set has none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from us_grid_sim.dataset.check import Fault, check_dataset
from us_grid_sim.dataset.layout import SubjectWriter
from us_grid_sim.dataset.png import frame_fault
from us_grid_sim.dataset.targets import format_targets
from us_grid_sim.geometry import BINS, FRAME_HEIGHT, FRAME_WIDTH, Bin
from us_grid_sim.phantom.target import Target

PATTERN = (np.add.outer(np.arange(FRAME_HEIGHT), 2 * np.arange(FRAME_WIDTH)) % 251).astype(np.uint8)
FRAMES = Path("Sacrum_A/sacrum_sweep_frames")
TABLE = Path("Sacrum_A/sacrum_sweep_data.csv")
PATIENT = Path("Patient_files/A.txt")
TARGETS = Path("Sacrum_A/targets.json")
FRAME = "a grey 8-bit PNG of 800x600 pixels that shows something"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subject, a frame in each bin's centre."""
    root = tmp_path_factory.mktemp("sound")
    with SubjectWriter(root, "A") as writer:
        for state in range(BINS):
            writer.add(PATTERN, *Bin.from_state(state).center)
        writer.finish(lambda _: [Bin(5, 1), Bin(5, 2)])
    return root


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def png(number: int) -> Path:
    return FRAMES / f"sacrum_translation{number:04d}.png"


def encode(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


def change(file: Path, line: int, text: str | None) -> Callable[[Path], None]:
    """Replace a line (1-based) of ``file``, or take it away."""

    def spoil(root: Path) -> None:
        lines = (root / file).read_text().splitlines()
        lines[line - 1 : line] = [] if text is None else [text]
        (root / file).write_text("\n".join(lines) + "\n")

    return spoil


def insert(file: Path, line: int, text: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        lines = (root / file).read_text().splitlines()
        lines.insert(line - 1, text)
        (root / file).write_text("\n".join(lines) + "\n")

    return spoil


def write(file: Path, content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / file).write_bytes(content) and None


def remove(file: Path) -> Callable[[Path], None]:
    return lambda root: (root / file).unlink()


def cut(file: Path, count: int) -> Callable[[Path], None]:
    return lambda root: (root / file).write_bytes((root / file).read_bytes()[:-count]) and None


def flip_byte(file: Path, at: int) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        content = bytearray((root / file).read_bytes())
        content[at] ^= 0xFF
        (root / file).write_bytes(content)

    return spoil


def swap_rows(root: Path) -> None:
    lines = (root / TABLE).read_text().splitlines()
    lines[7], lines[8] = lines[8], lines[7]
    (root / TABLE).write_text("\n".join(lines) + "\n")


def patient_file_without_folder(root: Path) -> None:
    (root / "Patient_files" / "B.txt").write_text((root / PATIENT).read_text().replace("A", "B"))


OTHER_TYPES = {
    "a small frame": (PATTERN[:300], "it has 800x300 pixels"),
    "a colour frame": (np.dstack([PATTERN] * 3), "its pixels are colour"),
    "a 16-bit frame": (PATTERN.astype(np.uint16), "its pixels have 16 bit"),
    "a black frame": (np.zeros_like(PATTERN), "it is all black"),
    "a constant frame": (np.full_like(PATTERN, 77), "every pixel is 77"),
}

FAULTS: dict[str, tuple[Callable[[Path], object], str, Path, str, str, str]] = {
    # what: inject, severity, path, place, found, expected
    "another name": (change(PATIENT, 1, "Other"), "error", PATIENT, "line 1", "the name is 'Other'", "'A', the file's"),
    "a path as name": (change(PATIENT, 1, "a/b"), "error", PATIENT, "line 1", "name is 'a/b'", "without slashes"),
    "no folder on line 2": (change(PATIENT, 2, " "), "error", PATIENT, "line 2", "folder is empty", "the path of"),
    "a folder elsewhere": (
        change(PATIENT, 2, "/home/author/frames"),
        "warning",
        PATIENT,
        "line 2",
        "the folder '/home/author/frames' does not exist",
        "Sacrum_A/sacrum_sweep_frames/, which readers take instead",
    ),
    "no frames at all": (
        patient_file_without_folder,
        "error",
        Path("Patient_files/B.txt"),
        "line 2",
        "does not exist",
        "Sacrum_B",
    ),
    "no goal": (change(PATIENT, 3, "goal_bins:"), "error", PATIENT, "line 3", "'' is no goal bin", "pairs row,col"),
    "no goal line": (change(PATIENT, 3, None), "error", PATIENT, "line 3", "found '0,0:", "'goal_bins:row,col'"),
    "a goal off the grid": (
        change(PATIENT, 3, "goal_bins:5,1;5,15"),
        "error",
        PATIENT,
        "line 3",
        "(5, 15) is off the grid",
        "a bin of the 11 x 15 grid",
    ),
    "a bin missing": (
        change(PATIENT, 40, None),
        "error",
        PATIENT,
        "line 168",
        "an empty line after 164 of 165 bins, 2,6 is missing",
        "row,col:i,j,k,l,m",
    ),
    "a bin off the grid": (
        change(PATIENT, 4, "11,0:0,1,2,3,4"),
        "error",
        PATIENT,
        "line 4",
        "(11, 0) is off",
        "11 x 15",
    ),
    "a bin twice": (change(PATIENT, 5, "0,0:0,1,2,3,4"), "error", PATIENT, "line 5", "bin 0,0 stands", "each of the"),
    "a word among bins": (change(PATIENT, 6, "0,2:a"), "error", PATIENT, "line 6", "found '0,2:a'", "5 frame indices"),
    "a frame that is nowhere": (
        change(PATIENT, 4, "0,0:0,1,15,2,165"),
        "error",
        PATIENT,
        "line 4",
        "frame 165 does not exist",
        "0 to 164",
    ),
    "frames that are not the nearest": (
        change(PATIENT, 4, "0,0:0,1,15,16,164"),
        "warning",
        PATIENT,
        "line 4",
        "the frames of bin 0,0 are not the five nearest",
        "0,1,15,16,",
    ),
    "nearest frames in another order": (
        change(PATIENT, 4, "0,0:1,0,15,16,2"),
        "warning",
        PATIENT,
        "line 4",
        "the frames of bin 0,0",
        "0,1,15,16,",
    ),
    "a patient file that is no text": (
        write(PATIENT, b"A\n\xff\n"),
        "error",
        PATIENT,
        "line 2",
        "byte 0xff",
        "a patient file",
    ),
    "no table": (remove(TABLE), "error", TABLE, "", "the file is missing", "the table of the frames' positions"),
    "a table without header": (change(TABLE, 1, None), "error", TABLE, "line 1", "no header row", "frame,patient_x_m"),
    "a header of two names": (change(TABLE, 1, "frame,x"), "error", TABLE, "line 1", "no header row", "frame,pat"),
    "an infinite position": (change(TABLE, 3, "1,inf,0"), "error", TABLE, "line 3", "found '1,inf,0'", "numbers"),
    "an unknown position": (change(TABLE, 3, "1,nan,0"), "error", TABLE, "line 3", "frame 1 has no pos", "finite"),
    "rows out of order": (swap_rows, "error", TABLE, "line 9", "frame 6 after frame 7", "indices that grow"),
    "an index twice": (insert(TABLE, 9, "1,0.0,0.0"), "error", TABLE, "line 9", "frame index '1'", "each frame once"),
    "a row too few": (change(TABLE, 166, None), "error", TABLE, "", "164 rows", "165, one for each frame"),
    "a row missing inside": (change(TABLE, 20, None), "error", TABLE, "", "164 rows", "165, one for each frame"),
    "a row too many": (insert(TABLE, 167, "165,0.0,0.1"), "error", TABLE, "", "166 rows", "165, one for each"),
    "a hole in the numbers": (remove(png(12)), "error", FRAMES, "frame 12", "missing", "every number from 0 to 164"),
    "a wide hole": (
        lambda root: [(root / png(number)).unlink() for number in (0, 1, 2)],
        "error",
        FRAMES,
        "frames 0 to 2",
        "missing",
        "every number",
    ),
    "an empty frame": (write(png(7), b""), "error", png(7), "frame 7", "the file is empty", FRAME),
    "text as frame": (write(png(7), b"a frame"), "error", png(7), "frame 7", "it is no PNG", FRAME),
    "a frame cut in its header": (write(png(7), encode(PATTERN)[:20]), "error", png(7), "frame 7", "in its hea", FRAME),
    "a frame cut": (cut(png(7), 30), "error", png(7), "frame 7", "it is truncated after", FRAME),
    "a frame cut at its end": (cut(png(7), 12), "error", png(7), "frame 7", "it is truncated after", FRAME),
    "a flipped byte": (flip_byte(png(7), 300), "error", png(7), "frame 7", "are corrupt (checksum)", FRAME),
    "a folder as frame": (
        lambda root: ((root / png(7)).unlink(), (root / png(7)).mkdir()),
        "error",
        png(7),
        "frame 7",
        "it cannot be read (Is a directory)",
        FRAME,
    ),
    "targets that are no JSON": (write(TARGETS, b"{\n,"), "error", TARGETS, "line 2", "it is no JSON", "an object of"),
    "a target missing": (write(TARGETS, b"{}"), "error", TARGETS, "", "'l3' is missing", "an object of the targets"),
    "targets with another sacrum": (
        lambda root: (root / TARGETS).write_text(format_targets(dict.fromkeys(Target, (Bin(5, 1),)))),
        "error",
        TARGETS,
        "",
        "the sacrum's bins are 5,1",
        "5,1 5,2, the patient file's",
    ),
    "a stray file in the root": (write(Path("a.mat"), b"."), "warning", Path("a.mat"), "", "not belong", "patient fi"),
    "a stray patient file": (
        write(Path("Patient_files/B.partial"), b"."),
        "warning",
        Path("Patient_files/B.partial"),
        "",
        "it does not belong here",
        "<Name>.txt",
    ),
    "a stray file of a subject": (
        write(Path("Sacrum_A/x.png"), b"."),
        "warning",
        Path("Sacrum_A/x.png"),
        "",
        "it does not belong here",
        "sacrum_sweep_frames",
    ),
    "a frame's number without zeros": (
        write(FRAMES / "sacrum_translation7.png", b"."),
        "warning",
        FRAMES / "sacrum_translation7.png",
        "",
        "it does not belong here",
        "sacrum_translation0000.png",
    ),
    "an unfinished subject": (
        lambda root: (root / "Sacrum_B").mkdir(),
        "warning",
        Path("Sacrum_B"),
        "",
        "no patient file names it",
        "Patient_files/<Name>.txt",
    ),
} | {
    what: (write(png(7), encode(pixels)), "error", png(7), "frame 7", found, FRAME)
    for what, (pixels, found) in OTHER_TYPES.items()
}


def check(root: Path, **options: bool) -> list[Fault]:
    return list(check_dataset(root, workers=2, **options))


def test_a_sound_data_set_has_no_fault(sound: Path) -> None:
    assert check(sound) == []


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_named_once_and_alone(data: Path, what: str) -> None:
    inject, severity, path, place, found, expected = FAULTS[what]
    inject(data)
    faults = check(data)
    assert len(faults) == 1, "\n".join(map(str, faults))
    (fault,) = faults
    assert (fault.severity, fault.path, fault.place) == (severity, data / path, place)
    assert found in fault.found
    assert expected in fault.expected
    assert "\n" not in str(fault)


def test_all_faults_are_listed(data: Path) -> None:
    for what in ("another name", "a goal off the grid", "a bin twice", "an infinite position", "a black frame"):
        FAULTS[what][0](data)
    FAULTS["a hole in the numbers"][0](data)
    assert [(fault.path.name, fault.place) for fault in check(data)] == [
        ("A.txt", "line 1"),
        ("A.txt", "line 3"),
        ("A.txt", "line 5"),
        ("sacrum_sweep_frames", "frame 12"),
        ("sacrum_sweep_data.csv", "line 3"),
        ("sacrum_translation0007.png", "frame 7"),
    ]


@pytest.mark.parametrize("goals", ["goal_bins:5,1;5,2", "goal_bins:5,1:5,2", "goal_bins: 5 , 1 : 5,2"])
def test_both_ways_to_write_goals_are_sound(data: Path, goals: str) -> None:
    change(PATIENT, 3, goals)(data)
    assert check(data) == []


def test_goals_at_the_end_of_line_2_are_sound(data: Path) -> None:
    """As the authors' writer has it."""
    text = (data / PATIENT).read_text()
    (data / PATIENT).write_text(text.replace("/\ngoal_bins", "/goal_bins"))
    assert check(data) == []


def test_targets_that_agree_are_sound(data: Path) -> None:
    (data / TARGETS).write_text(format_targets(dict.fromkeys(Target, (Bin(5, 2), Bin(5, 1)))))
    assert check(data) == []


def test_a_goal_that_cannot_be_read_is_not_named_as_a_contradiction_too(data: Path) -> None:
    (data / TARGETS).write_text(format_targets(dict.fromkeys(Target, (Bin(5, 2), Bin(5, 1)))))
    change(PATIENT, 3, "goal_bins:")(data)
    assert [fault.path for fault in check(data)] == [data / PATIENT]


def test_a_published_table_may_lack_positions_and_group_otherwise(data: Path) -> None:
    """The header tells it; its grouping is one warning, not 165."""
    rows = (data / TABLE).read_text().splitlines()[1:]
    turned = (row.split(",") for row in rows)
    (data / TABLE).write_text("\n".join(["frame,x,y"] + [f"{i},{y},{x}" for i, x, y in turned]) + "\n")
    assert check(data) == [], "across and along the spine, as the robot gives them"
    change(PATIENT, 4, "0,0:0,1,15,16,164")(data)
    change(PATIENT, 5, "0,1:1,0,2,16,164")(data)
    change(TABLE, 166, "164,nan,")(data)
    table, bins = check(data)
    assert (table.severity, table.place, table.found) == ("warning", "line 166", "frame 164 has no position")
    assert (bins.severity, bins.place) == ("warning", "")
    assert bins.found.endswith("of 165 bins hold frames that are not the nearest")


def test_a_quick_check_reads_headers_alone(data: Path) -> None:
    for number, content in enumerate((encode(PATTERN)[:-30], encode(np.zeros_like(PATTERN)), encode(PATTERN[:300]))):
        (data / png(number)).write_bytes(content)
    assert [fault.place for fault in check(data)] == ["frame 0", "frame 1", "frame 2"]
    assert [fault.place for fault in check(data, quick=True)] == ["frame 2"]


def test_no_data_set_is_a_fault_too(tmp_path: Path) -> None:
    (fault,) = check(tmp_path / "nowhere")
    assert (fault.severity, fault.path) == ("error", tmp_path / "nowhere" / "Patient_files")
    assert fault.found == "there is no data set"


def test_progress_counts_every_frame(sound: Path) -> None:
    seen: list[tuple[int, int]] = []
    list(check_dataset(sound, workers=2, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(done, BINS) for done in range(1, BINS + 1)]


# ---------------------------------------------------------------- flat frames, however they are packed

FILTERS = ("FILTER_NONE", "FILTER_SUB", "FILTER_UP", "FILTER_AVG", "FILTER_PAETH", "ALL_FILTERS")


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("grey", [0, 1, 200, 255])
def test_a_flat_frame_is_seen_under_every_filter(name: str, grey: int) -> None:
    options = [cv2.IMWRITE_PNG_FILTER, getattr(cv2, f"IMWRITE_PNG_{name}"), cv2.IMWRITE_PNG_COMPRESSION, 1]
    flat = np.full_like(PATTERN, grey)
    found = frame_fault(cv2.imencode(".png", flat, options)[1].tobytes())
    assert found == ("it is all black" if grey == 0 else f"every pixel is {grey}")
    flat[599, 799] ^= 1
    assert frame_fault(cv2.imencode(".png", flat, options)[1].tobytes()) is None


def test_rows_that_are_each_flat_are_no_flat_frame() -> None:
    assert frame_fault(encode(np.repeat(np.arange(600) % 256, 800).reshape(600, 800).astype(np.uint8))) is None
