"""Datagrams of FRI 1.15 and what they say: pure functions from bytes to dataclasses and back.

Reading is strict. A datagram that is not exactly one message as ``fri.proto`` has it (another identifier, a part that
is missing, a field that is not there or comes twice, bytes behind the end) is refused whole. Joint vectors are (7,).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from iiwa_bridge.fri.errors import FriMessageError, NotFiniteError
from iiwa_bridge.fri.schema import CommandSchema, MonitoringSchema
from iiwa_bridge.robot import (
    JOINTS,
    Array,
    CommandMode,
    ConnectionQuality,
    ControlMode,
    DriveState,
    OperationMode,
    RobotCommand,
    RobotState,
    SafetyState,
    SessionState,
)

MAX_DATAGRAM = 1500
"""Longest message on the wire [bytes]."""
MONITORING_ID = 0x245142
"""Of the LBR's monitoring messages; a client refuses any other."""
COMMAND_ID = 0x34001
"""Of the commands for an LBR."""
_COUNTERS = 1 << 32
_PERIODS = range(1, 101)
"""Send periods that a controller can be set to [ms]."""
_SESSION, _QUALITY, _SAFETY = tuple(SessionState), tuple(ConnectionQuality), tuple(SafetyState)
_OPERATION, _DRIVE, _CONTROL, _COMMAND = tuple(OperationMode), tuple(DriveState), tuple(ControlMode), tuple(CommandMode)
"""Members by their numbers, 0 and on: a call of the enumeration takes ten times as long. The protobuf library takes a
number that none of them has for an unknown field, so that none is beyond the end."""


@dataclass(frozen=True, eq=False)
class MonitoringMessage:
    """What the controller sends each period.

    Attributes:
        sequence: number of this message (uint32, wraps).
        reflected: number of the command message that the controller saw last.
        receive_multiplier: the client answers every so many messages.
        state: of the robot.
    """

    sequence: int
    reflected: int
    receive_multiplier: int
    state: RobotState


@dataclass(frozen=True, eq=False)
class CommandMessage:
    """What the client answers.

    Attributes:
        sequence: number of this message (uint32, wraps).
        reflected: number of the monitoring message that is answered.
        command: what the arm is to do; None: nothing is commanded.
        torque: overlaid on the joints (7,) in TORQUE mode [N m]; the bridge sends none, and a controller that is
            not in that mode refuses it.
    """

    sequence: int
    reflected: int
    command: RobotCommand | None
    torque: Array | None = None


