"""The virtual backs: the anatomy lies where anatomy lies, every subject has goals, and a record says it all."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import spatial
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import BINS, PROBE_WIDTH, Bin
from us_grid_sim.phantom.build import axis
from us_grid_sim.phantom.goal import GOAL_QUALITY, frame_truth, shows_sacrum
from us_grid_sim.phantom.pelvis import JOINT_GAP
from us_grid_sim.phantom.record import LEVELS, SubjectRecord, sample_subject
from us_grid_sim.phantom.spine import MM, SIZES, lay_out
from us_grid_sim.phantom.subject import (
    INDENTATION_PER_NEWTON,
    JUNCTION_X,
    Phantom,
    Structure,
    anatomical,
    build_phantom,
    contact_force,
    contact_pose,
    indentation,
    sample,
)
from us_grid_sim.phantom.target import Target
from us_grid_sim.phantom.tissue import ACOUSTICS, FIBRE_ANGLE, MUSCLES, Tissue, fibre_direction
from us_grid_sim.phantom.unevenness import Uneven, uneven
from us_grid_sim.phantom.vertebra import vertebra
from us_grid_sim.phantom.volume import FAR, LOWER, SHAPE, SPACING, Field, classify


def mean_record(**changes: float | tuple[float, ...]) -> SubjectRecord:
    """The mean adult, straight, centred and symmetric, without variants."""
    ones, zeros = (1.0,) * len(LEVELS), (0.0,) * len(LEVELS)
    return dataclasses.replace(
        sample_subject(0), shift_x=0.0, shift_y=0.0, rotation=0.0, size=1.0, lordosis=np.deg2rad(45.0), disc=1.0,
        sacral_slope=np.deg2rad(32.0), sacral_kyphosis=np.deg2rad(42.0), curve=0.0, axial_rotation=0.0,
        vertebra_scale=ones, spinous_deviation=zeros, spinous_length=ones, transverse_left=ones, transverse_right=ones,
        sacrum_width=1.0, sacrum_length=1.0, crest_height=0.008, foramen=1.0, psis_half_distance=0.045,
        ilium_flare=np.deg2rad(27.0), crest_level=0.045, ilium_tilt=0.0, fat=0.010, fat_lateral=1.6, fat_sacral=1.1,
        gluteal_bulge=0.015, muscle=1.0, asymmetry=0.0, groove=0.005, half_width=0.162, flatness=0.55, stiffness=1.0,
        flank=1.0, pennation=1.0, fascicle=1.0, roll=0.0, following=0.75,
        **{"unevenness": 0.0, "sacralised_left": 0.0, "sacralised_right": 0.0, "open_arch": 0.0, "hiatus": 0.80,
           "tubercles": (1.0,) * 4, **changes},
    )  # fmt: skip


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return build_phantom(mean_record())


@pytest.fixture(scope="module", params=range(4))
def subject(request: pytest.FixtureRequest) -> Phantom:
    """Sampled ones."""
    return build_phantom(sample_subject(5, request.param))


@pytest.fixture(scope="module")
def variant() -> Phantom:
    """The mean adult with all variants at once: each shows at a place of its own."""
    return build_phantom(
        mean_record(
            sacralised_left=0.5, sacralised_right=1.0, open_arch=0.006, hiatus=0.60, tubercles=(1.0, 0.3, 1.0, 1.0)
        )
    )


def bones_below(phantom: Phantom, s: float, t: float) -> tuple[Structure, float]:
    """The first bone below a place of the straight mean adult, and its depth below the skin [m]."""
    z = torch.from_numpy(axis(2)).float()
    x, y = torch.full_like(z, JUNCTION_X + s), torch.full_like(z, t)
    inside = (phantom.volume.read_bone(x, y, z) < 0).nonzero()
    if not len(inside):
        return Structure.NONE, np.inf
    first = int(inside[0])
    nearest = phantom.volume.read_nearest_bone(x[first], y[first], z[first])
    return Structure(int(nearest)), float(z[first]) - float(sample(phantom.skin, JUNCTION_X + s, t))


def test_a_back_is_uneven_by_what_its_record_says() -> None:
    s, t = np.meshgrid(np.linspace(-0.15, 0.2, 200), np.linspace(-0.12, 0.12, 150), indexing="ij")
    record = mean_record(unevenness=0.12)
    fat, again = (uneven(Uneven.FAT, s, t, record) for _ in range(2))
    assert np.array_equal(fat, again)
    assert 0.06 < fat.std() < 0.14
    assert np.abs(np.diff(fat, axis=0)).max() < 0.05, "smooth: no step between places 2 mm apart"
    assert abs(np.corrcoef(fat.ravel(), fat[:, ::-1].ravel())[0, 1]) < 0.5, "left and right differ"
    assert abs(np.corrcoef(fat.ravel(), uneven(Uneven.WALL, s, t, record).ravel())[0, 1]) < 0.5
    assert not uneven(Uneven.FAT, s, t, mean_record(unevenness=0.0)).any()


def test_the_spine_has_the_lordosis_of_its_record_and_the_transverse_span_of_the_literature() -> None:
    layout = lay_out(mean_record())
    slopes = {
        vertebra.name: np.arctan2(vertebra.rotation[2, 0], vertebra.rotation[0, 0]) for vertebra in layout.vertebrae
    }
    ordered = [slopes[name] for name in ("L1", "L2", "L3", "L4", "L5")]
    assert ordered == sorted(ordered)
    # From the middle of L5 to that of L1 less half of both bodies and the lumbosacral disc.
    assert np.deg2rad(32.0) - slopes["L1"] == pytest.approx(np.deg2rad(45.0), abs=np.deg2rad(1.0))
    third = layout.vertebrae[LEVELS.index("L3")]
    left, right = (third.place(4, side * SIZES["L3"].transverse_span / 2, -10) for side in (-1, 1))
    span = right - left
    assert np.linalg.norm(span) == pytest.approx(85.7 * MM)
    pitch = np.diff([vertebra.origin[0] for vertebra in layout.vertebrae])
    assert (pitch < -0.025).all(), "T11 to L5, cranial to caudal"


def test_bones_lie_where_anatomy_has_them(phantom: Phantom) -> None:
    layout = lay_out(mean_record())
    tips = {v.name: v.place(-10.0, 0.0, v.spinous_tip + 3.0)[0] for v in layout.vertebrae}
    for name in ("L1", "L2", "L3", "L4", "L5"):
        assert bones_below(phantom, tips[name], 0.0)[0] is Structure[name]
        tip_of_transverse = layout.vertebrae[LEVELS.index(name)].place(6.0, 30.0, -12.0)
        assert bones_below(phantom, tip_of_transverse[0], tip_of_transverse[1])[0] is Structure[name]
    assert bones_below(phantom, -0.03, 0.0)[0] is Structure.SACRUM
    assert bones_below(phantom, -0.04, 0.05)[0] is Structure.ILIUM
    assert bones_below(phantom, 0.02, 0.09)[0] is Structure.ILIUM
    assert bones_below(phantom, 0.09, 0.09)[0] is Structure.NONE


def test_a_spinous_process_is_shallower_than_its_lamina_and_that_than_the_transverse_process(phantom: Phantom) -> None:
    third = lay_out(mean_record()).vertebrae[LEVELS.index("L3")]
    places = [third.place(-10.0, 0.0, -50.0), third.place(-8.0, 7.0, -24.0), third.place(5.0, 32.0, -11.0)]
    spinous, lamina, transverse = (bones_below(phantom, place[0], place[1])[1] for place in places)
    assert spinous < 0.022 < lamina < transverse < 0.065


def test_the_sacrum_has_a_crest_and_foramina(phantom: Phantom) -> None:
    layout = lay_out(mean_record())
    second = layout.sacrum_s[-1] - 0.32 * layout.sacrum_length
    crest, groove = (bones_below(phantom, second, t)[1] for t in (0.0, 0.006))
    assert groove - crest > 0.003
    hole = layout.sacrum_s[-1] - 0.39 * layout.sacrum_length
    assert bones_below(phantom, hole, 0.0155)[1] - bones_below(phantom, hole, 0.009)[1] > 0.004


def fifth_lumbar(**changes: float) -> tuple[torch.Tensor, float]:
    """Distances of the mean adult's L5 [mm] on (c, r, a), r from 58 mm left to right, and their spacing [mm]."""
    record, spacing = mean_record(**changes), 0.5
    c, r, a = (torch.arange(low, high + spacing, spacing) for low, high in ((-25, 25), (-58, 58), (-25, 10)))
    return vertebra((c[:, None, None], r[:, None], a), lay_out(record).vertebrae[-1], record), spacing


