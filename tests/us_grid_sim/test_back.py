"""What the simulated arms feel: the back, how it moves, and the touch of the probe."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.arms import DOWN, ball, lying, plane
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import Phantom, build_phantom, contact_force, indentation
from us_grid_sim.world.contact import Contact, ContactLaw, Tool
from us_grid_sim.world.motion import Breathing, Motion, Movement, sample_motion
from us_grid_sim.world.skin import SOFTEST, STIFFEST, Patient, Skin
from us_grid_sim.world.touch import ROUNDING
from us_grid_sim.world.vectors import rows_of

Array = npt.NDArray[np.float64]

relaxed = settings(deadline=None, max_examples=60)
BREATH = Motion(Breathing(amplitude=0.004, frequency=0.25))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return build_phantom(sample_subject(seed=1))


@pytest.fixture(scope="module")
def skin(phantom: Phantom) -> Skin:
    return Skin.of(phantom)


BACK = ball(0.15)


def tool_at(z: float, x: float = 0.0, y: float = 0.0, velocity: Array | None = None) -> Tool:
    """A probe that looks down, ``z`` above the plane of :func:`lying`, moving."""
    rotation, _ = rows_of(DOWN.tolist())
    vx, vy, vz = (0.0, 0.0, 0.0) if velocity is None else velocity
    return Tool((x, y, z), rotation, (vx, vy, vz), (0.0, 0.0, 0.0))


# The back as the plants feel it.


@relaxed
@given(st.floats(-0.12, 0.12), st.floats(-0.10, 0.10), st.floats(0.0, 2.0))
def test_the_skin_of_a_phantom_presses_back_as_its_image_says(
    phantom: Phantom, skin: Skin, x: float, y: float, force: float
) -> None:
    depth = indentation(phantom, x, y, force)
    give = skin.under(x, y)[3]
    if skin.stiffness_at(x, y, depth) < STIFFEST:
        assert skin.force(depth, give) == pytest.approx(contact_force(phantom, x, y, depth), rel=1e-6, abs=1e-9)
        assert skin.force(depth, give) == pytest.approx(force, rel=1e-6, abs=1e-9)
    else:
        assert skin.force(depth, give) <= contact_force(phantom, x, y, depth) + 1e-9


@relaxed
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.0, 0.05))
def test_stiffness_is_the_slope_of_the_force_and_bounded(skin: Skin, x: float, y: float, depth: float) -> None:
    step = 1e-7
    give = skin.under(x, y)[3]
    slope = (skin.force(depth + step, give) - skin.force(depth, give)) / step
    stiffness = skin.stiffness_at(x, y, depth)
    assert SOFTEST <= stiffness <= STIFFEST * (1.0 + 1e-12)
    assert slope == pytest.approx(stiffness, rel=1e-2)


def test_tissue_is_stiffer_where_bone_lies_shallow(phantom: Phantom, skin: Skin) -> None:
    places = [(x, y) for x in np.linspace(-0.1, 0.1, 21) for y in np.linspace(-0.08, 0.08, 17)]
    shallow = min(places, key=lambda place: skin.under(*place)[3])
    deep = max(places, key=lambda place: skin.under(*place)[3])
    stiffness = [skin.stiffness_at(*place, indentation(phantom, *place, 1.5)) for place in (shallow, deep)]
    assert stiffness[0] > 1.25 * stiffness[1]


def test_height_and_normal_of_a_ball() -> None:
    radius, x, y = 0.2, 0.031, -0.047
    skin = ball(radius)
    center = np.array([0.0, 0.0, radius])
    on_it = np.array([x, y, radius - math.sqrt(radius**2 - x**2 - y**2)])
    outward = (on_it - center) / radius
    np.testing.assert_allclose(skin.normal(x, y), outward, atol=1e-5)
    assert skin.distance(*on_it) == pytest.approx(0.0, abs=1e-6)
    assert skin.distance(x, y, on_it[2] - 0.001) == pytest.approx(-0.001 * outward[2], rel=1e-3)


@relaxed
@given(st.floats(-0.5, 0.5), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_the_distance_from_a_plane_is_exact(slope: float, x: float, z: float) -> None:
    expected = (slope * min(max(x, -0.1), 0.1) - z) / math.hypot(1.0, slope)
    assert plane(slope=slope).distance(x, 0.0, z) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("height", "give", "stiffness"),
    [(np.zeros((3, 3)), np.ones((3, 2)), 1.0), (np.zeros(3), np.ones(3), 1.0),
     (np.zeros((3, 3)), np.zeros((3, 3)), 1.0), (np.full((3, 3), np.nan), np.ones((3, 3)), 1.0),
     (np.zeros((3, 3)), np.ones((3, 3)), 0.0)],
)  # fmt: skip
def test_a_skin_that_cannot_be_is_refused(height: Array, give: Array, stiffness: float) -> None:
    with pytest.raises(UsGridSimError, match="skin: "):
        Skin(height, give, stiffness, (0.0, 0.0), 0.001)


def test_a_patient_lies_in_a_pose() -> None:
    with pytest.raises(UsGridSimError, match="rotation"):
        Patient(plane(), np.diag([1.0, 2.0, 1.0, 1.0]))


def test_beyond_the_maps_their_last_values_hold_and_what_is_no_number_stays_within_them() -> None:
    tilted = plane(slope=0.1)
    assert tilted.under(5.0, -5.0)[0] == pytest.approx(0.01)
    assert tilted.under(-5.0, 5.0)[0] == pytest.approx(-0.01)
    assert tilted.under(math.nan, math.nan) == tilted.under(-5.0, -5.0)


# How it moves.


@relaxed
@given(
    st.one_of(
        st.builds(Breathing, st.floats(0.0, 0.005), st.floats(0.2, 0.3), st.floats(0.0, 1.0)),
        st.builds(Movement, st.floats(-0.02, 0.02), st.floats(0.0, 3.0), st.floats(0.2, 2.0)),
    ),
    st.floats(0.01, 10.0),
)
def test_the_rate_of_a_motion_is_its_derivative(motion: Breathing | Movement, time: float) -> None:
    step = 1e-5
    difference = motion.rise(time + step)[0] - motion.rise(time - step)[0]
    assert motion.rise(time)[1] == pytest.approx(difference / (2 * step), abs=1e-5)


def test_a_breath_goes_from_none_to_the_amplitude_and_back() -> None:
    breathing = Breathing(amplitude=0.004, frequency=0.25)
    assert [breathing.rise(time)[0] for time in (0.0, 2.0, 4.0)] == pytest.approx([0.0, 0.004, 0.0])
    # Of half the amplitude in less than half the time: the end of expiration is the longer one.
    assert breathing.rise(1.0)[0] == pytest.approx(0.001)


def test_a_person_moves_once_and_stays() -> None:
    movement = Movement(distance=0.02, start=1.0, duration=0.5)
    assert movement.rise(0.9) == (0.0, 0.0)
    assert movement.rise(1.25) == pytest.approx((0.01, 1.875 * 0.02 / 0.5))
    assert movement.rise(9.0) == (0.02, 0.0)


def test_what_is_switched_off_does_not_change_the_rest() -> None:
    both = sample_motion(7, breathing=True, movement=True)
    assert both == sample_motion(7, breathing=True, movement=True)
    assert both != sample_motion(8, breathing=True, movement=True)
    assert sample_motion(7, breathing=True, movement=False) == Motion(both.breathing, None)
    assert sample_motion(7, breathing=False, movement=True) == Motion(None, both.movement)


def test_movements_wait_for_the_first_touch_where_they_are_told_to() -> None:
    moves = Movement(distance=-0.02, start=1.0, duration=0.5)
    motion = Motion(sinking=moves, from_touch=True)
    assert motion.rise(100.0) == (0.0, 0.0)
    assert motion.rise(101.25, touched=100.0) == moves.rise(1.25)
    assert Motion(sinking=moves).rise(1.25, touched=1.0) == moves.rise(1.25)


@relaxed
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.05))
def test_a_patient_who_sinks_away_does_so_by_what_is_asked_and_all_else_stays(seed: int, sinks: float) -> None:
    motion = sample_motion(seed, breathing=True, movement=True, sinks=sinks)
    assert motion.sinking is not None
    assert motion.sinking.rise(3.9) == (0.0, 0.0)
    assert motion.sinking.rise(14.0) == (-sinks, 0.0)
    unsunk = sample_motion(seed, breathing=True, movement=True)
    assert (unsunk.breathing, unsunk.movement, unsunk.sinking) == (motion.breathing, motion.movement, None)


@pytest.mark.parametrize("sinks", [-0.001, math.nan, math.inf])
def test_a_patient_does_not_sink_by_less_than_nothing(sinks: float) -> None:
    with pytest.raises(UsGridSimError, match="expected 0 or more"):
        sample_motion(0, breathing=False, movement=False, sinks=sinks)


def test_the_skin_remembers_its_first_touch_until_it_is_reset() -> None:
    contact = Contact(lying(plane(), Motion(sinking=Movement(-0.02, 1.0, 0.5), from_touch=True)), ContactLaw())
    for time, rise in ((5.0, 0.0), (6.6, -0.02), (9.0, -0.02)):
        contact.touch(tool_at(-0.001), time)
        assert contact.rise == rise, time
    assert contact.touch(tool_at(-0.001), 9.0).force == (0.0, 0.0, 0.0)
    contact.reset()
    contact.touch(tool_at(0.1), 9.0)
    assert contact.rise == 0.0


@relaxed
@given(st.integers(0, 2**32 - 1))
def test_a_sampled_patient_breathes_as_people_do(seed: int) -> None:
    motion = sample_motion(seed, breathing=True, movement=True)
    assert motion.breathing is not None
    assert motion.movement is not None
    assert 0.2 <= motion.breathing.frequency <= 0.3
    assert 0.002 <= motion.breathing.amplitude <= 0.005
    assert 0.0 < motion.movement.distance <= 0.02


@pytest.mark.parametrize(
    "wrong", [lambda: Breathing(0.004, 0.0), lambda: Breathing(-0.1, 0.2), lambda: Movement(0.02, 0.0, 0.0),
              lambda: Movement(math.nan, 0.0, 1.0), lambda: ContactLaw(friction=-0.1), lambda: ContactLaw(slip=0.0)],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsGridSimError, match="expected finite numbers"):
        wrong()


# The touch.


@relaxed
@given(st.floats(0.0, 0.01), st.floats(SOFTEST, STIFFEST))
def test_at_rest_the_force_is_that_of_the_spring_along_the_normal(depth: float, stiffness: float) -> None:
    touch = Contact(lying(plane(stiffness)), ContactLaw()).touch(tool_at(-depth), 0.0)
    assert touch.force == pytest.approx((0.0, 0.0, stiffness * depth), rel=1e-4, abs=1e-9)
    assert touch.torque == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_a_face_that_leans_touches_with_its_edge_and_is_turned_back() -> None:
    leaning = Rotation.from_euler("xy", [0.3, 0.1]).as_matrix() @ DOWN[:3, :3]
    rotation, _ = rows_of(np.block([[leaning, np.zeros((3, 1))], [np.zeros((1, 3)), 1.0]]).tolist())
    # The middle of the last sphere, 20 mm along the array, is pressed 0.5 mm deep and alone.
    arm = leaning @ np.array([0.020, 0.0, -ROUNDING])
    tool = Tool((0.0, 0.0, ROUNDING - 0.0005 - arm[2]), rotation, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    touch = Contact(lying(plane(1000.0)), ContactLaw()).touch(tool, 0.0)
    assert touch.force == pytest.approx((0.0, 0.0, 1000.0 * 0.0005 / 5), rel=1e-4)
    assert touch.torque == pytest.approx(np.cross(arm, touch.force), abs=1e-9)
    assert arm[0] > 0.0 > touch.torque[1]
    assert min(abs(arm[1] * touch.force[2]), abs(touch.torque[0])) > 1e-4


def test_on_a_ball_the_middle_carries_more_than_the_ends() -> None:
    force = Contact(lying(BACK), ContactLaw()).touch(tool_at(-0.003), 0.0).force[2]
    assert 0.2 * 3.0 < force < 0.9 * 3.0


speeds = st.floats(-0.3, 0.3)


@relaxed
@given(speeds, speeds, speeds, st.floats(0.0, 0.01), st.floats(0.1, 0.3))
def test_friction_stays_within_the_cone_and_the_skin_never_pulls(
    vx: float, vy: float, vz: float, depth: float, friction: float
) -> None:
    velocity = np.array([vx, vy, vz])
    tool = tool_at(-depth, velocity=velocity)
    force = np.array(Contact(lying(plane()), ContactLaw(friction=friction)).touch(tool, 0.0).force)
    assert force[2] >= 0.0
    assert math.hypot(*force[:2]) <= friction * force[2] + 1e-12
    assert force[:2] @ velocity[:2] <= 1e-12


def test_a_fast_slip_meets_the_whole_of_coulombs_friction() -> None:
    contact = Contact(lying(plane()), ContactLaw(friction=0.2))
    force = contact.touch(tool_at(-0.002, velocity=np.array([0.03, -0.04, 0.0])), 0.0).force
    assert force == pytest.approx((-0.24, 0.32, 2.0), rel=1e-2)


def test_a_turn_about_the_beam_is_braked() -> None:
    still = tool_at(-0.002)
    touch = Contact(lying(plane()), ContactLaw(friction=0.2)).touch(still._replace(spin=(0.0, 0.0, 2.0)), 0.0)
    lever = np.mean(np.abs([-0.02, -0.01, 0.0, 0.01, 0.02]))
    assert touch.torque[2] == pytest.approx(-0.2 * 2.0 * lever, rel=0.02)


@relaxed
@given(st.floats(-0.09, 0.2))
def test_the_damper_is_that_of_hunt_and_crossley(approach: float) -> None:
    contact = Contact(lying(plane()), ContactLaw(dissipation=10.0))
    force = contact.touch(tool_at(-0.002, velocity=np.array([0.0, 0.0, -approach])), 0.0).force
    assert force[2] == pytest.approx(2.0 * (1.0 + 10.0 * approach), rel=1e-4)


@pytest.mark.parametrize("motion", [BREATH, Motion(movement=Movement(0.02, 0.5, 1.0))])
@pytest.mark.parametrize("time", [0.0, 0.8, 1.1, 1.9, 3.0])
def test_a_back_that_moves_displaces_the_force_as_computed(motion: Motion, time: float) -> None:
    rise, rate = motion.rise(time)
    force = Contact(lying(plane(), motion), ContactLaw(dissipation=10.0)).touch(tool_at(-0.001), time).force
    assert force[2] == pytest.approx(1000.0 * (0.001 + rise) * (1.0 + 10.0 * rate), rel=1e-3)


def test_an_arm_feels_the_same_touch_through_its_jacobian() -> None:
    rng = np.random.default_rng(4)
    pose = DOWN.copy()
    pose[:3, :3] = Rotation.from_euler("xy", [0.1, -0.05]).as_matrix() @ pose[:3, :3]
    pose[:3, 3] = 0.004, -0.002, -0.003
    jacobian, velocity = rng.uniform(-0.3, 0.3, (6, 7)), rng.uniform(-0.3, 0.3, 7)
    turn, twist = pose[:3, :3], jacobian @ velocity
    rotation, origin = rows_of(pose.tolist())
    tool = Tool(origin, rotation, turned((*twist[:3],), turn), turned((*twist[3:],), turn))
    touch = Contact(lying(BACK, BREATH), ContactLaw()).touch(tool, 2.0)
    felt, force, torque = Contact(lying(BACK, BREATH), ContactLaw()).touch_arm(pose, jacobian, velocity, 2.0)
    wrench = np.concatenate([turn.T @ touch.force, turn.T @ touch.torque])
    assert wrench[2] < -0.1
    np.testing.assert_allclose(felt, twist, atol=1e-14)
    np.testing.assert_allclose(force, -wrench[:3], atol=1e-12)
    np.testing.assert_allclose(torque, jacobian.T @ wrench, atol=1e-12)


def turned(vector: tuple[float, float, float], rotation: Array) -> tuple[float, float, float]:
    x, y, z = rotation @ np.array(vector)
    return x, y, z


@relaxed
@given(st.tuples(*[st.floats(-3.0, 3.0)] * 3), st.tuples(*[st.floats(-1.0, 1.0)] * 3), st.floats(-0.02, 0.02), speeds)
def test_where_the_patient_lies_in_the_world_makes_no_difference(
    angles: tuple[float, float, float], place: tuple[float, float, float], x: float, speed: float
) -> None:
    tool = tool_at(0.001, x=x, velocity=np.array([speed, 0.1, -speed]))._replace(spin=(0.1, speed, 0.2))
    rotation = Rotation.from_rotvec(angles).as_matrix()
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = rotation, place
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = tool.rotation, tool.origin
    elsewhere, origin = rows_of((moved @ pose).tolist())
    there = Tool(origin, elsewhere, turned(tool.velocity, rotation), turned(tool.spin, rotation))
    here = Contact(lying(BACK, BREATH), ContactLaw()).touch(tool, 2.0)
    touch = Contact(Patient(BACK, moved @ DOWN, BREATH), ContactLaw()).touch(there, 2.0)
    np.testing.assert_allclose(touch.force, turned(here.force, rotation), atol=1e-9)
    np.testing.assert_allclose(touch.torque, turned(here.torque, rotation), atol=1e-9)
