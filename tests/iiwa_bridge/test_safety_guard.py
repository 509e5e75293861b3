"""The command guard: whatever is asked for, what is sent obeys every limit; what is within them is not touched."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.errors import CommandError, IiwaBridgeError
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import Array, CommandMode, RobotCommand, SessionState
from iiwa_bridge.safety.command_guard import CommandGuard, Guarded
from iiwa_bridge.safety.limits import CommandLimits, JointRange, Workspace
from support.robot_states import robot_state

PERIOD = 0.005
LIMITS = CommandLimits()
JOINTS = JointRange(
    lower=np.radians([-170.0, -120, -170, -120, -170, -120, -175]),
    upper=np.radians([170.0, 120, 170, 120, 170, 120, 175]),
    velocity=np.radians([98.0, 98, 100, 130, 140, 180, 180]),
)
BOX = Workspace()
START = np.array([0.1, 0.5, 0.0, -1.2, 0.0, 0.7, 0.0])
# A tool that moves in proportion to the joints, each axis by a pair of them, so that its limits can be met exactly.
ARM = np.zeros((3, 7))
ARM[[0, 1, 2], [0, 1, 3]] = 0.5, 0.4, 0.3
ARM[[0, 1, 2], [4, 5, 6]] = 0.1, 0.1, -0.05
HAIR = 1e-12


def tool(position: Array) -> Array:
    pose = np.eye(4)
    pose[:3, 3] = ARM @ (position - START)
    return pose


def make(start: Array = START, limits: CommandLimits = LIMITS) -> CommandGuard:
    return CommandGuard(limits, JOINTS, BOX, start)


def ask(guard: CommandGuard, asked: RobotCommand, **changes: Any) -> Guarded:
    state = robot_state(guard.position, **changes)
    sent_pose = tool(guard.position)
    fit = np.shape(asked.position) == (7,) and np.isfinite(asked.position).all()
    return guard.check(asked, state, sent_pose, tool(asked.position) if fit else np.eye(4))


def moved(joint: int, by: float, start: Array = START) -> Array:
    position = start.copy()
    position[joint] += by
    return position


def limits_cut(guarded: Guarded) -> set[str]:
    return {cut.limit for cut in guarded.cuts}


def test_a_command_within_all_limits_goes_out_as_the_very_one_that_was_asked_for() -> None:
    command = RobotCommand(moved(6, 0.0001), np.array([0.1, -0.1, 1.5, 0.0, 0.01, 0.0]))
    asked = command.position.tobytes(), command.wrench.tobytes()  # type: ignore[union-attr]
    guarded = ask(make(), command)
    assert guarded.command is command
    assert (command.position.tobytes(), command.wrench.tobytes()) == asked  # type: ignore[union-attr]
    assert (guarded.cuts, guarded.refused) == ((), "")


@pytest.mark.parametrize(
    ("limits", "wanted", "name", "sent"),
    [
        # 0.4 rad/s for 5 ms; each case sets what else would bind far off.
        ({"joint_acceleration": 1e3}, moved(6, 0.01), "joint velocity of A7", moved(6, 0.002)),
        # 10 rad/s^2 for (5 ms)^2, from standing still.
        ({}, moved(6, 0.001), "joint acceleration of A7", moved(6, 0.00025)),
        # 20 mm/s for 5 ms on an arm of 0.5 m; x is across the beam.
        ({"joint_acceleration": 1e3}, moved(0, 0.001), "lateral speed", moved(0, 0.0002)),
        # 10 mm/s for 5 ms on an arm of 0.3 m; z is along the beam.
        ({"joint_acceleration": 1e3}, moved(3, 0.001), "approach speed", moved(3, 0.05e-3 / 0.3)),
    ],
)
def test_a_step_beyond_one_limit_is_shortened_to_it(
    limits: dict[str, float], wanted: Array, name: str, sent: Array
) -> None:
    guarded = ask(make(limits=CommandLimits(**limits)), RobotCommand(wanted))
    assert limits_cut(guarded) == {name}
    assert np.allclose(guarded.command.position, sent, atol=HAIR, rtol=0.0)
    assert guarded.refused == ""


def test_leaving_the_body_is_bounded_by_the_joints_alone() -> None:
    guard = make(limits=CommandLimits(joint_acceleration=1e3))
    command = RobotCommand(moved(3, -0.0014))
    assert ask(guard, command).command is command, "84 mm/s out of the body"


def test_a_step_is_shortened_as_a_whole_so_that_the_arm_keeps_to_its_way() -> None:
    wanted = START + np.array([0.0, 0.0, 0.004, 0.0, 0.002, 0.0, 0.001])
    step = ask(make(), RobotCommand(wanted)).command.position - START
    assert np.allclose(step / step[2], (wanted - START) / 0.004)
    assert step[2] == pytest.approx(LIMITS.joint_acceleration * PERIOD**2)


def test_joints_stop_before_the_end_of_their_range_and_may_come_back_into_it() -> None:
    end = JOINTS.upper[6] - LIMITS.joint_margin
    near, beyond = moved(6, end - 1e-5), moved(6, end + 0.01)
    guarded = ask(make(near), RobotCommand(moved(6, 1e-4, near)))
    assert limits_cut(guarded) == {"joint position of A7"}
    assert guarded.command.position[6] == pytest.approx(end, abs=HAIR)
    outwards = ask(make(beyond), RobotCommand(moved(6, 1e-4, beyond)))
    assert outwards.command.position[6] == beyond[6], "not a hair further"
    inwards = RobotCommand(moved(6, -1e-4, beyond))
    assert ask(make(beyond), inwards).command is inwards


def test_the_tool_stops_at_the_border_of_the_workspace_and_may_come_back() -> None:
    # y of the tool moves with A2: 0.4 m a radian.
    border = moved(1, (BOX.upper[1] - 1e-6) / 0.4)
    guarded = ask(make(border), RobotCommand(moved(1, 1e-4, border)))
    assert limits_cut(guarded) == {"workspace along y"}
    assert tool(guarded.command.position)[1, 3] == pytest.approx(BOX.upper[1], abs=HAIR)
    outside = moved(1, (BOX.upper[1] + 0.01) / 0.4)
    assert ask(make(outside), RobotCommand(moved(1, 1e-4, outside))).command.position[1] == outside[1]
    inwards = RobotCommand(moved(1, -1e-4, outside))
    assert ask(make(outside), inwards).command is inwards


def test_a_set_point_does_not_run_away_from_the_arm() -> None:
    guard = make()
    for _ in range(200):
        ask(guard, RobotCommand(moved(6, 0.0015, guard.position)), position=START)
    assert guard.position[6] - START[6] == pytest.approx(LIMITS.lead, abs=HAIR)
    back = ask(guard, RobotCommand(moved(6, -0.0001, guard.position)), position=START)
    assert back.cuts == ()


def test_braking_to_a_stand_is_never_slowed_but_turning_round_is() -> None:
    guard = make()
    for _ in range(10):
        ask(guard, RobotCommand(moved(6, 0.002, guard.position)))
    assert ask(guard, RobotCommand(guard.position)).cuts == (), "from the highest speed to none within a cycle"
    guard = make()
    for _ in range(10):
        ask(guard, RobotCommand(moved(6, 0.002, guard.position)))
    fast = guard.position
    turned = ask(guard, RobotCommand(moved(6, -0.001, fast)))
    assert turned.command.position[6] == fast[6], "at first it stands"
    assert limits_cut(turned) == {"joint acceleration of A7"}


def test_each_component_of_the_wrench_is_bounded_and_the_push_is_the_highest_set_point() -> None:
    guarded = ask(make(), RobotCommand(START, np.array([9.0, -9.0, 9.0, 0.4, -9.0, 9.0])))
    assert guarded.command.wrench is not None
    assert guarded.command.wrench.tolist() == [2.0, -2.0, 2.0, 0.4, -0.5, 0.5]
    assert limits_cut(guarded) == {"wrench Fx", "wrench Fy", "wrench Fz", "wrench tau_B", "wrench tau_C"}
    pulled = ask(make(), RobotCommand(START, np.array([0.0, 0.0, -9.0, 0.0, 0.0, 0.0])))
    assert pulled.command.wrench is not None
    assert pulled.command.wrench[2] == -2.0


def test_a_wrench_that_the_controller_would_drop_is_said_to_be_cut() -> None:
    guarded = ask(make(), RobotCommand(START, np.ones(6)), command=CommandMode.POSITION)
    assert guarded.command.wrench is None
    assert limits_cut(guarded) == {"wrench outside of wrench mode"}


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("command", "changes", "message"),
    [
        *(
            (RobotCommand(moved(2, bad)), {}, rf"^position holds {bad} at 2; expected \(7,\) finite numbers \[rad\]$")
            for bad in BAD
        ),
        *(
            (RobotCommand(START, np.full(6, bad)), {}, rf"^wrench holds {bad} at 0; expected \(6,\) finite")
            for bad in BAD
        ),
        (RobotCommand(START[:6]), {}, r"has shape \(6,\); expected \(7,\)"),
        (RobotCommand(START[:, None]), {}, r"expected \(7,\)"),
        (RobotCommand(START, np.zeros(3)), {}, r"expected \(6,\)"),
        (RobotCommand(list(START)), {}, r"expected \(7,\)"),  # type: ignore[arg-type]
        (RobotCommand(START), {"position": moved(0, math.nan)}, "^measured position"),
        (RobotCommand(START), {"period": math.nan}, "cycle of nan s; expected 0.001 to 0.1 s"),
        (RobotCommand(START), {"period": 1e6}, "cycle of 1000000"),
        (RobotCommand(START), {"period": 0.0}, "cycle of 0"),
        (RobotCommand(moved(3, 0.5)), {}, "A4 jumps at 44.1 times the highest velocity"),
        (RobotCommand(moved(3, 1e300)), {}, "jumps"),
    ],
)
def test_what_cannot_be_bounded_is_refused_and_the_last_command_held(
    command: RobotCommand, changes: dict[str, Any], message: str
) -> None:
    guard = make()
    good = RobotCommand(moved(6, 0.0001), np.array([0.0, 0.1, 1.8, 0.0, 0.0, 0.0]))
    ask(guard, good)
    guarded = ask(guard, command, **changes)
    assert re.search(message, guarded.refused), guarded.refused
    assert guarded.command.position.tolist() == good.position.tolist()
    assert guarded.command.wrench is not None
    assert guarded.command.wrench.tolist() == [0.0, 0.1, LIMITS.hold_push, 0.0, 0.0, 0.0], "less push, else the same"
    assert ask(guard, RobotCommand(guard.position)).refused == "", "the next good command goes out again"


def skewed() -> Array:
    pose = np.eye(4)
    pose[:3, :3] *= 1.01
    return pose


@pytest.mark.parametrize("pose", [np.full((4, 4), math.nan), np.eye(3), skewed(), np.zeros((4, 4))])
def test_a_tool_pose_that_is_none_refuses_the_command(pose: Array) -> None:
    for poses in ((pose, np.eye(4)), (np.eye(4), pose)):
        assert "no rigid" in make().check(RobotCommand(START), robot_state(START), *poses).refused


def test_a_held_command_keeps_no_wrench_once_wrench_mode_is_left() -> None:
    guard = make()
    ask(guard, RobotCommand(START, np.ones(6) * 0.1))
    assert ask(guard, RobotCommand(START * math.nan), command=CommandMode.POSITION).command.wrench is None


@pytest.mark.parametrize("session", [one for one in SessionState if one is not SessionState.COMMANDING_ACTIVE])
def test_before_commands_count_the_controller_gets_its_own_position_back(session: SessionState) -> None:
    guard, own = make(), moved(0, 0.4)
    guarded = ask(guard, RobotCommand(moved(0, -0.3), np.ones(6)), session=session, interpolated=own)
    assert (guarded.command.position.tolist(), guarded.command.wrench) == (own.tolist(), None)
    first = RobotCommand(moved(6, 0.0001, own))
    assert ask(guard, first).command is first, "commanding begins where the controller is"


def test_a_position_of_the_controller_that_is_none_is_not_sent_back() -> None:
    guarded = ask(make(), RobotCommand(START), session=SessionState.COMMANDING_WAIT, interpolated=START * math.nan)
    assert "controller's own position holds nan" in guarded.refused
    assert guarded.command.position.tolist() == START.tolist()


def test_what_was_sent_does_not_change_when_its_array_is_written_to_again() -> None:
    guard, command = make(), RobotCommand(START.copy(), np.zeros(6))
    ask(guard, command)
    command.position[:] = 9.0
    guard.position[:] = 9.0
    assert guard.position.tolist() == START.tolist()


def test_without_a_position_to_hold_there_is_no_guard() -> None:
    with pytest.raises(CommandError, match="commanded position holds nan at 0"):
        make(START * math.nan)


def wild() -> st.SearchStrategy[Array]:
    """Steps (7,) [rad] from none at all to jumps, and numbers that are none."""
    sizes = st.sampled_from([0.0, 1e-6, 1e-4, 1e-3, 5e-3, 0.1])
    tame = st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7).map(np.array)
    mad = st.lists(st.floats(-1.0, 1.0) | st.sampled_from([*BAD, 1e300, -1e300]), min_size=7, max_size=7).map(np.array)
    return st.builds(lambda size, way: size * way, sizes, tame) | mad


FORCES = st.floats(-10.0, 10.0) | st.sampled_from([*BAD, 1e300])
WRENCHES = st.none() | st.lists(FORCES, min_size=6, max_size=6).map(np.array)
STARTS: st.SearchStrategy[Callable[[], Array]] = st.sampled_from(
    [
        lambda: START,
        lambda: moved(6, JOINTS.upper[6] - LIMITS.joint_margin - 1e-4),
        lambda: moved(6, JOINTS.upper[6]),
        lambda: moved(1, (BOX.upper[1] - 1e-5) / 0.4),
        lambda: moved(3, (BOX.upper[2] + 0.01) / 0.3),
    ]
)


def assert_within(before: Array, last: Array, now: Array, measured: Array) -> None:
    """Every limit on position, by the two positions that were sent before."""
    step, change = now - last, LIMITS.joint_acceleration * PERIOD**2
    assert (np.abs(step) <= LIMITS.joint_velocity * PERIOD + HAIR).all()
    assert (step <= np.maximum(last - before + change, 0.0) + HAIR).all()
    assert (step >= np.minimum(last - before - change, 0.0) - HAIR).all()
    assert (now <= np.maximum(JOINTS.upper - LIMITS.joint_margin, last) + HAIR).all()
    assert (now >= np.minimum(JOINTS.lower + LIMITS.joint_margin, last) - HAIR).all()
    assert (np.abs(now - measured) <= np.maximum(LIMITS.lead, np.abs(last - measured)) + HAIR).all()
    place, came = tool(now)[:3, 3], tool(last)[:3, 3]
    assert (place <= np.maximum(BOX.upper, came) + HAIR).all()
    assert (place >= np.minimum(BOX.lower, came) - HAIR).all()
    assert (place - came)[2] <= LIMITS.approach_speed * PERIOD + HAIR
    assert math.hypot(*(place - came)[:2]) <= LIMITS.lateral_speed * PERIOD + HAIR


@settings(max_examples=150, deadline=None)
@given(start=STARTS, asked=st.lists(st.tuples(wild(), WRENCHES, st.booleans()), min_size=1, max_size=12))
def test_whatever_comes_in_what_goes_out_obeys_every_limit(
    start: Callable[[], Array], asked: list[tuple[Array, Array | None, bool]]
) -> None:
    guard, measured = make(start()), start()
    sent = [start(), start()]
    for step, wrench, follows in asked:
        measured = guard.position if follows else measured
        guarded = ask(guard, RobotCommand(guard.position + step, wrench), position=measured)
        assert_within(*sent[-2:], guarded.command.position, measured)
        sent.append(guarded.command.position)
        if guarded.command.wrench is not None:
            low, high = [-2.0, -2.0, -2.0, -0.5, -0.5, -0.5], [2.0, 2.0, 2.0, 0.5, 0.5, 0.5]
            assert ((guarded.command.wrench >= low) & (guarded.command.wrench <= high)).all()


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(st.tuples(wild(), WRENCHES), min_size=1, max_size=12))
def test_what_the_guard_has_sent_goes_through_another_one_unchanged(asked: list[tuple[Array, Array | None]]) -> None:
    first, second = make(), make()
    for step, wrench in asked:
        sent = ask(first, RobotCommand(first.position + step, wrench)).command
        again = ask(second, RobotCommand(sent.position.copy(), sent.wrench))
        # Rounding may cut the last bit of a step that was shortened to the limit itself.
        assert np.allclose(again.command.position, sent.position, atol=HAIR, rtol=0.0)
        assert again.command.wrench is sent.wrench


def test_the_true_arm_keeps_the_speeds_of_the_tool_although_it_moves_on_curves() -> None:
    arm, random = Arm(), np.random.default_rng(0)
    joints = JointRange(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
    wide, free = Workspace((-2.0, -2.0, -2.0), (2.0, 2.0, 2.0)), dataclasses.replace(LIMITS, joint_acceleration=1e3)
    for _ in range(200):
        start = START + random.uniform(-0.3, 0.3, 7)
        wanted = start + random.uniform(-1.0, 1.0, 7) * 1.6 * PERIOD
        guard = CommandGuard(free, joints, wide, start)
        came, pose = arm.pose(start), arm.pose(wanted)
        guarded = guard.check(RobotCommand(wanted), robot_state(start), came, pose)
        assert guarded.refused == ""
        velocity = (arm.pose(guarded.command.position) - came)[:3, 3] / PERIOD
        along = velocity @ pose[:3, 2]
        assert along <= LIMITS.approach_speed + 0.0005
        assert np.linalg.norm(velocity - along * pose[:3, 2]) <= LIMITS.lateral_speed + 0.0005


QUIET = st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7).map(lambda way: 1e-4 * np.array(way))


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(QUIET, min_size=1, max_size=10))
def test_steps_well_within_the_limits_go_out_bit_for_bit(steps: list[Array]) -> None:
    guard = make()
    for step in steps:
        command = RobotCommand(guard.position + step * 0.5)
        assert ask(guard, command).command is command


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(CommandLimits)])
def test_each_limit_takes_effect(name: str) -> None:
    """Where all others are far off, one limit alone changes what is sent."""
    wide = CommandLimits(**{field: 1e3 * value for field, value in vars(LIMITS).items() if field != "joint_margin"})
    tight = {"joint_margin": 0.6, "lead": 0.001}.get(name, getattr(LIMITS, name))
    hold_push = LIMITS.hold_push if name == "push" else wide.hold_push
    narrow = dataclasses.replace(wide, **{"hold_push": hold_push, name: tight})
    start = moved(6, JOINTS.upper[6] - 0.5)
    sent = [told(make(start, limits)) for limits in (wide, narrow)]
    assert sent[0] != sent[1]


def told(guard: CommandGuard) -> list[tuple[float, ...]]:
    """What is sent of a step out and back, with a strong wrench each way, and of a command that is refused."""
    start, sent = guard.position, []
    for step, wrench in ((0.003, -3.0), (0.003, 3.0), (math.nan, 3.0)):
        command = ask(guard, RobotCommand(guard.position + step, np.full(6, wrench)), position=start).command
        assert command.wrench is not None
        sent.append((*command.position, *command.wrench))
    return sent


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_limit_that_is_no_number_above_0_is_refused(value: float) -> None:
    for field in dataclasses.fields(CommandLimits):
        with pytest.raises(IiwaBridgeError, match=field.name):
            dataclasses.replace(LIMITS, **{field.name: value})


def test_impossible_ranges_and_boxes_are_refused() -> None:
    with pytest.raises(IiwaBridgeError, match="lower below upper"):
        JointRange(JOINTS.upper, JOINTS.lower, JOINTS.velocity)
    with pytest.raises(IiwaBridgeError, match="upper is"):
        JointRange(JOINTS.lower, JOINTS.upper * math.nan, JOINTS.velocity)
    with pytest.raises(IiwaBridgeError, match="workspace"):
        Workspace((0.0, 0.0, 0.0), (1.0, math.nan, 1.0))
    with pytest.raises(IiwaBridgeError, match="hold_push"):
        CommandLimits(push=0.5)