def height_of_transverse_process(**changes: float) -> float:
    """The greatest, craniocaudally, of the right one of L5, beyond 34 mm from the midline [mm]."""
    distance, spacing = fifth_lumbar(**changes)
    beyond = round((58 + 34) / spacing)
    return spacing * float((distance[:, beyond:] < 0.0).any(dim=2).sum(dim=0).max())


def test_the_transverse_process_of_a_sacralised_fifth_vertebra_is_high() -> None:
    heights = [height_of_transverse_process(sacralised_right=grade) for grade in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert heights[0] < 13.0
    assert heights[2] >= 19.0, "Castellvi I"
    assert heights == sorted(heights)
    assert max(np.diff(heights)) < 6.0, "smoothly with the grade"


def test_each_side_of_the_fifth_vertebra_is_sacralised_for_itself() -> None:
    normal, left, right = (
        fifth_lumbar(**side)[0] for side in ({}, {"sacralised_left": 0.8}, {"sacralised_right": 0.8})
    )
    middle = normal.shape[1] // 2
    assert torch.allclose(left, right.flip(1), atol=1e-4)
    assert torch.equal(left[:, middle:], normal[:, middle:])
    assert float((normal - left).max()) > 5.0


def test_a_wing_is_given_by_distances() -> None:
    distance, spacing = fifth_lumbar(sacralised_right=1.0)
    wing = distance[:, round((58 + 32) / spacing) :]
    lengths = torch.stack(torch.gradient(wing, spacing=spacing)).norm(dim=0)[wing.abs() < 1.0]
    assert float(lengths.median()) == pytest.approx(1.0, abs=0.1)
    assert float(lengths.min()) > 0.8
    assert float(lengths.max()) < 1.35


def gap_to_the_ala(phantom: Phantom, side: float) -> float:
    """From the transverse process of L5 on a side to the sacrum, beyond 30 mm from the midline [m]."""
    bone = phantom.volume.distances[..., Field.BONE] < 0
    lateral = torch.from_numpy(side * axis(1) > 0.030)[:, None]
    process, ala = (
        (bone & lateral & (phantom.volume.nearest_bone == name)).nonzero().double()
        for name in (Structure.L5, Structure.SACRUM)
    )
    return SPACING * float(spatial.cKDTree(ala.numpy()).query(process.numpy())[0].min())


def test_the_wing_of_a_sacralised_vertebra_reaches_the_ala(phantom: Phantom, variant: Phantom) -> None:
    assert gap_to_the_ala(phantom, 1.0) > 0.008
    assert 0.003 < gap_to_the_ala(variant, -1.0) < 0.008, "at grade 0.5 it comes near"
    assert SPACING < gap_to_the_ala(variant, 1.0) <= 0.003, "at grade 1 a narrow joint is left"


def depth_on_the_sacrum(phantom: Phantom, part: float, t: float = 0.0) -> float:
    """Height z of bone at a part of the sacrum's length [m]; the skin goes with the bone, z does not."""
    layout = lay_out(mean_record())
    s = float(layout.sacrum_s[-1] - part * layout.sacrum_length)
    structure, depth = bones_below(phantom, s, t)
    assert structure is Structure.SACRUM
    return depth + float(sample(phantom.skin, JUNCTION_X + s, t))


def test_an_open_arch_has_no_bone_in_the_midline_of_the_first_sacral_vertebra(
    phantom: Phantom, variant: Phantom
) -> None:
    deeper = {part: depth_on_the_sacrum(variant, part) - depth_on_the_sacrum(phantom, part) for part in (0.06, 0.12)}
    assert all(step > 0.005 + 0.35 * 0.008 for step in deeper.values()), "neither the crest nor a lamina"
    beside = [depth_on_the_sacrum(p, 0.10, 0.009) for p in (variant, phantom)]
    assert beside[0] == pytest.approx(beside[1], abs=0.0005), "the laminae beside the cleft are there"
    below = [depth_on_the_sacrum(p, 0.25, 0.004) for p in (variant, phantom)]
    assert below[0] == pytest.approx(below[1], abs=0.001), "the second arch is closed"


def test_the_hiatus_begins_where_the_record_says(phantom: Phantom, variant: Phantom) -> None:
    step = depth_on_the_sacrum(variant, 0.75) - depth_on_the_sacrum(phantom, 0.75)
    assert step > 0.007, "more than the crest is missing there"
    assert depth_on_the_sacrum(variant, 0.92) == pytest.approx(depth_on_the_sacrum(phantom, 0.92), abs=0.0005)


def test_a_tubercle_can_be_low(phantom: Phantom, variant: Phantom) -> None:
    lower = depth_on_the_sacrum(variant, 0.32) - depth_on_the_sacrum(phantom, 0.32)
    assert lower == pytest.approx(0.7 * 0.65 * 0.008, abs=0.001)


def test_sacrum_and_ilium_do_not_touch(phantom: Phantom) -> None:
    near = phantom.volume.distances[..., Field.BONE].float() < 0
    sacrum = near & (phantom.volume.nearest_bone == Structure.SACRUM)
    ilium = near & (phantom.volume.nearest_bone == Structure.ILIUM)
    grown = torch.nn.functional.max_pool3d(sacrum.float()[None, None], (1, 3, 1), stride=1, padding=(0, 1, 0))[0, 0] > 0
    assert JOINT_GAP > 2 * SPACING
    assert not (grown & ilium).any(), "at least one point of the grid lies between them"
    wide = sacrum.float()[None, None]
    # A cube grows along one axis after another: the same, in a fraction of the time.
    for reach in ((6, 0, 0), (0, 6, 0), (0, 0, 6)):
        wide = torch.nn.functional.max_pool3d(wide, tuple(2 * r + 1 for r in reach), stride=1, padding=reach)
    assert ((wide[0, 0] > 0) & ilium).any(), "but they meet at the joint"


def test_a_symmetric_subject_is_its_mirror_image(phantom: Phantom) -> None:
    distances = phantom.volume.distances.float()
    assert torch.allclose(distances, distances.flip(1), atol=0.05)


@pytest.mark.parametrize("name", ["phantom", "variant"])
def test_distances_are_distances_near_the_surface(name: str, request: pytest.FixtureRequest) -> None:
    bone = request.getfixturevalue(name).volume.distances[..., Field.BONE].float() * 1e-3
    gradient = torch.stack(torch.gradient(bone, spacing=SPACING)).norm(dim=0)
    near = bone.abs() < 0.0015
    lengths = gradient[near]
    assert float(lengths.median()) == pytest.approx(1.0, abs=0.12)
    assert float((lengths > 0.6).float().mean()) > 0.85


def test_a_surface_read_between_the_points_of_the_grid_is_smooth(phantom: Phantom) -> None:
    x = torch.full((400,), JUNCTION_X - 0.04)
    y = torch.linspace(-0.02, 0.02, 400)
    z = torch.stack([torch.linspace(0.0, 0.06, 1200)] * 400)
    inside = phantom.volume.read_bone(x[:, None].expand_as(z), y[:, None].expand_as(z), z) < 0
    depth = inside.int().argmax(1) * (0.06 / 1199)
    steps = depth.diff().abs()
    assert float(steps.max()) < 0.0006, "a tenth of a millimetre aside the surface never steps by a voxel"


def test_every_tissue_is_there_in_the_order_of_the_body(phantom: Phantom) -> None:
    labels = phantom.volume.labels()
    assert labels.shape == SHAPE
    assert set(labels.unique().tolist()) == set(Tissue)
    seen = tissues_below(phantom, JUNCTION_X + 0.08, 0.045)
    assert seen[:5] == [Tissue.AIR, Tissue.SKIN, Tissue.FAT, Tissue.FASCIA, Tissue.ERECTOR_SPINAE]
    muscles = [tissue for tissue in tissues_below(phantom, JUNCTION_X + 0.09, 0.105) if tissue in MUSCLES]
    assert muscles == [Tissue.EXTERNAL_OBLIQUE, Tissue.INTERNAL_OBLIQUE, Tissue.TRANSVERSUS]


def tissues_below(phantom: Phantom, x: float, y: float) -> list[Tissue]:
    """The tissues from the air down at a place, each once where it begins."""
    z = torch.arange(LOWER[2], 0.09, 0.0001)
    column = classify(phantom.volume.read(torch.full_like(z, x), torch.full_like(z, y), z)).tolist()
    return [Tissue(value) for value, before in zip(column, [None, *column], strict=False) if value != before]


def test_no_bone_comes_through_the_fascia(subject: Phantom) -> None:
    bone, fascia = (subject.volume.distances[..., field].float() for field in (Field.BONE, Field.FASCIA))
    assert not ((bone < 0) & (fascia < 0)).any()


def test_every_tissue_has_its_acoustics_and_every_muscle_its_fibres() -> None:
    assert set(ACOUSTICS) == set(Tissue)
    assert set(FIBRE_ANGLE) == set(MUSCLES)
    for muscle in MUSCLES:
        right, left = fibre_direction(muscle, 1.0), fibre_direction(muscle, -1.0)
        assert np.hypot(*right) == pytest.approx(1.0)
        assert right == pytest.approx((left[0], -left[1]))
    with pytest.raises(KeyError):
        fibre_direction(Tissue.FAT, 1.0)


def test_the_spine_is_shifted_and_turned_against_the_grid() -> None:
    moved = dataclasses.replace(mean_record(), shift_x=0.01, shift_y=-0.02, rotation=0.1)
    s, t = anatomical(np.array([JUNCTION_X + 0.01]), np.array([-0.02]), moved)
    assert np.allclose([s, t], 0.0)
    s, t = anatomical(np.array([JUNCTION_X + 0.01 + 0.1 * np.cos(0.1)]), np.array([-0.02 + 0.1 * np.sin(0.1)]), moved)
    assert np.allclose([s[0], t[0]], [0.1, 0.0])


def test_maps_are_read_bilinearly(phantom: Phantom) -> None:
    a, b = (float(sample(phantom.skin, 0.0, 0.05 + k * SPACING)) for k in (0, 1))
    assert float(sample(phantom.skin, 0.0, 0.05 + 0.25 * SPACING)) == pytest.approx(0.75 * a + 0.25 * b, abs=1e-12)


def test_the_probe_rests_on_the_skin_and_presses_with_the_force(phantom: Phantom) -> None:
    light, firm, hard = (contact_pose(phantom, 0.0, 0.06, force)[2, 3] for force in (0.0, 0.1, 20.0))
    assert light == pytest.approx(float(sample(phantom.skin, 0.0, 0.06)))
    assert firm - light == pytest.approx(0.1 * INDENTATION_PER_NEWTON, rel=0.02)
    assert hard - light < 0.5 * float(sample(phantom.rigid, 0.0, 0.06))


@given(force=st.floats(0.01, 8.0))
def test_the_force_of_an_indentation_is_the_one_that_made_it(phantom: Phantom, force: float) -> None:
    depth = indentation(phantom, 0.02, 0.03, force)
    assert contact_force(phantom, 0.02, 0.03, depth) == pytest.approx(force, rel=1e-6)


def test_soft_tissue_over_bone_gives_way_less(phantom: Phantom) -> None:
    assert indentation(phantom, JUNCTION_X - 0.04, 0.0, 3.0) < indentation(phantom, JUNCTION_X + 0.08, 0.05, 3.0)


def test_a_contact_pose_is_a_right_handed_rotation_that_leans_outwards_at_the_flank(phantom: Phantom) -> None:
    pose = contact_pose(phantom, 0.0, 0.09, 1.0)
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert pose[1, 2] < -0.1, "on the patient's right the beam points back towards the midline"


def test_a_rolled_torso_lies_turned_under_a_probe_that_does_not_follow_it(phantom: Phantom) -> None:
    def turn(**changes: float) -> float:
        rolled = dataclasses.replace(phantom, record=dataclasses.replace(phantom.record, **changes))
        return float(np.arcsin(contact_pose(rolled, 0.0, 0.0, 1.0)[1, 2]))

    assert turn(roll=0.0) == pytest.approx(0.0, abs=1e-3)
    assert turn(roll=0.08, following=0.0) == pytest.approx(0.08, abs=1e-3)
    assert turn(roll=0.08, following=1.0) == pytest.approx(0.0, abs=1e-3)
    assert turn(roll=0.08, following=0.75) == pytest.approx(0.02, abs=1e-3)


@given(x=st.floats(-0.14, 0.14), y=st.floats(-0.10, 0.10), tilt=st.floats(-0.3, 0.3))
def test_the_probe_is_nowhere_pressed_in_deeper_than_skin_gives_way(
    phantom: Phantom, x: float, y: float, tilt: float
) -> None:
    pose = contact_pose(phantom, x, y, 2.0, tilt)
    face = [pose @ [u, 0.0, 0.0, 1.0] for u in np.linspace(-PROBE_WIDTH / 2, PROBE_WIDTH / 2, 41)]
    assert max(p[2] - float(sample(phantom.skin, p[0], p[1])) for p in face) < 0.014


def test_errors_of_the_hand_turn_the_probe_about_its_own_axes(phantom: Phantom) -> None:
    errors: list[dict[str, float]] = [{}, {"pitch": 0.1}, {"yaw": 0.1}, {"tilt": 0.1}]
    straight, pitched, yawed, tilted = (contact_pose(phantom, 0.0, 0.0, 1.0, **error)[:3, :3] for error in errors)
    x, y, z = straight.T
    assert pitched[:, 0] == pytest.approx(x), "pitch is about the array"
    assert pitched[:, 2] @ x == pytest.approx(0.0, abs=1e-12)
    assert abs(pitched[:, 2] @ y) == pytest.approx(np.sin(0.1))
    assert yawed[:, 2] == pytest.approx(z), "yaw is about the beam"
    assert yawed[:, 0] @ x == pytest.approx(np.cos(0.1))
    assert abs(tilted[:, 2] @ x) == pytest.approx(np.sin(0.1)), "tilt is towards an edge of the array"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.2, 0.0, 1.0), r"x 0\.200, y 0\.000 m is beyond the subject's back; expected x within -0\.160 to 0\.160"),
        ((np.nan, 0.0, 1.0), "beyond the subject's back"),
        ((0.0, 0.0, np.nan), "contact force nan N"),
    ],
)
def test_a_place_or_force_that_cannot_be_is_refused(phantom: Phantom, arguments: tuple, message: str) -> None:
    with pytest.raises(UsGridSimError, match=message):
        contact_pose(phantom, *arguments)


