"""Goal bins of every target: what a frame must show for it, which bins are chosen, and the file that holds them."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.dataset.layout import SubjectWriter
from us_grid_sim.dataset.targets import format_targets, parse_targets, read_targets, targets_file
from us_grid_sim.errors import DatasetError, UsGridSimError
from us_grid_sim.geometry import BINS, COLUMNS, PROBE_WIDTH, ROWS, Bin
from us_grid_sim.phantom.goal import GOAL_QUALITY, FrameTruth, View, frame_truth, goal_bins
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.spine import lay_out
from us_grid_sim.phantom.subject import JUNCTION_X, Phantom, Structure, build_phantom, contact_pose
from us_grid_sim.phantom.target import Target

LUMBAR = (Target.L5, Target.L4, Target.L3)
JOINTS = (Target.SACROILIAC_LEFT, Target.SACROILIAC_RIGHT)
NONE, SACRUM, ILIUM, L5, L4, L3 = (Structure[name] for name in ("NONE", "SACRUM", "ILIUM", "L5", "L4", "L3"))


def truth(*parts: tuple[int, Structure, float], offset: float = 0.0) -> FrameTruth:
    """A frame of scan lines in runs of (lines, first bone, its depth [m]), ``offset`` [m] from the midline."""
    structure = np.concatenate([np.full(count, bone, dtype=np.int64) for count, bone, _ in parts])
    depth = np.concatenate([np.full(count, depth if bone else np.nan) for count, bone, depth in parts])
    return FrameTruth(structure, depth, offset, offset, level=1.0)


def vertebra(
    process: Structure = L4, laminae: Structure = L4, facets: Structure = L4, offset: float = 0.0
) -> FrameTruth:
    """A spinous process of ten lines, 25 mm over laminae of forty and articular processes of ten a side."""
    return truth(
        (18, NONE, 0.0), (10, facets, 0.031), (20, laminae, 0.035), (10, process, 0.010), (20, laminae, 0.035),
        (10, facets, 0.031), (12, NONE, 0.0), offset=offset,
    )  # fmt: skip


EMPTY = truth((100, NONE, 0.0))


# ---------------------------------------------------------------- a vertebra


def test_a_vertebra_is_its_spinous_process_and_what_lies_beside_it() -> None:
    assert vertebra().view(Target.L4) == View(1.0, 0.7)
    half = vertebra(facets=L5).view(Target.L4)
    assert half == View(pytest.approx((1.0 + 40 / 60) / 2), pytest.approx(0.5))


def test_the_process_names_the_vertebra() -> None:
    """Its tip hangs down behind the laminae of the next one."""
    frame = vertebra(process=L3)
    assert frame.view(Target.L4) == View(0.0, pytest.approx(0.6))
    assert frame.view(Target.L3).quality == pytest.approx(0.5)


def test_between_two_spinous_processes_no_vertebra_is_shown() -> None:
    """Articular processes, which stand behind the laminae too, are none."""
    assert truth((20, L4, 0.031), (60, L4, 0.035), (20, L4, 0.027)).view(Target.L4).quality == 0.0


def test_a_vertebra_is_worth_less_the_further_its_midline_lies_from_the_middle() -> None:
    qualities = [vertebra(offset=sign * mm * 1e-3).view(Target.L4).quality for mm in (0, 5, 15) for sign in (1, -1)]
    assert qualities == pytest.approx([1.0, 1.0, 0.8, 0.8, 0.4, 0.4])
    assert vertebra(offset=PROBE_WIDTH).view(Target.L4) == View(0.0, 0.0)


def test_a_process_over_the_sacrum_does_not_make_the_sacrum_l5() -> None:
    frame = truth((40, SACRUM, 0.030), (12, L5, 0.015), (48, SACRUM, 0.030))
    assert frame.view(Target.L5).quality >= GOAL_QUALITY
    assert frame.shows(Target.SACRUM)
    assert not frame.shows(Target.L5)


# ---------------------------------------------------------------- a joint


def joint(gap: int = 4, between: Structure = NONE, step: float = 0.0, medial: int = 48) -> FrameTruth:
    """The right joint: sacrum towards the midline, then a gap of so many half millimetres, then the ilium."""
    return truth((medial, SACRUM, 0.030), (gap, between, 0.03), (100 - medial - gap, ILIUM, 0.030 - step))


def test_a_joint_is_sacrum_and_ilium_with_the_gap_in_the_middle() -> None:
    assert joint().view(Target.SACROILIAC_RIGHT).quality == pytest.approx(0.96)
    off = joint(medial=28).view(Target.SACROILIAC_RIGHT)
    assert off.quality == pytest.approx(0.96 * (1.0 - 10 / 25))
    assert off.trace == off.quality


@pytest.mark.parametrize("frame", [joint(gap=40, medial=30), joint(step=0.020), joint(step=-0.020)])
def test_bones_too_far_apart_are_no_joint(frame: FrameTruth) -> None:
    view = frame.view(Target.SACROILIAC_RIGHT)
    assert view.quality == 0.0
    assert view.trace > GOAL_QUALITY


@pytest.mark.parametrize(
    "frame", [joint(between=L5), truth((50, ILIUM, 0.03), (50, SACRUM, 0.03)), truth((99, ILIUM, 0.02))]
)
def test_without_sacrum_beside_ilium_there_is_no_joint_of_that_side(frame: FrameTruth) -> None:
    assert frame.view(Target.SACROILIAC_RIGHT) == View(0.0, 0.0)


bones = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(Structure), st.floats(0.005, 0.065)), min_size=1, max_size=9
)


@given(bones, st.floats(-0.03, 0.03))
def test_mirrored_a_frame_shows_the_other_joint_and_the_same_of_all_else(
    parts: list[tuple[int, Structure, float]], offset: float
) -> None:
    frame, mirrored = truth(*parts, offset=offset), truth(*parts[::-1], offset=-offset)
    swapped = dict(zip(JOINTS, JOINTS[::-1], strict=True))
    for target in Target:
        view, other = frame.view(target), mirrored.view(swapped.get(target, target))
        assert (view.quality, view.trace) == pytest.approx((other.quality, other.trace))
        assert 0.0 <= view.quality <= 1.0


@given(bones, st.floats(-0.03, 0.03))
def test_a_frame_shows_one_vertebra_at_most(parts: list[tuple[int, Structure, float]], offset: float) -> None:
    frame = truth(*parts, offset=offset)
    assert sum(frame.view(target).quality > 0.0 for target in LUMBAR) <= 1


# ---------------------------------------------------------------- in the body


@pytest.fixture(scope="module")
def subject() -> Phantom:
    """A straight back in the middle of the grid, no variants."""
    record = dataclasses.replace(
        sample_subject(0, 0), shift_x=0.0, shift_y=0.0, rotation=0.0, roll=0.0, curve=0.0, axial_rotation=0.0,
        ilium_tilt=0.0,
    )  # fmt: skip
    return build_phantom(record)


def over(subject: Phantom, level: str, c: float) -> float:
    """Where along x [m] the probe stands over a vertebra's spinous process, ``c`` [mm] along it (-22 to -1)."""
    (place,) = (vertebra for vertebra in lay_out(subject.record).vertebrae if vertebra.name == level)
    return JUNCTION_X + float(place.place(c, 0.0, place.spinous_tip + 4.5)[0])


