"""The loop: what the robot tells in, the command for it out, once a cycle; in between monitor, machine, motion, guard.

It is the ``respond`` of the FRI client. No thread, and no clock but the one that is handed in. A motion goes on by the
controller's period in each cycle, so that after messages that were lost it is late, and never catches up with a jump.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.control import probe_controller
from iiwa_bridge.control.filters import LowPass
from iiwa_bridge.control.force_controller import ContactDetector
from iiwa_bridge.control.payload import Payload
from iiwa_bridge.control.probe_controller import Outcome, ProbeController
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.errors import CommandError, IiwaBridgeError
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.inverse import DifferentialInverse
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.orders import FrameSeen, Ledger, LoopReport, Order, OrderEnd, Touch, Way, check_aim, way_from
from iiwa_bridge.robot import Array, CommandMode, ControlMode, RobotCommand, RobotState, SessionState
from iiwa_bridge.safety.command_guard import CommandGuard, Guarded
from iiwa_bridge.safety.limits import JointRange
from iiwa_bridge.safety.machine import MOTION, Event, Motion, State, StateMachine
from iiwa_bridge.safety.monitor import Monitor
from iiwa_bridge.safety.readings import Sample
from iiwa_bridge.sensing import Sensing
from iiwa_bridge.travel import Travel
from iiwa_bridge.types import StepCommand

Clock = Callable[[], float]

_MOVING = frozenset({State.APPROACHING, State.STEPPING})
_AT_REST = frozenset({State.IDLE, State.ENABLED})


class Loop:
    """Carries out orders on the robot, one motion at a time.

    Args:
        config: of the bridge.
        clock: steady time [s].

    Raises:
        IiwaBridgeError: layout, probe or limits are not what they have to be.
    """

    def __init__(self, config: BridgeConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        probe, layout = load_probe(config.probe), load_layout(config.layout)
        self._arm = Arm(probe)
        centre = probe.tool[:3, :3].T @ (np.array(config.load_centre) - probe.tool[:3, 3])
        self._sensing = Sensing(self._arm, layout.patient, Payload(config.load_mass, centre, np.zeros(6), 0.0))
        self._inverse = DifferentialInverse(self._arm, layout.start, config.inverse)
        limits = self._arm.limits
        self._joints = JointRange(limits.lower, limits.upper, limits.velocity)
        self._monitor = Monitor(config.monitor, self._joints, config.workspace)
        self._machine = StateMachine(clock())
        self._guard: CommandGuard | None = None
        self._orders: deque[Order] = deque()
        self._ledger = Ledger()
        self._filter, self._detector = (
            LowPass(config.probe_control.force.cutoff),
            ContactDetector(config.probe_control.force),
        )
        self._sent, self._refused = clock(), ""
        self._frame: float | None = None
        self._active = False
        self._before = self._machine.state
        self._force = 0.0
        self._way = Way(0.0, 0.0, False)
        self._cuts, self._cut, self._cuts_before = 0, "", 0
        self._report: LoopReport | None = None
        self._travel: Travel | None = None
        self._rest()

    @property
    def report(self) -> LoopReport | None:
        """At the end of the last cycle; None before the first."""
        return self._report

    def take(self, order: Order | FrameSeen) -> None:
        """Take something in, for the next cycle."""
        if isinstance(order, FrameSeen):
            self._frame = order.time
        else:
            self._orders.append(order)

    def __call__(self, state: RobotState) -> RobotCommand:
        """Answer what the robot tells.

        Raises:
            CommandError: the first state tells no position that could be held.
        """
        now = self._clock()
        if self._guard is None:
            config = self._config
            self._guard = CommandGuard(config.commands, self._joints, config.workspace, state.commanded)
        self._follow_session(state, now)
        sample = self._sensing.sample(state, self._machine.state in _AT_REST)
        contact = self._detector.update(self._filter.update(float(sample.wrench[2]), state.period), state.period)
        self._watch(state, sample, now)
        while self._orders:
            self._carry_out(self._orders.popleft(), state, sample, now)
        guarded = self._guarded(self._guard, state, sample, now)
        self._ledger.watch(self._machine.state, self._why())
        self._sent = now
        self._keep(guarded, sample, contact, now)
        return guarded.command

    def _follow_session(self, state: RobotState, now: float) -> None:
        active = state.session is SessionState.COMMANDING_ACTIVE
        if active and not self._active:
            self._machine.fire(Event.COMMANDING_BEGINS, now)
        elif self._active and not active:
            said = f"session {state.session.name}, quality {state.quality.name}, safety {state.safety.name}"
            self._machine.fire(Event.COMMANDING_ENDS, now, f"the controller ended the motion: {said}")
        self._active = active

    def _watch(self, state: RobotState, sample: probe_controller.Sample, now: float) -> None:
        """Hold what was measured against the limits, and the machine's state against its deadline."""
        measured = Sample(
            state=state,
            tool=sample.pose,
            wrench=sample.wrench,
            received=now,
            sent=self._sent,
            frame=self._frame,
            enabled=self._machine.enabled,
            refused=self._refused,
        )
        violations = self._monitor.check(measured, now)
        if violations:
            self._machine.violate(violations, now)
        self._machine.tick(now)
        self._follow_machine()

    def _carry_out(self, order: Order, state: RobotState, sample: probe_controller.Sample, now: float) -> None:
        """Do what is ordered, or begin it; what is refused ends with the reason."""
        try:
            self._check(order, state)
            if order.event is Event.STEP and order.aim is not None:
                self._begin(order.aim, sample.pose)
            answer = self._machine.fire(order.event, now, order.reason)
            if answer.refused:
                raise CommandError(answer.refused)
            if order.event is Event.TARE:
                self._sensing.tare(state)
        except IiwaBridgeError as error:
            self._ledger.end(OrderEnd(order.number, reached=False, failed=True, reason=str(error)))
            return
        if order.event in (Event.STEP, Event.RETRACT):
            # What was under way ends by this order, before the order takes its place.
            self._ledger.watch(State.IDLE, self._why() or "another order came")
            self._ledger.begin(order, _MOVING if order.event is Event.STEP else frozenset({State.RETRACTING}))
        else:
            self._ledger.end(OrderEnd(order.number, reached=True, failed=False))
        self._follow_machine()

    def _check(self, order: Order, state: RobotState) -> None:
        """Refuse what the machine does not know of.

        Raises:
            CommandError: the order cannot be done.
        """
        if order.event is Event.ENABLE:
            if not self._sensing.tared:
                raise CommandError("enable is not allowed before a tare: tare first, the probe in the air")
            commanding = state.session is SessionState.COMMANDING_ACTIVE
            if commanding and (state.control, state.command) != (ControlMode.CARTESIAN_IMPEDANCE, CommandMode.WRENCH):
                raise CommandError(
                    f"the controller moves the arm in {state.control.name} and takes {state.command.name}; expected "
                    "CARTESIAN_IMPEDANCE and WRENCH from its application, or a force would have no effect"
                )
        elif order.event is Event.STEP:
            if order.aim is None:
                raise CommandError("a step without an aim; expected where to and with which force")
            check_aim(order.aim, self._config)
            if isinstance(order.aim, Touch) and self._machine.state is State.IN_CONTACT:
                raise CommandError("a first contact while in contact; retract first")

    def _begin(self, aim: StepCommand | Touch, pose: Array) -> None:
        """Set the controller to an aim, in a state in which the machine takes the step; else nothing.

        Raises:
            CommandError: a force that must not be wanted, or a beam that does not point into the body.
        """
        if self._machine.state is State.IN_CONTACT and isinstance(aim, StepCommand):
            self._step(aim, pose)
        elif self._machine.state is State.ENABLED:
            self._rest()
            self._probe.approach(aim.contact_force)
            if isinstance(aim, Touch):
                assert self._guard is not None, "orders are carried out in a cycle"
                control, height = self._config.probe_control, self._config.travel_height
                sent = self._sensing.over_patient(self._guard.position)
                self._travel = Travel(sent, (aim.x, aim.y), height, control.lateral, control.motion)
            self._force = aim.contact_force

    def _step(self, step: StepCommand, pose: Array) -> None:
        self._cuts_before = self._cuts
        self._way = way_from((float(pose[0, 3]), float(pose[1, 3])), step, self._config)
        self._probe.step(self._way.dx, self._way.dy, step.contact_force)
        self._force = step.contact_force

    def _follow_machine(self) -> None:
        """Make the motion that of the machine's state, where that has changed."""
        state, before = self._machine.state, self._before
        self._before = state
        if state is before:
            return
        if MOTION[state] is Motion.LIFT and MOTION[before] is not Motion.LIFT:
            self._travel = None
            self._probe.retract()
            self._force = 0.0
        elif MOTION[state] is Motion.PRESS:
            self._probe.hold()
        elif MOTION[state] is Motion.STILL:
            self._rest()

    def _rest(self) -> None:
        """The next motion begins anew, where the arm was sent last: what is known of the skin may be old by then."""
        self._probe, self._travel = ProbeController(self._config.probe_control), None
        self._fresh = True
        self._force = 0.0

    def _guarded(self, guard: CommandGuard, state: RobotState, sample: probe_controller.Sample, now: float) -> Guarded:
        """What is sent in this cycle."""
        sent = guard.position
        sent_tool = self._arm.pose(sent)
        sent_pose = self._sensing.from_world(sent_tool)
        command = RobotCommand(sent, np.zeros(6) if state.command is CommandMode.WRENCH else None)
        if MOTION[self._machine.state] is not Motion.STILL:
            try:
                command = self._moved(sent, sent_tool, state, sample, now)
            except IiwaBridgeError as error:
                self._machine.fire(Event.STOP, now, str(error))
            self._follow_machine()
        guarded = guard.check(command, state, sent_pose, self._sensing.over_patient(command.position))
        self._refused = guarded.refused
        return guarded

    def _moved(
        self, sent: Array, sent_tool: Array, state: RobotState, sample: probe_controller.Sample, now: float
    ) -> RobotCommand:
        """The next command of a motion from what was sent last, its tool's pose (4, 4) in ``world`` on.

        What was sent, and not what was measured, is where the inverse starts from: the arm gives way by the contact
        force, and a set point that began there would follow it.
        """
        period = state.period
        if self._travel is not None:
            pose, wrench = self._travel.update(period), np.zeros(6)
            self._travel = None if self._travel.ended else self._travel
        else:
            if self._fresh:
                sample = replace(sample, pose=self._sensing.from_world(sent_tool))
                self._fresh = False
            reference = self._probe.update(sample, period)
            pose, wrench = reference.pose, reference.wrench
            if reference.event is not None:
                self._take_event(reference.event, sample, now)
        twist = pose_error(sent_tool, self._sensing.in_world(pose)) / period
        return RobotCommand(sent + self._inverse.step(sent, twist, period).motion, wrench)

    def _take_event(self, event: probe_controller.Event, sample: probe_controller.Sample, now: float) -> None:
        """The controller has ended something."""
        if event.outcome is Outcome.CONTACT:
            self._machine.fire(Event.CONTACT, now)
            aim = self._ledger.aim
            if isinstance(aim, StepCommand):
                self._step(aim, sample.pose)
                self._machine.fire(Event.STEP, now)
            else:
                self._ledger.finish(reached=True)
        elif event.outcome is Outcome.STEPPED:
            self._machine.fire(Event.STEP_DONE, now)
            self._end_step(event.error)
        elif event.outcome is Outcome.LOST:
            self._machine.fire(Event.LOST_CONTACT, now, event.reason)
        else:
            self._machine.fire(Event.RETRACTED, now)
            self._ledger.finish(reached=True)

    def _end_step(self, error: float) -> None:
        if error > self._config.tolerance:
            held = f"; held up by {self._cut}" if self._cuts > self._cuts_before else ""
            self._ledger.finish(False, True, f"ended {error * 1e3:.1f} mm from where it was to end{held}")
        elif self._way.held_back:
            self._ledger.finish(False, reason="held back by the border of the workspace")
        else:
            self._ledger.finish(True)

    def _why(self) -> str:
        """Why the machine is where it is, as far as it stands."""
        reasons = self._machine.reasons
        return reasons[0] if reasons else self._machine.note

    def _keep(self, guarded: Guarded, sample: probe_controller.Sample, contact: bool, now: float) -> None:
        """Sum the cycle up."""
        if guarded.cuts:
            cut = guarded.cuts[0]
            self._cuts, self._cut = self._cuts + 1, f"{cut.limit}: {cut.wanted:.4g}, sent {cut.allowed:.4g}"
        self._report = LoopReport(
            time=now,
            machine=self._machine.state,
            reasons=self._machine.reasons,
            note=self._machine.note,
            pose=sample.pose,
            wrench=sample.wrench,
            contact=contact,
            force_set_point=self._force,
            tared=self._sensing.tared,
            cuts=self._cuts,
            cut=self._cut,
            ended=self._ledger.ended,
        )
