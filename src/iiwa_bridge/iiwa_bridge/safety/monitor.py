"""Looks at what is measured, each cycle, and says what breaks a limit, since when, and what is to be done."""

import math
from dataclasses import dataclass

from iiwa_bridge.robot import JOINTS
from iiwa_bridge.safety.limits import JointRange, MonitorLimits, Workspace
from iiwa_bridge.safety.readings import (
    Reaction,
    Reading,
    Sample,
    SpeedWindow,
    age_readings,
    contact_readings,
    controller_readings,
    joint_readings,
    motion_readings,
    shaped,
)


@dataclass(frozen=True)
class Violation:
    """A limit that is broken.

    Attributes:
        name: of the limit.
        value: what was read now.
        limit: the highest value allowed.
        since: when it was passed first, on the steady clock [s].
        reaction: what is to be done.
        text: for the operator.
    """

    name: str
    value: float
    limit: float
    since: float
    reaction: Reaction
    text: str


class Monitor:
    """Holds each cycle against the limits; remembers since when a limit is passed, and what sensors told before.

    A limit with a time is broken when it was passed in every cycle for so long; a value that cannot be told breaks
    any limit at once, since noise does not make NaN.

    Args:
        limits: of what is measured.
        joints: what the joints can do.
        workspace: of the tool.
    """

    def __init__(self, limits: MonitorLimits, joints: JointRange, workspace: Workspace) -> None:
        self._limits, self._joints, self._workspace = limits, joints, workspace
        self._window = SpeedWindow(limits.speed_window)
        self._since: dict[str, float] = {}
        self._received = -math.inf
        self._torque = b""
        self._same = 0

    def check(self, sample: Sample, now: float) -> tuple[Violation, ...]:
        """What is broken at ``now`` [s], the gravest first; nothing while the sample is not enabled."""
        # Read in any case: the window of speeds and the count of frozen states are to be full when they are needed.
        readings = [*self._measured(sample), *self._frozen(sample)]
        if not sample.enabled:
            self._since = {}
            return ()
        readings += controller_readings(sample.state, self._limits)
        readings += age_readings(sample, now, self._limits)
        if sample.refused:
            said = f"command refused: {sample.refused}"
            readings.append(Reading("refused", 1.0, 0.0, "", Reaction.STOP, said=said))
        # NaN keeps no limit.
        passed = [reading for reading in readings if not reading.value <= reading.limit]
        # What is kept, or does not matter in this cycle, starts anew.
        self._since = {reading.name: self._since.get(reading.name, now) for reading in passed}
        broken = [self._violation(reading) for reading in passed if self._is_over(reading, now)]
        return tuple(sorted(broken, key=lambda violation: -violation.reaction))

    def _measured(self, sample: Sample) -> list[Reading]:
        tool, position = shaped(sample.tool, (4, 4)), shaped(sample.state.position, (JOINTS,))
        velocity, joint_velocity = self._window.add(sample.received, tool[:3, 3], position)
        return [
            *contact_readings(shaped(sample.wrench, (6,)), self._limits),
            *motion_readings(tool, velocity, joint_velocity, self._limits, self._workspace),
            *joint_readings(sample.state, self._joints, self._limits),
        ]

    def _frozen(self, sample: Sample) -> tuple[Reading, ...]:
        """Too many states in a row with the same external torque to the bit, which a sensor with noise never tells."""
        torque = sample.state.external_torque.tobytes()
        if torque != self._torque:
            self._torque, self._same = torque, 0
        # A state that is looked at twice is no second measurement.
        if sample.received != self._received:
            self._received = sample.received
            self._same += 1
        if self._same < self._limits.frozen_cycles:
            return ()
        said = f"external torque the same to the bit in {self._same} states; the sensor or the controller is frozen"
        limit = float(self._limits.frozen_cycles - 1)
        return (Reading("frozen_cycles", float(self._same), limit, "", Reaction.STOP, said=said),)

    def _is_over(self, reading: Reading, now: float) -> bool:
        lasted = now - self._since[reading.name]
        return math.isnan(reading.value) or not lasted < reading.after

    def _violation(self, reading: Reading) -> Violation:
        since = self._since[reading.name]
        return Violation(reading.name, reading.value, reading.limit, since, reading.reaction, str(reading))
