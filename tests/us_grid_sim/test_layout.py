"""The published layout, both ways."""

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from us_grid_sim.dataset.layout import SubjectWriter, list_subjects, read_subject, split_of, subjects_of
from us_grid_sim.dataset.patient_file import PatientFile, format_patient_file, parse_patient_file
from us_grid_sim.dataset.sweep_data import bins_from_positions, format_sweep_data, parse_sweep_data
from us_grid_sim.errors import DatasetError, FrameError
from us_grid_sim.geometry import BINS, Bin

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
GREY = np.zeros((600, 800), np.uint8)


def golden(name: str) -> tuple[str, Path]:
    file = GOLDEN / name
    return file.read_bytes().decode(), file


# ---------------------------------------------------------------- the patient file


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("authors_writer.txt", "/home/author/sacrum_dataset/Sacrum_Subject07/sacrum_sweep_frames/"),
        ("authors_loader.txt", "/home/author/sacrum_dataset/Sacrum_Subject07/sacrum_sweep_frames/"),
        ("windows_line_ends.txt", "Sacrum_Subject07/sacrum_sweep_frames"),
        ("ours.txt", "Sacrum_Subject07/sacrum_sweep_frames/"),
    ],
)
def test_every_header_form_reads_alike(name: str, folder: str) -> None:
    patient = parse_patient_file(*golden(f"patient_file/{name}"))
    assert patient.name == "Subject07"
    assert patient.frames_folder == folder
    assert patient.goals == (Bin(5, 1), Bin(5, 2), Bin(6, 1))
    assert patient.bins.shape == (11, 15, 5)
    assert patient.bins.dtype == np.int32
    assert patient.bins[0, 0].tolist() == [2, 1, 3, 0, 4]
    assert patient.bins[10, 14].tolist() == [822, 821, 823, 820, 824]


def test_written_text_is_the_golden_one() -> None:
    text, file = golden("patient_file/ours.txt")
    assert format_patient_file(parse_patient_file(text, file)) == text


def test_the_authors_loader_reads_what_is_written() -> None:
    """Their steps, one by one: line 2 is skipped, line 3 split at ':', then 165 lines split at ':' and ','."""
    lines = iter(golden("patient_file/ours.txt")[0].split("\n"))
    assert next(lines).strip() == "Subject07"
    next(lines)
    goals = [tuple(map(int, pair.split(","))) for pair in next(lines).strip().replace(";", ":").split(":")[1:]]
    assert goals == [(5, 1), (5, 2), (6, 1)]
    for state in range(BINS):
        place, frames = next(lines).strip().split(":")
        assert tuple(map(int, place.split(","))) == divmod(state, 15)
        assert len([int(index) for index in frames.split(",")]) == 5


