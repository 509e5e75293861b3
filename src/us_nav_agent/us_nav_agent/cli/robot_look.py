"""What `usnav robot` hears of a controller, and what it makes of that; it commands nothing."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.control.payload import TOUCH, Payload, StaticPose, identify_payload, tare
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.fri.client_session import ClientSession
from iiwa_bridge.fri.errors import FriMessageError
from iiwa_bridge.fri.messages import decode_monitoring, encode_command
from iiwa_bridge.fri.udp import Endpoint
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import (
    Array,
    ConnectionQuality,
    ControlMode,
    OperationMode,
    RobotCommand,
    RobotState,
    SafetyState,
    SessionState,
)

from us_nav_agent.cli.doctor import Finding
from us_nav_agent.errors import UsNavAgentError

_WAIT = 0.01
_LONGEST_PERIOD = 0.010
"""Of the controller [s]: the figures of the bridge were measured at 5 ms."""


@dataclass(frozen=True, eq=False)
class Heard:
    """Of a controller.

    Attributes:
        states: of the robot, oldest first.
        refused: datagrams that were no message of FRI 1.15.
        refusal: why the last of them was none.
        foreign: datagrams that came from somebody else.
    """

    states: tuple[RobotState, ...]
    refused: int
    refusal: str
    foreign: int


def listen(config: BridgeConfig, seconds: float, answer: bool) -> Heard:
    """Hear the controller.

    Args:
        config: who it is, and where to listen.
        seconds: how long.
        answer: give monitoring messages the answers that the connection's quality is judged by: the robot's own
            position, which moves nothing. Where the controller asks for commands, hearing ends.

    Raises:
        FriSessionError: the address cannot be listened on.
    """
    session = ClientSession(lambda state: RobotCommand(state.commanded), time.monotonic, timeout=1.0)
    states: list[RobotState] = []
    refused, refusal = 0, ""
    end = time.monotonic() + seconds
    with Endpoint(config.address, config.controller) as endpoint:
        while time.monotonic() < end and not (answer and session.session >= SessionState.COMMANDING_WAIT):
            for arrival in endpoint.receive(time.monotonic() + _WAIT):
                try:
                    message = decode_monitoring(arrival.content)
                    if session.take(message):
                        states.append(message.state)
                except FriMessageError as error:
                    refused, refusal = refused + 1, str(error)
            due = session.answer() if answer and session.session < SessionState.COMMANDING_WAIT else None
            if due is not None:
                endpoint.send(encode_command(due))
        return Heard(tuple(states), refused, refusal, endpoint.foreign)


def findings(heard: Heard, config: BridgeConfig) -> Iterator[Finding]:
    """What is right and what is to be done, in the order in which an engineer would look."""
    host, port = config.controller
    reached = bool(heard.states or heard.refused)
    said = f"{len(heard.states) + heard.refused} messages from {host}:{port}, {heard.foreign} from others"
    yield Finding(
        "controller",
        reached,
        said,
        "name who is heard with --controller"
        if heard.foreign
        else f"ping {host}; start the application on the controller, with this machine's address and port "
        f"{config.address[1]} in it; let UDP through the firewall",
    )
    if not reached:
        return
    spoken = f"FRI 1.15, a message each {heard.states[-1].period * 1e3:g} ms" if heard.states else heard.refusal
    if heard.states and heard.refused:
        spoken += f"; {heard.refused} refused: {heard.refusal}"
    yield Finding("protocol", bool(heard.states) and not heard.refused, spoken, "FRI 1.15 on the controller")
    if heard.states:
        yield from _connection(heard.states)
        yield from _place(heard.states, config)


def _connection(states: Sequence[RobotState]) -> Iterator[Finding]:
    last = states[-1]
    slow = "a send period of 5 ms in the application"
    yield Finding("period", last.period <= _LONGEST_PERIOD, f"{last.period * 1e3:g} ms", slow)
    quality = max(state.quality for state in states)
    wire = "a direct cable, a machine that is less busy"
    yield Finding("quality", quality >= ConnectionQuality.GOOD, quality.name, wire)
    session = max(state.session for state in states)
    more = "the quality has to be GOOD first" if quality < ConnectionQuality.GOOD else "listen for longer: --seconds"
    yield Finding("session", session >= SessionState.MONITORING_READY, session.name, more)
    halted = "release the emergency stop, acknowledge the safety stop on the smartPAD"
    yield Finding("safety", last.safety is SafetyState.NORMAL_OPERATION, last.safety.name, halted)
    first = "T1 for first runs"
    yield Finding("key switch", last.operation is OperationMode.TEST_MODE_1, last.operation.name, first, needed=False)
    impedance = "Cartesian impedance in the application's motion, once that runs (docs/robot.md)"
    soft = last.control is ControlMode.CARTESIAN_IMPEDANCE
    yield Finding("control mode", soft, f"{last.control.name}, commands: {last.command.name}", impedance, needed=False)


def _place(states: Sequence[RobotState], config: BridgeConfig) -> Iterator[Finding]:
    arm, layout, q = Arm(load_probe(config.probe)), load_layout(config.layout), states[-1].position
    margins = arm.limits.margins(q)
    tight = int(margins.argmin())
    least = config.commands.joint_margin
    yield Finding(
        "joints",
        bool(margins[tight] > least),
        f"{', '.join(f'{angle:.1f}' for angle in np.degrees(q))} degrees; A{tight + 1} is nearest to its end, "
        f"{math.degrees(margins[tight]):.1f} degrees away",
        f"lead A{tight + 1} away from its end by more than {math.degrees(least):.0f} degrees",
    )
    place, box = (np.linalg.inv(layout.patient) @ arm.pose(q))[:3, 3], config.workspace
    yield Finding(
        "layout",
        bool((np.array(box.lower) <= place).all() and (place <= np.array(box.upper)).all()),
        "probe at ({:.0f}, {:.0f}, {:.0f}) mm of the patient".format(*(1e3 * place)),
        f"move the arm to start_deg of the layout: {', '.join(f'{each:.1f}' for each in np.degrees(layout.start))}",
    )
    torque = np.mean([state.external_torque for state in states], axis=0)
    force = float(np.linalg.norm(arm.external_wrench(q, torque)[:3]))
    yield Finding(
        "force at rest",
        force <= TOUCH,
        f"{force:.2f} N on the probe, external torque up to {np.abs(torque).max():.2f} N m",
        f"{TOUCH:g} N at most in the air: nothing may touch; else put the tool into the load data (usnav robot tare)",
    )


def flange_pose(states: Sequence[RobotState], arm: Arm, tool: Array) -> StaticPose:
    """What was read in a pose at rest: rotation and Jacobian of ``lbr_link_ee`` in ``world``, mean external torque.

    Args:
        states: of the robot at rest, at least one.
        arm: with the probe.
        tool: pose (4, 4) of ``us_probe`` in ``lbr_link_ee`` [m].
    """
    q = np.mean([state.position for state in states], axis=0)
    pose, jacobian = arm.pose(q), arm.jacobian(q)
    flange = pose @ np.linalg.inv(tool)
    linear, angular = pose[:3, :3] @ jacobian[:3], pose[:3, :3] @ jacobian[3:]
    # The flange turns with the probe: v_flange = v_probe + w x (flange - probe).
    moved = linear + np.cross(angular, flange[:3, 3] - pose[:3, 3], axis=0)
    reading = np.mean([state.external_torque for state in states], axis=0)
    return StaticPose(flange[:3, :3], np.vstack([moved, angular]), reading)


def rest_wrench(states: Sequence[RobotState], config: BridgeConfig) -> tuple[Array, Array]:
    """Bias of the wrench on the probe (6,) at rest in the air, and its standard deviation [N, N m].

    Raises:
        PayloadError: too few samples, or the probe moves or touches.
    """
    arm, probe = Arm(load_probe(config.probe)), load_probe(config.probe)
    felt = np.array([arm.external_wrench(state.position, state.external_torque) for state in states]).reshape(-1, 6)
    centre = probe.tool[:3, :3].T @ (np.array(config.load_centre) - probe.tool[:3, 3])
    load = Payload(config.load_mass, centre, np.zeros(6), 0.0)
    expected = load.wrench(arm.pose(states[-1].position)[:3, :3]) if states else np.zeros(6)
    return tare(felt, expected), felt.std(axis=0)


def payload_by_hand(config: BridgeConfig, poses: int, seconds: float, place: Callable[[int], None]) -> Payload:
    """What hangs at the flange and is not in the controller's load data, from poses the arm is led to by hand.

    Args:
        config: of the bridge.
        poses: how many.
        seconds: to hear in each.
        place: waits until the arm stands in the pose of this number, from 1.

    Raises:
        UsNavAgentError: the controller fell silent.
        PayloadError: the poses do not tell the payload.
    """
    probe = load_probe(config.probe)
    arm, read = Arm(probe), []
    for number in range(1, poses + 1):
        place(number)
        states = listen(config, seconds, answer=False).states
        if not states:
            raise UsNavAgentError(f"pose {number}: the controller is not heard; `usnav robot check` says why")
        read.append(flange_pose(states, arm, probe.tool))
    return identify_payload(read)
