"""Messages of FRI: what goes on the wire comes off it again, and nothing else is taken."""

import math
import struct
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iiwa_bridge.fri.errors import FriMessageError, NotFiniteError
from iiwa_bridge.fri.messages import (
    COMMAND_ID,
    MAX_DATAGRAM,
    MONITORING_ID,
    CommandMessage,
    MonitoringMessage,
    ahead,
    decode_command,
    decode_monitoring,
    encode_command,
    encode_monitoring,
    following,
)
from iiwa_bridge.fri.schema import CommandSchema, MonitoringSchema, compile_schema
from iiwa_bridge.robot import (
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

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTERS = st.integers(0, 2**32 - 1)


def vectors(length: int) -> st.SearchStrategy[np.ndarray]:  # type: ignore[type-arg]
    return st.lists(FINITE, min_size=length, max_size=length).map(np.array)


@st.composite
def states(draw: st.DrawFn) -> RobotState:
    """States as a controller tells them: an interpolated position of its own in the commanding states alone."""
    session, position = draw(st.sampled_from(SessionState)), draw(vectors(7))
    commanding = session >= SessionState.COMMANDING_WAIT
    return RobotState(
        session=session,
        quality=draw(st.sampled_from(ConnectionQuality)),
        period=draw(st.integers(1, 100)) * 1e-3,
        safety=draw(st.sampled_from(SafetyState)),
        operation=draw(st.sampled_from(OperationMode)),
        drive=draw(st.sampled_from(DriveState)),
        control=draw(st.sampled_from(ControlMode)),
        command=draw(st.sampled_from(CommandMode)),
        position=position,
        commanded=draw(vectors(7)),
        interpolated=draw(vectors(7)) if commanding else position,
        torque=draw(vectors(7)),
        external_torque=draw(vectors(7)),
        tracking=draw(st.floats(0.0, 1.0)) if commanding else 0.0,
        stamp=draw(st.just(math.nan) | st.integers(0, 2**31).map(lambda ms: ms * 1e-3)),
    )


MONITORINGS = st.builds(MonitoringMessage, COUNTERS, COUNTERS, st.integers(1, 10), states())
COMMANDS = st.builds(
    CommandMessage,
    COUNTERS,
    COUNTERS,
    st.none() | st.builds(RobotCommand, vectors(7), st.none() | vectors(6)),
)
STATE = RobotState(
    session=SessionState.COMMANDING_ACTIVE,
    quality=ConnectionQuality.GOOD,
    period=0.005,
    safety=SafetyState.NORMAL_OPERATION,
    operation=OperationMode.AUTOMATIC_MODE,
    drive=DriveState.ACTIVE,
    control=ControlMode.CARTESIAN_IMPEDANCE,
    command=CommandMode.WRENCH,
    position=np.arange(7.0),
    commanded=np.arange(7.0) + 0.1,
    interpolated=np.arange(7.0) + 0.2,
    torque=np.arange(7.0) + 0.3,
    external_torque=np.arange(7.0) + 0.4,
    tracking=0.9,
    stamp=12.5,
)
MONITORING = MonitoringMessage(5, 4, 2, STATE)
COMMAND = CommandMessage(4, 5, RobotCommand(np.arange(7.0), np.arange(6.0)))


def assert_same(one: object, other: object) -> None:
    """Two messages or states say the same."""
    for entry in fields(one):  # type: ignore[arg-type]
        left, right = getattr(one, entry.name), getattr(other, entry.name)
        if isinstance(left, RobotState | RobotCommand):
            assert_same(left, right)
        elif left is None:
            assert right is None, entry.name
        elif entry.name == "stamp":
            assert np.isclose(left, right, rtol=0, atol=1e-6, equal_nan=True)
        else:
            assert np.array_equal(left, right), entry.name


@settings(max_examples=100, deadline=None)
@given(MONITORINGS)
def test_a_monitoring_message_comes_off_the_wire_as_it_went_on_it(message: MonitoringMessage) -> None:
    datagram = encode_monitoring(message)
    assert len(datagram) <= MAX_DATAGRAM
    assert_same(message, decode_monitoring(datagram))


@settings(max_examples=100, deadline=None)
@given(COMMANDS)
def test_a_command_message_comes_off_the_wire_as_it_went_on_it(message: CommandMessage) -> None:
    assert_same(message, decode_command(encode_command(message)))


def test_the_bytes_of_a_command_are_those_that_the_table_of_fields_gives() -> None:
    header = bytes([0x08, 0x81, 0x80, 0x0D, 0x10, 4, 0x18, 5])  # 0x34001 as a varint, then the two counters
    position = b"".join(bytes([0x09]) + struct.pack("<d", value) for value in range(7))  # each number has its own tag
    wrench = bytes([0x0A, 48]) + struct.pack("<6d", *range(6))  # these are packed, as KUKA's client sends them
    data = bytes([0x0A, len(position)]) + position + bytes([0x12, len(wrench)]) + wrench
    assert encode_command(COMMAND) == bytes([0x0A, len(header)]) + header + bytes([0x12, len(data)]) + data


def test_a_robot_with_one_motor_off_is_off() -> None:
    raw = MonitoringSchema.FromString(encode_monitoring(MONITORING))
    raw.robotInfo.driveState[3] = DriveState.OFF
    assert decode_monitoring(raw.SerializeToString()).state.drive is DriveState.OFF


def test_where_no_multiplier_is_told_each_message_is_answered() -> None:
    raw = MonitoringSchema.FromString(encode_monitoring(MONITORING))
    raw.connectionInfo.ClearField("receiveMultiplier")
    assert decode_monitoring(raw.SerializeToString()).receive_multiplier == 1


MONITORING_FAULTS = {
    "message identifier 0x34001; expected 0x245142": lambda raw: setattr(raw.header, "messageIdentifier", COMMAND_ID),
    "connectionInfo is missing": lambda raw: raw.ClearField("connectionInfo"),
    "robotInfo is missing": lambda raw: raw.ClearField("robotInfo"),
    "monitorData is missing": lambda raw: raw.ClearField("monitorData"),
    "jointPosition is missing": lambda raw: raw.ClearField("ipoData"),
    "sendPeriod is missing": lambda raw: raw.connectionInfo.ClearField("sendPeriod"),
    "sendPeriod of 0 ms; expected 1 to 100": lambda raw: setattr(raw.connectionInfo, "sendPeriod", 0),
    "sendPeriod of 101 ms": lambda raw: setattr(raw.connectionInfo, "sendPeriod", 101),
    "safetyState is missing": lambda raw: raw.robotInfo.ClearField("safetyState"),
    "numberOfJoints 6; expected 7": lambda raw: setattr(raw.robotInfo, "numberOfJoints", 6),
    "driveState of 8 joints; expected 7": lambda raw: raw.robotInfo.driveState.append(DriveState.ACTIVE),
    "externalTorque is missing": lambda raw: raw.monitorData.ClearField("externalTorque"),
    "measuredTorque of 6 numbers; expected 7": lambda raw: raw.monitorData.measuredTorque.value.pop(),
    "commandedJointPosition of 8 numbers": lambda raw: raw.monitorData.commandedJointPosition.value.append(0.0),
}


@pytest.mark.parametrize("reason", MONITORING_FAULTS)
def test_a_monitoring_message_that_lacks_something_is_refused_with_the_reason(reason: str) -> None:
    raw = MonitoringSchema.FromString(encode_monitoring(MONITORING))
    MONITORING_FAULTS[reason](raw)
    with pytest.raises(FriMessageError, match=reason):
        decode_monitoring(raw.SerializeToString())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["position", "commanded", "interpolated", "torque", "external_torque", "tracking"])