@pytest.mark.parametrize("target", LUMBAR)
def test_over_its_spinous_process_a_vertebra_alone_is_shown(subject: Phantom, target: Target) -> None:
    frame = frame_truth(subject, contact_pose(subject, over(subject, target.name, -12.0), 0.0, 1.0))
    assert {shown for shown in Target if frame.shows(shown)} == {target}


def test_between_l3_and_l4_nothing_is_shown(subject: Phantom) -> None:
    x = (over(subject, "L3", -22.5) + over(subject, "L4", 1.0)) / 2
    frame = frame_truth(subject, contact_pose(subject, x, 0.0, 1.0))
    assert frame.shown & {Structure.L3, Structure.L4}
    assert not any(frame.shows(target) for target in Target)


@pytest.mark.parametrize(("name", "level"), [("L5", 0.0), ("L4", 1.0), ("L3", 2.0), ("L1", 4.0)])
def test_the_level_counts_spinous_processes_from_l5_up(subject: Phantom, name: str, level: float) -> None:
    frame = frame_truth(subject, contact_pose(subject, over(subject, name, -11.5), 0.0, 1.0))
    assert frame.level == pytest.approx(level, abs=0.15)


def test_the_level_grows_evenly_between_two_processes_and_beyond_the_last() -> None:
    spine = lay_out(sample_subject(3, 1))
    ends = {one.name: float(one.place(*one.spinous_end)[0]) for one in spine.vertebrae}
    l5, l4, t11 = ends["L5"], ends["L4"], ends["T11"]
    assert spine.level(0.75 * l5 + 0.25 * l4) == pytest.approx(0.25)
    assert spine.level(l5 - 2 * (l4 - l5)) == pytest.approx(-2.0)
    assert spine.level(t11 + 0.5 * (t11 - ends["T12"])) == pytest.approx(6.5)