@given(
    name=st.text(st.characters(categories=["L", "N"], include_characters="_- "), min_size=1).filter(
        lambda name: name == name.strip()
    ),
    goals=st.lists(st.builds(Bin, st.integers(0, 10), st.integers(0, 14)), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([5, 9999, 10_000, 999_999]),
)
def test_what_is_written_reads_back(name: str, goals: list[Bin], seed: int, most: int) -> None:
    bins = np.random.default_rng(seed).integers(0, most + 1, (11, 15, 5), dtype=np.int32)
    text = format_patient_file(PatientFile(name, f"Sacrum_{name}/sacrum_sweep_frames/", tuple(goals), bins))
    patient = parse_patient_file(text, Path("p.txt"))
    assert (patient.name, patient.goals) == (name, tuple(goals))
    assert patient.frames_folder == f"Sacrum_{name}/sacrum_sweep_frames/"
    np.testing.assert_array_equal(patient.bins, bins)


def test_bins_may_stand_in_any_order_as_for_the_authors_loader() -> None:
    lines = golden("patient_file/ours.txt")[0].splitlines()
    lines[3], lines[100] = lines[100], lines[3]
    patient = parse_patient_file("\n".join(lines), Path("p.txt"))
    assert patient.bins[0, 0].tolist() == [2, 1, 3, 0, 4]


def _change(line: int, to: str | None) -> str:
    """The golden text with one line (1-based) changed, or cut off from it on."""
    lines = golden("patient_file/ours.txt")[0].splitlines()
    return "\n".join(lines[: line - 1] if to is None else [*lines[: line - 1], to, *lines[line:]])


FAULTS = [
    # what is wrong, the text, the line, the problem, what is expected
    ("empty file", "", 1, "ends early", "the name, the frames' folder and the goal bins"),
    ("name alone", "Subject07", 2, "ends early", "the name, the frames' folder and the goal bins"),
    ("no name", _change(1, ""), 1, "name is ''", "a name without slashes"),
    ("a path as name", _change(1, "../Subject07"), 1, "name is '../Subject07'", "a name without slashes"),
    ("no folder", _change(2, "  "), 2, "folder is empty", "the path of the folder"),
    ("no folder before the goals", _change(2, "goal_bins:5,1"), 2, "folder is empty", "the path of the folder"),
    ("no goals", _change(3, "0,0:1,2,3,4,5"), 3, "found '0,0:1,2,3,4,5'", "'goal_bins:row,col', here or at the end"),
    ("end before the goals", _change(3, None), 3, "found ''", "'goal_bins:row,col', here or at the end"),
    ("empty goals", _change(3, "goal_bins:"), 3, "'' is no goal bin", "pairs row,col"),
    ("goals not yet marked", _change(3, "goal_bins:goal_bin_x,goal_bin_y"), 3, "is no goal bin", "filled in by hand"),
    ("a goal of one number", _change(3, "goal_bins:5,1;6"), 3, "'6' is no goal bin", "pairs row,col"),
    ("a separator too many", _change(3, "goal_bins:5,1;"), 3, "'' is no goal bin", "pairs row,col"),
    ("a goal off the grid", _change(3, "goal_bins:5,15"), 3, "(5, 15) is off the grid", "row before column"),
    ("four frames", _change(4, "0,0:1,2,3,4"), 4, "found '0,0:1,2,3,4'", "with 5 frame indices"),
    ("six frames", _change(5, "0,1:1,2,3,4,5,6"), 5, "found", "with 5 frame indices"),
    ("a negative frame", _change(6, "0,2:1,2,-3,4,5"), 6, "found", "with 5 frame indices"),
    ("a frame that is no number", _change(7, "0,3:1,2,x,4,5"), 7, "found", "with 5 frame indices"),
    ("a fractional frame", _change(8, "0,4:1,2,3.5,4,5"), 8, "found", "with 5 frame indices"),
    ("no colon", _change(9, "0,5;1,2,3,4,5"), 9, "found", "'row,col:i,j,k,l,m'"),
    ("a bin off the grid", _change(10, "11,0:1,2,3,4,5"), 10, "(11, 0) is off the grid", "11 x 15 grid"),
    ("a bin twice", _change(5, "0,0:1,2,3,4,5"), 5, "bin 0,0 stands there a second time", "each of the 165 bins once"),
    ("an empty line among the bins", _change(20, ""), 20, "an empty line after 16 of 165", "'row,col:i,j,k,l,m'"),
    ("a truncated file", _change(168, None), 168, "the file ends after 164 of 165 bins", "'row,col:i,j,k,l,m'"),
]


@pytest.mark.parametrize(
    ("text", "line", "problem", "expected"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_a_malformed_file_is_named_with_line_and_cure(text: str, line: int, problem: str, expected: str) -> None:
    file = Path("data/Patient_files/Subject07.txt")
    with pytest.raises(DatasetError) as raised:
        parse_patient_file(text, file)
    assert (raised.value.file, raised.value.line) == (file, line)
    assert str(raised.value).startswith(f"{file}:{line}: ")
    assert problem in str(raised.value)
    assert expected in raised.value.expected
    assert "\n" not in str(raised.value)


@given(st.text(max_size=200), st.integers(0, 170))
def test_no_text_breaks_the_reader(junk: str, after: int) -> None:
    lines = golden("patient_file/ours.txt")[0].splitlines()
    try:
        parse_patient_file("\n".join([*lines[:after], junk, *lines[after:]]), Path("p.txt"))
    except DatasetError as error:
        assert error.line is not None


# ---------------------------------------------------------------- the table of positions


def test_our_table_is_metres_in_the_patient_frame() -> None:
    positions = parse_sweep_data(*golden("sweep_data/ours.csv"))
    assert positions.tolist() == [[-0.14, -0.1], [0.0, 0.02], [0.14, 0.1]]
    assert format_sweep_data(positions) == golden("sweep_data/ours.csv")[0]


def test_a_published_table_is_turned_and_centred_into_the_patient_frame() -> None:
    """Robot x runs across the spine (with the row), robot y along it (with the column); mm; more columns follow."""
    positions = parse_sweep_data(*golden("sweep_data/published.csv"))
    corners = [[-0.14, -0.1], [0.14, -0.1], [-0.14, 0.1], [0.14, 0.1]]
    np.testing.assert_allclose(positions[[0, 2, 3, 5]], corners)
    assert np.isnan(positions[1, 0])
    assert np.isnan(positions[4]).all(), "frame 4 is not in the table"


def test_a_published_table_in_metres_gives_the_same() -> None:
    text, file = golden("sweep_data/published.csv")
    metres = text.replace("500.0", "0.5").replace("700.0", "0.7").replace("100.0", "0.1").replace("180.0", "0.18")
    np.testing.assert_allclose(parse_sweep_data(metres, file), parse_sweep_data(text, file), atol=1e-12)


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 2), min_size=1, max_size=30))
def test_positions_read_back_to_the_last_bit(places: list[tuple[float, float]]) -> None:
    positions = np.array(places)
    np.testing.assert_array_equal(parse_sweep_data(format_sweep_data(positions), Path("t.csv")), positions)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "a header such as 'frame,patient_x_m,patient_y_m'"),
        ("0,0.1,0.2\n1,0.1,0.2\n", 1, "a header such as"),
        ("frame,x\n0,0.1\n", 1, "a header such as"),
        ("frame,x,y\n", 2, "a row for each frame"),
        ("frame,x,y\n0,0.1,0.2\n1,0.1\n", 3, "numbers 'frame index, x, y'"),
        ("frame,x,y\n0,0.1,here\n", 2, "numbers 'frame index, x, y'"),
        ("frame,x,y\n0,inf,0\n", 2, "numbers 'frame index, x, y'"),
        ("frame,x,y\n0.5,0.1,0.2\n", 2, "a whole number from 0, each frame once"),
        ("frame,x,y\n-1,0.1,0.2\n", 2, "a whole number from 0, each frame once"),
        ("frame,x,y\n,0.1,0.2\n", 2, "a whole number from 0, each frame once"),
        ("frame,x,y\n1e12,0.1,0.2\n", 2, "a whole number from 0, each frame once"),
        ("frame,x,y\n0,0.1,0.2\n0,0.1,0.2\n", 3, "a whole number from 0, each frame once"),
    ],
)
def test_a_malformed_table_is_named_with_line_and_cure(text: str, line: int, expected: str) -> None:
    with pytest.raises(DatasetError) as raised:
        parse_sweep_data(text, Path("t.csv"))
    assert raised.value.line == line
    assert expected in raised.value.expected