def test_what_is_not_finite_is_neither_read_nor_written(name: str, value: float) -> None:
    bad = value if name == "tracking" else np.array([0.0] * 6 + [value])
    with pytest.raises(NotFiniteError):
        encode_monitoring(replace(MONITORING, state=replace(STATE, **{name: bad})))
    raw = MonitoringSchema.FromString(encode_monitoring(MONITORING))
    data, ipo = raw.monitorData, raw.ipoData
    if name == "tracking":
        ipo.trackingPerformance = value
    else:
        {
            "position": data.measuredJointPosition,
            "commanded": data.commandedJointPosition,
            "interpolated": ipo.jointPosition,
            "torque": data.measuredTorque,
            "external_torque": data.externalTorque,
        }[name].value[6] = value
    with pytest.raises(NotFiniteError, match=r"expected (a )?finite number"):
        decode_monitoring(raw.SerializeToString())


@pytest.mark.parametrize("part", ["jointPosition.value", "cartesianWrenchFeedForward.element"])
def test_a_command_that_is_not_finite_is_refused(part: str) -> None:
    raw = CommandSchema.FromString(encode_command(COMMAND))
    message, field = part.split(".")
    getattr(getattr(raw.commandData, message), field)[0] = math.nan
    with pytest.raises(NotFiniteError, match=message):
        decode_command(raw.SerializeToString())
    with pytest.raises(NotFiniteError, match="wrench"):
        encode_command(CommandMessage(0, 0, RobotCommand(np.zeros(7), np.full(6, math.nan))))