def ahead(counter: int, other: int) -> int:
    """How many messages a counter is ahead of another one, negative behind, where counters wrap at 2^32."""
    return (counter - other + _COUNTERS // 2) % _COUNTERS - _COUNTERS // 2


def following(counter: int) -> int:
    """The counter of the next message."""
    return (counter + 1) % _COUNTERS


def encode_monitoring(message: MonitoringMessage) -> bytes:
    """The datagram of a monitoring message; the interpolated position goes along in the commanding states.

    Raises:
        NotFiniteError: a number of it is NaN or infinite.
        FriMessageError: a vector is not (7,).
    """
    state, raw = message.state, MonitoringSchema()
    _set_header(raw.header, MONITORING_ID, message.sequence, message.reflected)
    connection = raw.connectionInfo
    connection.sessionState, connection.quality = state.session, state.quality
    connection.sendPeriod, connection.receiveMultiplier = round(state.period * 1e3), message.receive_multiplier
    robot = raw.robotInfo
    robot.numberOfJoints, robot.safetyState, robot.operationMode = JOINTS, state.safety, state.operation
    robot.controlMode = state.control
    robot.driveState.extend([state.drive] * JOINTS)
    data = raw.monitorData
    _set(data.measuredJointPosition.value, state.position, JOINTS, "measured position")
    _set(data.commandedJointPosition.value, state.commanded, JOINTS, "commanded position")
    _set(data.measuredTorque.value, state.torque, JOINTS, "measured torque")
    _set(data.externalTorque.value, state.external_torque, JOINTS, "external torque")
    if not math.isnan(state.stamp):
        seconds = math.floor(state.stamp)
        data.timestamp.sec, data.timestamp.nanosec = seconds, int((state.stamp - seconds) * 1e9)
    raw.ipoData.clientCommandMode = state.command
    if state.session >= SessionState.COMMANDING_WAIT:
        _set(raw.ipoData.jointPosition.value, state.interpolated, JOINTS, "interpolated position")
        raw.ipoData.trackingPerformance = _finite(state.tracking, "tracking performance")
    return bytes(raw.SerializeToString())


def decode_monitoring(datagram: bytes) -> MonitoringMessage:
    """The monitoring message of a datagram.

    Raises:
        NotFiniteError: it holds NaN or infinity.
        FriMessageError: it is not one; the message says why.
    """
    raw = _parse(MonitoringSchema, datagram, MONITORING_ID)
    connection, robot, data = _part(raw, "connectionInfo"), _part(raw, "robotInfo"), _part(raw, "monitorData")
    ipo, session = raw.ipoData, _SESSION[connection.sessionState]
    period = _part(connection, "sendPeriod")
    if period not in _PERIODS:
        raise FriMessageError(f"sendPeriod of {period} ms; expected 1 to 100")
    if robot.HasField("numberOfJoints") and robot.numberOfJoints != JOINTS:
        raise FriMessageError(f"numberOfJoints {robot.numberOfJoints}; expected {JOINTS}")
    drives = robot.driveState[:]
    if len(drives) != JOINTS:
        raise FriMessageError(f"driveState of {len(drives)} joints; expected {JOINTS}")
    position, commanded = _joints(data, "measuredJointPosition"), _joints(data, "commandedJointPosition")
    torque, external = _joints(data, "measuredTorque"), _joints(data, "externalTorque")
    interpolated = _joints(ipo, "jointPosition") if session >= SessionState.COMMANDING_WAIT else position
    vectors = np.array((position, commanded, interpolated, torque, external), dtype=np.float64)
    state = RobotState(
        session=session,
        quality=_QUALITY[connection.quality],
        period=period * 1e-3,
        safety=_SAFETY[_part(robot, "safetyState")],
        operation=_OPERATION[_part(robot, "operationMode")],
        drive=_DRIVE[min(drives)],
        control=_CONTROL[_part(robot, "controlMode")],
        command=_COMMAND[ipo.clientCommandMode],
        position=vectors[0],
        commanded=vectors[1],
        interpolated=vectors[2],
        torque=vectors[3],
        external_torque=vectors[4],
        tracking=_finite(ipo.trackingPerformance, "trackingPerformance"),
        stamp=data.timestamp.sec + data.timestamp.nanosec * 1e-9 if data.HasField("timestamp") else math.nan,
    )
    # Where the controller names no multiplier, KUKA's client answers each message.
    multiplier = max(connection.receiveMultiplier, 1)
    return MonitoringMessage(raw.header.sequenceCounter, raw.header.reflectedSequenceCounter, multiplier, state)


def encode_command(message: CommandMessage) -> bytes:
    """The datagram of a command message.

    Raises:
        NotFiniteError: a number of it is NaN or infinite.
        FriMessageError: a vector has not its length.
    """
    raw = CommandSchema()
    _set_header(raw.header, COMMAND_ID, message.sequence, message.reflected)
    if message.command is not None:
        _set(raw.commandData.jointPosition.value, message.command.position, JOINTS, "commanded position")
        if message.command.wrench is not None:
            _set(raw.commandData.cartesianWrenchFeedForward.element, message.command.wrench, 6, "wrench")
    if message.torque is not None:
        _set(raw.commandData.jointTorque.value, message.torque, JOINTS, "commanded torque")
    return bytes(raw.SerializeToString())


def decode_command(datagram: bytes) -> CommandMessage:
    """The command message of a datagram.

    Raises:
        NotFiniteError: it holds NaN or infinity.
        FriMessageError: it is not one; the message says why.
    """
    raw = _parse(CommandSchema, datagram, COMMAND_ID)
    command, torque = None, None
    if raw.HasField("commandData"):
        data, wrench = raw.commandData, None
        if data.HasField("cartesianWrenchFeedForward"):
            name = "cartesianWrenchFeedForward"
            wrench = np.array(_numbers(data.cartesianWrenchFeedForward.element, 6, name), dtype=np.float64)
        if data.HasField("jointTorque"):
            torque = np.array(_joints(data, "jointTorque"), dtype=np.float64)
        command = RobotCommand(np.array(_joints(data, "jointPosition"), dtype=np.float64), wrench)
    return CommandMessage(raw.header.sequenceCounter, raw.header.reflectedSequenceCounter, command, torque)


def _parse(schema: Any, datagram: bytes, identifier: int) -> Any:
    if len(datagram) > MAX_DATAGRAM:
        raise FriMessageError(f"datagram of {len(datagram)} bytes; at most {MAX_DATAGRAM}")
    try:
        raw = schema.FromString(datagram)
    except DecodeError as error:
        raise FriMessageError(f"datagram of {len(datagram)} bytes is not a {schema.__name__}: {error}") from error
    if not raw.IsInitialized():
        raise FriMessageError(f"{schema.__name__} without {', '.join(raw.FindInitializationErrors())}")
    found = raw.header.messageIdentifier
    if found != identifier:
        raise FriMessageError(f"message identifier {found:#x}; expected {identifier:#x}")
    # What is unknown, comes twice, is packed or stands behind the end would make up the difference in length.
    raw.DiscardUnknownFields()
    if raw.ByteSize() != len(datagram):
        raise FriMessageError(f"datagram of {len(datagram)} bytes holds a {schema.__name__} of {raw.ByteSize()}")
    return raw


def _part(raw: Any, name: str) -> Any:
    if not raw.HasField(name):
        raise FriMessageError(f"{name} is missing; every monitoring message has it")
    return getattr(raw, name)


def _joints(raw: Any, name: str) -> list[float]:
    values = getattr(raw, name).value
    # A part that is missing holds nothing.
    return _numbers(values if len(values) == JOINTS else _part(raw, name).value, JOINTS, name)


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise NotFiniteError(f"{name} of {value}; expected a finite number")
    return value


def _numbers(values: Any, length: int, name: str) -> list[float]:
    """As a list: numpy takes the numbers of protobuf's own container one by one."""
    if len(values) != length:
        raise FriMessageError(f"{name} of {len(values)} numbers; expected {length}")
    return _all_finite(values[:], name)


def _all_finite(numbers: list[float], name: str) -> list[float]:
    # A sum that is finite has no other terms, and takes a third of the time.
    if not math.isfinite(sum(numbers)) and not all(map(math.isfinite, numbers)):
        raise NotFiniteError(f"{name} of {numbers}; expected finite numbers")
    return numbers


def _set(field: Any, values: Array, length: int, name: str) -> None:
    if values.shape != (length,):
        raise FriMessageError(f"{name} of shape {values.shape}; expected ({length},)")
    field.extend(_all_finite(values.tolist(), name))


def _set_header(header: Any, identifier: int, sequence: int, reflected: int) -> None:
    header.messageIdentifier = identifier
    header.sequenceCounter, header.reflectedSequenceCounter = sequence, reflected
