"""The virtual backs: the anatomy lies where anatomy lies, every subject has goals, and a record says it all."""

import dataclasses

import numpy as np
import pytest
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import BINS, COLUMN_PITCH, DEPTH, Bin
from us_grid_sim.phantom.bones import NO_BONE, SACRUM_LENGTH, Structure, first_bone
from us_grid_sim.phantom.goal import GOAL_QUALITY, sacrum_view, shows_sacrum, structures
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.subject import (
    INDENTATION_PER_NEWTON,
    JUNCTION_X,
    SPACING,
    anatomical,
    build_phantom,
    contact_pose,
    sample,
)


@pytest.fixture(scope="module")
def mean_record() -> SubjectRecord:
    """The mean adult, straight and centred."""
    return dataclasses.replace(
        sample_subject(0), shift_x=0.0, shift_y=0.0, rotation=0.0, curve=0.0, size=1.0, fat=0.009,
        fat_lateral=0.06, muscle=1.0, asymmetry=0.0, ilium_tilt=0.0, sacral_slope=0.18,
    )  # fmt: skip


def at(s: float, t: float, record: SubjectRecord) -> tuple[float, Structure]:
    depth, structure = first_bone(np.array([s]), np.array([t]), record)
    return float(depth[0]), Structure(structure[0])


def test_a_record_comes_back_from_json() -> None:
    record = sample_subject(3, 7)
    assert SubjectRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 1}'])
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsGridSimError, match="a subject record"):
        SubjectRecord.from_json(text)


def test_the_same_seed_gives_the_same_subject_and_another_index_another() -> None:
    assert sample_subject(1, 2) == sample_subject(1, 2)
    assert sample_subject(1, 2) != sample_subject(1, 3)
    assert sample_subject(1, 2) != sample_subject(2, 2)


def test_structures_lie_where_anatomy_has_them(mean_record: SubjectRecord) -> None:
    assert at(-0.03, 0.0, mean_record)[1] is Structure.SACRUM
    assert at(0.018, 0.0, mean_record)[1] is Structure.L5
    assert at(0.018 + 4 * 0.036, 0.0, mean_record)[1] is Structure.L1
    assert at(-0.03, 0.055, mean_record)[1] is Structure.ILIUM
    assert at(0.174, 0.07, mean_record)[1] is Structure.RIB
    assert at(0.09, 0.09, mean_record) == (NO_BONE, Structure.NONE)
    assert at(-SACRUM_LENGTH - 0.01, 0.0, mean_record)[1] is Structure.NONE


def test_a_spinous_process_is_shallower_than_its_lamina_and_that_than_the_transverse_process(
    mean_record: SubjectRecord,
) -> None:
    middle = 0.018 + 2 * 0.036
    spinous, lamina, transverse = (at(middle + 0.004, t, mean_record)[0] for t in (0.0, 0.008, 0.030))
    assert spinous < 0.010 < lamina < transverse < 0.05


def test_the_median_crest_stands_out_of_the_sacrum(mean_record: SubjectRecord) -> None:
    assert at(-0.03, 0.0, mean_record)[0] < at(-0.03, 0.010, mean_record)[0]


def test_bones_are_mirror_images_in_a_symmetric_subject(mean_record: SubjectRecord) -> None:
    s, t = np.meshgrid(np.linspace(-0.12, 0.19, 80), np.linspace(0.001, 0.1, 60))
    left, right = first_bone(s, -t, mean_record), first_bone(s, t, mean_record)
    assert np.allclose(left[0], right[0])
    assert (left[1] == right[1]).all()


def test_the_spine_is_shifted_and_turned_against_the_grid(mean_record: SubjectRecord) -> None:
    moved = dataclasses.replace(mean_record, shift_x=0.01, shift_y=-0.02, rotation=0.1)
    s, t = anatomical(np.array([JUNCTION_X + 0.01]), np.array([-0.02]), moved)
    assert np.allclose([s, t], 0.0)
    s, t = anatomical(np.array([JUNCTION_X + 0.01 + 0.1 * np.cos(0.1)]), np.array([-0.02 + 0.1 * np.sin(0.1)]), moved)
    assert np.allclose([s[0], t[0]], [0.1, 0.0])


def test_maps_are_read_bilinearly(mean_record: SubjectRecord) -> None:
    skin = build_phantom(mean_record).skin
    a, b = (float(sample(skin, np.array([0.0]), np.array([0.05 + k * SPACING]))[0]) for k in (0, 1))
    between = float(sample(skin, np.array([0.0]), np.array([0.05 + 0.25 * SPACING]))[0])
    assert between == pytest.approx(0.75 * a + 0.25 * b, abs=1e-12)


def test_the_probe_rests_on_the_skin_and_presses_with_the_force(mean_record: SubjectRecord) -> None:
    phantom = build_phantom(mean_record)
    light, firm = (contact_pose(phantom, 0.0, 0.06, force)[2, 3] for force in (0.0, 2.0))
    assert light == pytest.approx(float(sample(phantom.skin, np.array([0.0]), np.array([0.06]))[0]))
    assert firm - light == pytest.approx(2.0 * INDENTATION_PER_NEWTON)


def test_a_contact_pose_is_a_right_handed_rotation_that_leans_outwards_at_the_flank(
    mean_record: SubjectRecord,
) -> None:
    pose = contact_pose(build_phantom(mean_record), 0.0, 0.09, 1.0)
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert pose[1, 2] < -0.1, "on the patient's right the beam points back towards the midline"


def test_ground_truth_names_the_first_bone_and_its_depth(mean_record: SubjectRecord) -> None:
    phantom = build_phantom(mean_record)
    pose = contact_pose(phantom, JUNCTION_X - 0.03, 0.0, 0.0)
    found, depth = structures(phantom, pose)
    assert (found == Structure.SACRUM).all()
    middle = float(sample(phantom.bone, np.array([pose[0, 3]]), np.array([0.0]))[0])
    assert depth[len(depth) // 2] == pytest.approx(middle, abs=0.001)
    lateral, nothing = structures(phantom, contact_pose(phantom, JUNCTION_X + 0.09, 0.09, 1.0))
    assert np.isnan(nothing[lateral == Structure.NONE]).all()
    assert np.nanmax(depth) < DEPTH


def test_the_view_is_best_over_the_crest_and_worsens_to_the_side(mean_record: SubjectRecord) -> None:
    phantom = build_phantom(mean_record)
    views = [sacrum_view(phantom, contact_pose(phantom, JUNCTION_X - 0.03, y, 1.0)) for y in (0.0, 0.01, 0.02, 0.04)]
    assert views[0] == pytest.approx(1.0, abs=0.02)
    assert views == sorted(views, reverse=True)
    assert views[-1] == 0.0 < GOAL_QUALITY < views[1]


@pytest.mark.parametrize("index", range(16))
def test_every_subject_has_a_few_goal_bins_that_hang_together(index: int) -> None:
    phantom = build_phantom(sample_subject(11, index))
    goals = {
        Bin.from_state(state)
        for state in range(BINS)
        if shows_sacrum(phantom, contact_pose(phantom, *Bin.from_state(state).center, 1.0))
    }
    assert 2 <= len(goals) <= 14
    reached, border = set(), {min(goals)}
    while border:
        reached |= border
        border = {
            goal
            for goal in goals - reached
            if any(abs(goal.row - at.row) + abs(goal.column - at.column) == 1 for at in reached)
        }
    assert reached == goals
    assert all(abs(goal.center[0] - JUNCTION_X) < SACRUM_LENGTH + 2 * COLUMN_PITCH for goal in goals)