def test_bins_hold_the_five_nearest_frames_nearest_first_ties_by_index() -> None:
    centers = np.array([Bin.from_state(state).center for state in range(BINS)])
    along = np.array([0.002, -0.002, 0.0, 0.006, -0.006])  # frames 0 and 1 are equally far, and 3 and 4
    positions = np.concatenate([centers + np.array([shift, 0.0]) for shift in along])
    bins = bins_from_positions(positions)
    assert bins.dtype == np.int32
    for state in range(BINS):
        row, column = divmod(state, 15)
        assert bins[row, column].tolist() == [state + k * BINS for k in (2, 0, 1, 3, 4)]


def test_frames_without_a_position_are_in_no_bin() -> None:
    positions = np.zeros((7, 2))
    positions[[0, 3]] = np.nan
    assert set(bins_from_positions(positions).flat) == {1, 2, 4, 5, 6}


def test_four_frames_fill_no_bin() -> None:
    with pytest.raises(ValueError, match="4 frames have a position; a bin needs 5"):
        bins_from_positions(np.zeros((4, 2)))


# ---------------------------------------------------------------- subjects on disk


def test_a_written_subject_reads_back(small_data: Path) -> None:
    first, second = list_subjects(small_data)
    assert [first.name, second.name] == ["Subject00.txt", "Subject01.txt"]
    subject = read_subject(second)
    assert subject.name == "Subject01"
    assert subject.goals == (Bin(5, 1), Bin(5, 2))
    assert subject.bins[3, 4, 0] == Bin(3, 4).state, "the frame taken at the centre is the nearest"
    np.testing.assert_array_equal(subject.positions[Bin(3, 4).state], Bin(3, 4).center)
    frame = subject.frame(49)
    assert (frame.shape, frame.dtype) == ((600, 800), np.uint8)
    assert (frame == 89).all()