def test_the_level_is_told_where_the_leaning_plane_meets_bone(subject: Phantom) -> None:
    """A plane that leans cranially by 0.2 cuts the process some 5 mm, a fifth of a level, further up."""
    x = over(subject, "L3", -11.5)
    upright, leaning = (frame_truth(subject, contact_pose(subject, x, 0.0, 1.0, pitch=pitch)) for pitch in (0.0, 0.2))
    assert 0.05 < abs(leaning.level - upright.level) < 0.5


def test_left_and_right_are_the_patients(subject: Phantom) -> None:
    """Which is where y grows."""
    shown = {
        y: {
            target
            for target in Target
            if frame_truth(subject, contact_pose(subject, JUNCTION_X - 0.04, y, 1.0)).shows(target)
        }
        for y in (-0.045, 0.045)
    }
    assert shown == {-0.045: {Target.SACROILIAC_LEFT}, 0.045: {Target.SACROILIAC_RIGHT}}


def test_a_sacralised_fifth_vertebra_remains_l5(subject: Phantom) -> None:
    fused = build_phantom(dataclasses.replace(subject.record, sacralised_left=1.0, sacralised_right=1.0))
    frame = frame_truth(fused, contact_pose(fused, over(fused, "L5", -8.0), 0.0, 1.0))
    assert frame.shows(Target.L5)


# ---------------------------------------------------------------- the bins


def grid_of(**frames: FrameTruth) -> list[FrameTruth]:
    """Truths by state: a frame for each of the bins ``b<state>``, empty ones elsewhere."""
    return [frames.get(f"b{state}", EMPTY) for state in range(BINS)]


SACRAL = truth((100, SACRUM, 0.030))
LEFT = truth((48, ILIUM, 0.030), (4, NONE, 0.0), (48, SACRUM, 0.030), offset=-0.045)
RIGHT = truth((48, SACRUM, 0.030), (4, NONE, 0.0), (48, ILIUM, 0.030), offset=0.045)
ALL = {
    "b76": SACRAL, "b81": vertebra(L5, L5, L5), "b82": vertebra(), "b83": vertebra(L3, L3, L3),
    "b33": LEFT, "b108": RIGHT,
}  # fmt: skip


def test_every_bin_that_shows_a_target_is_its_goal() -> None:
    goals = goal_bins(grid_of(**ALL, b67=vertebra(offset=0.005), b77=SACRAL))
    assert goals == {
        Target.SACRUM: (Bin(5, 1), Bin(5, 2)),
        Target.L5: (Bin(5, 6),),
        Target.L4: (Bin(4, 7), Bin(5, 7)),
        Target.L3: (Bin(5, 8),),
        Target.SACROILIAC_LEFT: (Bin(2, 3),),
        Target.SACROILIAC_RIGHT: (Bin(7, 3),),
    }


def test_a_target_that_no_bin_shows_has_its_best_bin() -> None:
    """First by quality, then by how much of it is seen."""
    frames = ALL | {"b82": vertebra(offset=0.020), "b97": vertebra(offset=-0.015)}
    assert goal_bins(grid_of(**frames))[Target.L4] == (Bin(6, 7),)
    frames = ALL | {
        "b82": vertebra(process=L3),
        "b97": truth((20, L4, 0.04)),
        "b67": truth((10, L4, 0.04), (10, NONE, 0.0)),
    }
    assert goal_bins(grid_of(**frames))[Target.L3] == (Bin(5, 7), Bin(5, 8))
    assert goal_bins(grid_of(**frames))[Target.L4] == (Bin(6, 7),)


def test_the_best_bin_is_no_goal_of_another_target() -> None:
    """The process of L5 is seen best where the sacrum is shown."""
    hanging = truth((40, SACRUM, 0.030), (12, L5, 0.015), (48, SACRUM, 0.030))
    poor = vertebra(L5, L5, L5, offset=0.020)
    assert hanging.view(Target.L5) > poor.view(Target.L5)
    goals = goal_bins(grid_of(**ALL | {"b76": hanging, "b81": poor}))
    assert (goals[Target.SACRUM], goals[Target.L5]) == ((Bin(5, 1),), (Bin(5, 6),))