def test_a_command_of_another_shape_is_refused() -> None:
    with pytest.raises(FriMessageError, match=r"commanded position of shape \(6,\); expected \(7,\)"):
        encode_command(CommandMessage(0, 0, RobotCommand(np.zeros(6))))
    raw = CommandSchema.FromString(encode_command(COMMAND))
    del raw.commandData.cartesianWrenchFeedForward.element[5]
    with pytest.raises(FriMessageError, match="cartesianWrenchFeedForward of 5 numbers; expected 6"):
        decode_command(raw.SerializeToString())
    raw = CommandSchema.FromString(encode_command(COMMAND))
    raw.commandData.ClearField("jointPosition")
    with pytest.raises(FriMessageError, match="jointPosition is missing"):
        decode_command(raw.SerializeToString())


def test_a_datagram_is_one_message_from_its_first_byte_to_its_last() -> None:
    datagram = encode_monitoring(MONITORING)
    with pytest.raises(FriMessageError, match="datagram of 1501 bytes; at most 1500"):
        decode_monitoring(datagram + bytes(MAX_DATAGRAM + 1 - len(datagram)))
    unknown_field, header_again = bytes([0x78, 0x01]), datagram[:12]
    for trailing in (b"\x00", b"garbage", unknown_field, header_again, datagram):
        with pytest.raises(FriMessageError):
            decode_monitoring(datagram + trailing)


def test_packed_joint_values_are_refused_as_kuka_s_client_would_not_read_them() -> None:
    numbers = struct.pack("<7d", *range(7))
    values = bytes([0x0A, len(numbers)]) + numbers
    data = bytes([0x0A, len(values)]) + values
    header = CommandSchema.FromString(encode_command(CommandMessage(0, 0, None))).SerializeToString()
    with pytest.raises(FriMessageError, match="datagram of"):
        decode_command(header + bytes([0x12, len(data)]) + data)


@pytest.mark.parametrize(
    ("datagram", "lacks"),
    [
        (b"", "header"),
        (bytes([0x0A, 2, 0x10, 4]), "header.messageIdentifier, header.reflectedSequenceCounter"),
        (
            encode_command(CommandMessage(0, 0, None)) + bytes([0x12, 2, 0x2A, 0]),
            r"commandData.writeIORequest\[0\].name",
        ),
    ],
)
def test_required_fields_that_are_missing_are_named(datagram: bytes, lacks: str) -> None:
    with pytest.raises(FriMessageError, match=f"FRICommandMessage without {lacks}"):
        decode_command(datagram)


def decodes_or_refuses(datagram: bytes) -> None:
    """No datagram does anything but give a message or a FriMessageError; what gives one gives its bytes back."""
    for decode, encode in ((decode_monitoring, encode_monitoring), (decode_command, encode_command)):
        try:
            message = decode(datagram)
        except FriMessageError as error:
            assert "\n" not in str(error)
            continue
        assert_same(message, decode(encode(message)))  # type: ignore[operator]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_no_bytes_crash_the_parser(datagram: bytes) -> None:
    decodes_or_refuses(datagram)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([encode_monitoring(MONITORING), encode_command(COMMAND)]), st.data())
def test_no_truncation_is_taken_for_a_message(datagram: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(datagram) - 1))
    decodes_or_refuses(datagram[:length])
    with pytest.raises(FriMessageError):
        decode_monitoring(datagram[:length])


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([encode_monitoring(MONITORING), encode_command(COMMAND)]), st.data())
def test_no_flipped_bits_crash_the_parser(datagram: bytes, data: st.DataObject) -> None:
    flipped = bytearray(datagram)
    for bit in data.draw(st.lists(st.integers(0, 8 * len(datagram) - 1), min_size=1, max_size=4, unique=True)):
        flipped[bit // 8] ^= 1 << bit % 8
    decodes_or_refuses(bytes(flipped))


@given(COUNTERS, st.integers(-(2**31), 2**31 - 1))
def test_counters_are_compared_across_their_wrap(counter: int, distance: int) -> None:
    assert ahead((counter + distance) % 2**32, counter) == distance
    assert ahead(following(counter), counter) == 1


def test_a_source_that_does_not_compile_is_an_error(tmp_path) -> None:  # type: ignore[no-untyped-def]
    source = tmp_path / "broken.proto"
    source.write_text('syntax = "proto2"; message Broken {')
    with pytest.raises(FriMessageError, match=r"broken\.proto: not a \.proto file"):
        compile_schema(source)


def test_the_identifiers_are_those_of_the_lbr() -> None:
    assert (
        MonitoringSchema.FromString(encode_monitoring(MONITORING)).header.messageIdentifier == MONITORING_ID == 2380098
    )
    assert CommandSchema.FromString(encode_command(COMMAND)).header.messageIdentifier == COMMAND_ID == 212993