def test_a_folder_of_another_machine_falls_back_on_the_usual_one(small_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "moved"
    (root / "Patient_files").mkdir(parents=True)
    (root / "Sacrum_Subject00").symlink_to(small_data / "Sacrum_Subject00")
    text = (small_data / "Patient_files" / "Subject00.txt").read_text()
    line = "/home/author/dataset/Sacrum_Subject00/sacrum_sweep_frames/"
    (root / "Patient_files" / "Subject00.txt").write_text(text.replace(text.splitlines()[1], line, 1))
    subject = read_subject(root / "Patient_files" / "Subject00.txt")
    assert subject.frames_dir == root / "Sacrum_Subject00" / "sacrum_sweep_frames"


def test_without_any_frames_folder_line_2_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "Patient_files").mkdir()
    (tmp_path / "Sacrum_Subject07").mkdir()
    file = tmp_path / "Patient_files" / "Subject07.txt"
    file.write_text(golden("patient_file/authors_writer.txt")[0])
    (tmp_path / "Sacrum_Subject07" / "sacrum_sweep_data.csv").write_text(golden("sweep_data/ours.csv")[0])
    with pytest.raises(DatasetError, match=r"Subject07\.txt:2: the frames' folder '/home/author/.*' does not exist"):
        read_subject(file)


def test_a_missing_table_a_missing_file_and_a_binary_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "Patient_files").mkdir()
    file = tmp_path / "Patient_files" / "Subject07.txt"
    with pytest.raises(DatasetError, match=r"Subject07\.txt: the file is missing; expected a patient file"):
        read_subject(file)
    file.write_text(golden("patient_file/ours.txt")[0])
    with pytest.raises(DatasetError, match=r"sacrum_sweep_data\.csv: the file is missing; expected the table"):
        read_subject(file)
    file.write_bytes(b"Subject07\n\xff\xfe\n")
    with pytest.raises(DatasetError, match=r"Subject07\.txt:2: byte 0xff is no UTF-8 text"):
        read_subject(file)


def test_a_folder_without_patient_files_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Patient_files: there is no data set; expected patient files"):
        list_subjects(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the frame is missing"),
        (b"", "the frame is truncated or is no image"),
        (cv2.imencode(".png", GREY)[1].tobytes()[:-20], "the frame is truncated or is no image"),
        (b"not a picture", "the frame is truncated or is no image"),
        (cv2.imencode(".png", GREY[:480, :640])[1].tobytes(), "frame is 640x480 uint8"),
        (cv2.imencode(".png", np.zeros((600, 800, 3), np.uint8))[1].tobytes(), "frame is 3x800x600 uint8"),
        (cv2.imencode(".png", GREY.astype(np.uint16))[1].tobytes(), "frame is 800x600 uint16"),
    ],
    ids=["missing", "empty", "truncated", "text", "small", "colour", "16 bit"],
)
def test_a_broken_frame_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    with SubjectWriter(tmp_path, "A") as writer:
        for _ in range(5):
            writer.add(GREY, 0.0, 0.0)
        subject = read_subject(writer.finish(lambda _: [Bin(0, 0)]))
    file = subject.frames_dir / "sacrum_translation0003.png"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DatasetError) as raised:
        subject.frame(3)
    assert str(raised.value) == f"{file}: {problem}; expected a grey 8-bit PNG of 800x600 pixels"


def test_indices_over_9999_have_more_digits(small_data: Path) -> None:
    subject = read_subject(list_subjects(small_data)[0])
    assert subject.frame_file(7).name == "sacrum_translation0007.png"
    assert subject.frame_file(12345).name == "sacrum_translation12345.png"


# ---------------------------------------------------------------- splits


def test_34_subjects_split_25_4_5() -> None:
    splits = [split_of(index) for index in range(34)]
    assert splits == ["train"] * 25 + ["validation"] * 4 + ["test"] * 5


@pytest.mark.parametrize("index", [-1, 34])
def test_other_subjects_belong_to_no_split(index: int) -> None:
    with pytest.raises(ValueError, match="belongs to no split; the subjects of a data set are 0 to 33"):
        split_of(index)


def _named(root: Path, count: int) -> Path:
    (root / "Patient_files").mkdir()
    for index in range(count):
        (root / "Patient_files" / f"Subject{index:02d}.txt").touch()
    return root


def test_the_splits_of_a_full_data_set(tmp_path: Path) -> None:
    root = _named(tmp_path, 34)
    assert [len(subjects_of(root, split)) for split in ("train", "validation", "test")] == [25, 4, 5]
    assert subjects_of(root, "validation")[0].name == "Subject25.txt"