def test_two_targets_do_not_share_a_best_bin() -> None:
    frames = ALL | {"b82": truth((30, L4, 0.04), (30, L3, 0.04)), "b83": truth((9, L3, 0.04), (91, NONE, 0.0))}
    goals = goal_bins(grid_of(**frames))
    assert (goals[Target.L4], goals[Target.L3]) == ((Bin(5, 7),), (Bin(5, 8),))


def test_a_target_of_which_nothing_is_seen_is_an_error() -> None:
    with pytest.raises(UsGridSimError, match=r"no frame shows anything of l4; expected one that meets its bone"):
        goal_bins(grid_of(**ALL | {"b82": EMPTY}))


# ---------------------------------------------------------------- the file

a_bin = st.builds(Bin, st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1))
some_bins = st.lists(a_bin, min_size=1, max_size=12, unique=True).map(tuple)
GOALS = {target: (Bin(number, 3), Bin(number, 4)) for number, target in enumerate(Target)}


@given(st.fixed_dictionaries(dict.fromkeys(Target, some_bins)))
def test_what_is_written_is_read(targets: dict[Target, tuple[Bin, ...]]) -> None:
    assert parse_targets(format_targets(targets), Path("targets.json")) == targets


def test_the_file_is_an_object_of_lists_of_pairs() -> None:
    content = json.loads(format_targets(GOALS))
    assert list(content) == ["sacrum", "l5", "l4", "l3", "sacroiliac_left", "sacroiliac_right"]
    assert content["l4"] == [[2, 3], [2, 4]]


def replaced(**changes: object) -> str:
    return json.dumps(json.loads(format_targets(GOALS)) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"targets\.json:1: it is no JSON"),
        ("[]", "it holds no object; expected an object of the targets sacrum, l5, l4, l3, sacroiliac_left"),
        (format_targets(GOALS).replace(' "l4": [[2, 3], [2, 4]],\n', ""), "'l4' is missing; expected an object"),
        (replaced(l2=[[1, 1]]), "'l2' is no target; expected an object"),
        (replaced(l4=[]), "l4: it has no bins; expected bins"),
        (replaced(l4=3), "l4: it has no bins; expected bins"),
        (replaced(l4=[[11, 0]]), r"l4: \[11, 0\] is no bin; expected bins .* rows 0 to 10, columns 0 to 14"),
        (replaced(l4=[[0, -1]]), r"l4: \[0, -1\] is no bin"),
        (replaced(l4=[[1]]), r"l4: \[1\] is no bin"),
        (replaced(l4=[[1, 2.0]]), r"l4: \[1, 2\.0\] is no bin"),
        (replaced(l4=[[1, True]]), r"l4: \[1, true\] is no bin"),
        (replaced(l4=["12"]), r'l4: "12" is no bin'),
        (replaced(l4=[[1, 2], [1, 2]]), r"l4: \[1, 2\] stands there a second time"),
    ],
)
def test_what_is_no_file_of_targets_is_named(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_targets(text, Path("targets.json"))


@pytest.fixture
def patient_file(tmp_path: Path) -> Path:
    """A subject with the sacrum's goals of GOALS."""
    with SubjectWriter(tmp_path, "A") as writer:
        for _ in range(5):
            writer.add(np.full((600, 800), 9, np.uint8), 0.0, 0.0)
        return writer.finish(lambda _: GOALS[Target.SACRUM])


def test_the_targets_of_a_subject_lie_beside_its_record(patient_file: Path, tmp_path: Path) -> None:
    file = targets_file(tmp_path, "A")
    assert file == tmp_path / "Sacrum_A" / "targets.json"
    file.write_text(format_targets(GOALS))
    assert read_targets(patient_file) == GOALS


def change_sacrum(file: Path) -> None:
    file.write_text(format_targets(GOALS | {Target.SACRUM: (Bin(5, 1),)}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            Path.unlink,
            r"targets\.json: the file is missing; expected the goal bins of each target, which `usnav dataset",
        ),
        (change_sacrum, r"the sacrum's bins are 5,1; expected 0,3 0,4, the patient file's"),
    ],
)
def test_targets_that_are_missing_or_contradict_are_refused(
    patient_file: Path, spoil: Callable[[Path], None], message: str
) -> None:
    file = targets_file(patient_file.parent.parent, "A")
    file.write_text(format_targets(GOALS))
    spoil(file)
    with pytest.raises(DatasetError, match=message):
        read_targets(patient_file)