def test_ground_truth_names_the_bones_shown_and_decides_by_one_number(phantom: Phantom) -> None:
    sacrum = frame_truth(phantom, contact_pose(phantom, JUNCTION_X - 0.04, 0.0, 1.0))
    assert Structure.SACRUM in sacrum.shown
    assert sacrum.view(Target.SACRUM).quality >= GOAL_QUALITY
    assert sacrum.shows(Target.SACRUM)
    lumbar = frame_truth(phantom, contact_pose(phantom, JUNCTION_X + 0.09, 0.0, 1.0))
    assert lumbar.shown <= {Structure.L2, Structure.L3, Structure.L4}
    assert lumbar.view(Target.SACRUM).quality == 0.0
    assert not lumbar.shows(Target.SACRUM)


def test_the_quality_falls_with_the_distance_of_the_crest_from_the_middle(phantom: Phantom) -> None:
    qualities = [
        frame_truth(phantom, contact_pose(phantom, JUNCTION_X - 0.04, y, 1.0)).view(Target.SACRUM).quality
        for y in (0.0, 0.005, 0.010, 0.015, PROBE_WIDTH / 2)
    ]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[-1] == 0.0


def test_every_subject_has_goals_in_one_place(subject: Phantom) -> None:
    goals = [
        position
        for position in map(Bin.from_state, range(BINS))
        if shows_sacrum(subject, contact_pose(subject, *position.center, 1.0))
    ]
    assert 2 <= len(goals) <= 14
    assert all(3 <= goal.row <= 7 and goal.column <= 6 for goal in goals)


def test_distances_are_held_within_reach(phantom: Phantom) -> None:
    assert float(phantom.volume.distances.abs().max()) <= FAR * 1e3 + 0.02