def test_a_split_that_does_not_exist_is_named(tmp_path: Path) -> None:
    root = _named(tmp_path, 26)
    assert len(subjects_of(root, "validation")) == 1
    with pytest.raises(DatasetError, match="its 26 subjects have no test split; expected 34 subjects: 25 train"):
        subjects_of(root, "test")
    with pytest.raises(ValueError, match="the splits are train, validation, test"):
        subjects_of(root, "dev")  # type: ignore[arg-type]


def test_35_subjects_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="35 subjects; expected at most 34"):
        subjects_of(_named(tmp_path, 35), "train")


# ---------------------------------------------------------------- the writer


def _five_frames(writer: SubjectWriter) -> None:
    for _ in range(5):
        writer.add(GREY, 0.0, 0.0)


def test_an_unfinished_subject_is_not_there_and_a_restart_clears_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), SubjectWriter(tmp_path, "A") as writer:
        _five_frames(writer)
        writer.add(GREY, 0.0, 0.0)
        raise KeyboardInterrupt
    assert not list((tmp_path / "Patient_files").iterdir())
    with SubjectWriter(tmp_path, "A") as writer:
        _five_frames(writer)
        writer.finish(lambda _: [Bin(0, 0)])
    assert len(list((tmp_path / "Sacrum_A" / "sacrum_sweep_frames").iterdir())) == 5
    assert not list(tmp_path.rglob("*.partial"))


def test_a_finished_subject_is_never_written_over(tmp_path: Path) -> None:
    with SubjectWriter(tmp_path, "A") as writer:
        _five_frames(writer)
        file = writer.finish(lambda _: [Bin(0, 0)])
    with pytest.raises(DatasetError, match="the subject is already there"), SubjectWriter(tmp_path, "A"):
        pass
    assert read_subject(file).frame(4) is not None


def test_goals_are_asked_for_with_the_bins(tmp_path: Path) -> None:
    seen = []

    def goals_of(bins: np.ndarray) -> list[Bin]:
        seen.append(bins)
        return [Bin(1, 2), Bin(3, 4)]

    with SubjectWriter(tmp_path, "A") as writer:
        _five_frames(writer)
        subject = read_subject(writer.finish(goals_of))
    assert subject.goals == (Bin(1, 2), Bin(3, 4))
    np.testing.assert_array_equal(seen[0], subject.bins)


def test_what_cannot_be_a_subject_is_refused(tmp_path: Path) -> None:
    with SubjectWriter(tmp_path, "A") as writer:
        with pytest.raises(FrameError, match="expected 800x600"):
            writer.add(GREY[:10], 0.0, 0.0)
        with pytest.raises(DatasetError, match=r"the frame's position is \(nan, 0\.0\)"):
            writer.add(GREY, float("nan"), 0.0)
        with pytest.raises(DatasetError, match="0 frames have a position; a bin needs 5; expected more frames"):
            writer.finish(lambda _: [Bin(0, 0)])
        _five_frames(writer)
        with pytest.raises(DatasetError, match="no bin shows the sacrum; expected at least one goal bin"):
            writer.finish(lambda _: [])
    with pytest.raises(DatasetError, match="name is 'a/b'"):
        SubjectWriter(tmp_path, "a/b")


def test_a_full_disk_names_the_cure_at_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with SubjectWriter(tmp_path, "A") as writer:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(DatasetError, match=r"0000\.png: the disk is full; expected free space: .* then run again"):
            writer.add(GREY, 0.0, 0.0)


def test_a_full_disk_leaves_no_half_patient_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with SubjectWriter(tmp_path, "A") as writer:
        _five_frames(writer)
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(DatasetError, match="the disk is full"):
            writer.finish(lambda _: [Bin(0, 0)])
    assert not list(tmp_path.rglob("*.txt"))
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "Patient_files").write_text("a file where a folder should be")
    with pytest.raises(DatasetError, match="cannot write"), SubjectWriter(tmp_path, "A"):
        pass


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.floats(-0.15, 0.15), st.floats(-0.11, 0.11)), min_size=5, max_size=8))
def test_subjects_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[float, float]]
) -> None:
    root = tmp_path_factory.mktemp("written")
    with SubjectWriter(root, "A") as writer:
        assert [writer.add(GREY + index, *place) for index, place in enumerate(places)] == list(range(len(places)))
        subject = read_subject(writer.finish(lambda _: [Bin(5, 5)]))
    np.testing.assert_array_equal(subject.positions, places)
    np.testing.assert_array_equal(subject.bins, bins_from_positions(np.array(places)))
    assert [int(subject.frame(index)[0, 0]) for index in range(len(places))] == list(range(len(places)))
