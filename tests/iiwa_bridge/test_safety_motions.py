"""The bridge's own motions, by its own inverse kinematics, pass the command guard untouched: it leaves them room."""

from collections.abc import Iterator

import numpy as np
import pytest
from iiwa_bridge.control.set_point import MotionConfig, PoseSetPoint
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.inverse import DifferentialInverse
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.kinematics.solve import solve
from iiwa_bridge.robot import Array, RobotCommand
from iiwa_bridge.safety.command_guard import CommandGuard
from iiwa_bridge.safety.limits import CommandLimits, JointRange, Workspace
from support.robot_states import robot_state

ARM, LAYOUT = Arm(), load_layout()
TO_PATIENT = np.linalg.inv(LAYOUT.patient)
RANGE = JointRange(ARM.limits.lower, ARM.limits.upper, ARM.limits.velocity)
WRENCH = np.array([0.0, 0.0, 1.5, 0.0, 0.0, 0.0])
# Way in the patient frame, speed [m/s], acceleration [m/s^2], time [s], slope that the beam turns to.
SEGMENTS = [
    ((0.0, 0.0, 1.0), 0.005, 0.3, 1.0, (0.0, 0.0)),
    ((1.0, 0.0, 0.0), 0.018, 0.3, 1.1, (0.0, 0.0)),
    ((0.0, 1.0, 0.0), 0.018, 0.3, 1.1, (0.1, 0.15)),
    ((0.0, -1.0, 0.3), 0.018, 0.3, 1.1, (-0.2, 0.1)),
    ((0.0, 0.0, -1.0), 0.030, 1.0, 1.0, (-0.2, 0.1)),
]


def set_points(start: Array, period: float) -> Iterator[Array]:
    """Approach, three steps over a curved back, retraction: poses (4, 4) of the tool in the patient frame."""
    point = PoseSetPoint(start, MotionConfig())
    for way, speed, acceleration, duration, slope in SEGMENTS:
        cycles = round(duration / period)
        for cycle in range(cycles):
            ramp = acceleration * period * min(cycle + 1, cycles - cycle)
            point.move(min(speed, ramp) * np.array(way), np.array(slope), period)
            yield point.pose


@pytest.mark.parametrize(
    ("x", "y", "period"),
    [
        (0, 0, 0.01),
        (0.1, 0.06, 0.01),
        (-0.12, 0.06, 0.01),
        (0.1, -0.1, 0.01),
        (-0.12, -0.1, 0.01),
        (-0.12, -0.1, 0.005),
    ],
)
def test_approach_steps_and_retraction_are_not_cut(x: float, y: float, period: float) -> None:
    above = TO_PATIENT @ ARM.pose(LAYOUT.start)
    above[:2, 3] = x, y
    start = solve(ARM, LAYOUT.patient @ above, LAYOUT.start)
    guard = CommandGuard(CommandLimits(), RANGE, Workspace(), start)
    inverse = DifferentialInverse(ARM, LAYOUT.start)
    for wanted in set_points(above, period):
        last = guard.position
        came = TO_PATIENT @ ARM.pose(last)
        motion = inverse.step(last, pose_error(came, wanted) / period, period).motion
        command = RobotCommand(last + motion, WRENCH)
        guarded = guard.check(command, robot_state(last, period=period), came, TO_PATIENT @ ARM.pose(command.position))
        assert (guarded.cuts, guarded.refused) == ((), "")
        assert guarded.command is command
    reached = TO_PATIENT @ ARM.pose(guard.position)
    assert np.allclose(reached, wanted, atol=1e-4)
