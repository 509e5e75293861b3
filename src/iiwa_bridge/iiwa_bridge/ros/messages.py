"""What the bridge knows, as messages: state of the probe, joints, wrench, diagnostics, frames."""

import array
import math

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TransformStamped, WrenchStamped
from sensor_msgs.msg import JointState
from us_nav_interfaces.msg import ProbeState

from iiwa_bridge.bridge import BridgeStatus
from iiwa_bridge.description.urdf import JOINT_NAMES
from iiwa_bridge.robot import Array, ConnectionQuality, SessionState
from iiwa_bridge.ros.conversions import pose_message, wrench_message
from iiwa_bridge.safety.machine import State
from iiwa_bridge.simulation.truth import Truth

_FAULTS = (State.FAULT, State.FAULT_RETRACTING)


def probe_state(status: BridgeStatus, steps: int, stamp: Time) -> ProbeState:
    """State of the probe; the status has a pose and a wrench."""
    assert status.pose is not None and status.wrench is not None
    state = ProbeState(
        pose=pose_message(status.pose),
        wrench=wrench_message(status.wrench),
        contact=status.contact,
        force_set_point=status.force_set_point,
        fri_session_state=int(status.session),
        steps=steps,
    )
    state.header.stamp, state.header.frame_id = stamp, "patient"
    return state


def true_state(truth: Truth, session: SessionState, stamp: Time) -> ProbeState:
    """What is truly so of a simulated probe, over the patient's body."""
    state = ProbeState(
        pose=pose_message(truth.pose),
        wrench=wrench_message(truth.wrench),
        contact=truth.contact,
        force_set_point=math.nan,
        fri_session_state=int(session),
    )
    state.header.stamp, state.header.frame_id = stamp, "patient_body"
    return state


def wrench_state(status: BridgeStatus, stamp: Time) -> WrenchStamped:
    """Wrench on the patient, in ``us_probe``; the status has one."""
    assert status.wrench is not None
    message = WrenchStamped(wrench=wrench_message(status.wrench))
    message.header.stamp, message.header.frame_id = stamp, "us_probe"
    return message


def joint_state(position: Array, stamp: Time) -> JointState:
    """Joints (7,) [rad]."""
    message = JointState(name=list(JOINT_NAMES), position=array.array("d", position.tobytes()))
    message.header.stamp = stamp
    return message


def transforms(patient: Array, pose: Array, stamp: Time) -> list[TransformStamped]:
    """``patient`` and ``us_probe`` in ``world``.

    Args:
        patient: pose (4, 4) of ``patient`` in ``world`` [m].
        pose: pose (4, 4) of ``us_probe`` in ``patient`` [m].
        stamp: of the pose.
    """
    found = []
    for child, transform in (("patient", patient), ("us_probe", np.asarray(patient @ pose))):
        message, placed = TransformStamped(child_frame_id=child), pose_message(transform)
        message.header.stamp, message.header.frame_id = stamp, "world"
        shift = message.transform.translation
        shift.x, shift.y, shift.z = placed.position.x, placed.position.y, placed.position.z
        message.transform.rotation = placed.orientation
        found.append(message)
    return found


def health(status: BridgeStatus | None, active: bool, problem: str) -> tuple[int, str]:
    """Level of ``DiagnosticStatus`` and a line for the operator.

    Args:
        status: of the bridge; None where it is not configured.
        active: whether the node takes orders.
        problem: why the node could not be configured; empty where it could.
    """
    if status is None:
        return (DiagnosticStatus.ERROR, problem) if problem else (DiagnosticStatus.WARN, "not configured")
    if status.failure:
        return DiagnosticStatus.ERROR, status.failure
    if status.machine in _FAULTS:
        return DiagnosticStatus.ERROR, "; ".join(status.reasons) or "fault"
    if status.session is not SessionState.COMMANDING_ACTIVE:
        return DiagnosticStatus.WARN, f"session {status.session.name}: {status.session_reason}"
    if status.quality < ConnectionQuality.GOOD:
        return DiagnosticStatus.WARN, f"connection quality {status.quality.name}"
    if not active:
        return DiagnosticStatus.WARN, "the node is not active: activate it"
    return DiagnosticStatus.OK, status.note or (status.machine.value if status.machine is not None else "")


def diagnostics(
    status: BridgeStatus | None, active: bool, problem: str, controller: str, stamp: Time
) -> DiagnosticArray:
    """All that an operator may ask for, one line each."""
    level, words = health(status, active, problem)
    said = DiagnosticStatus(level=level, name="bridge", message=words, hardware_id=controller)
    if status is not None:
        said.values = [KeyValue(key=key, value=value) for key, value in _values(status).items()]
    array = DiagnosticArray(status=[said])
    array.header.stamp = stamp
    return array


def simulation_health(plant: str, session: SessionState, fault: str, speed: float, stamp: Time) -> DiagnosticArray:
    """How a simulated robot does.

    Args:
        plant: kind of the arm.
        session: state of the FRI session.
        fault: why it is in a fault; empty where it is not.
        speed: simulated seconds in a second.
        stamp: of now.
    """
    level = DiagnosticStatus.ERROR if fault else DiagnosticStatus.OK
    said = DiagnosticStatus(level=level, name="robot_simulation", message=fault or session.name, hardware_id=plant)
    said.values = [KeyValue(key="session", value=session.name), KeyValue(key="realtime_factor", value=f"{speed:.2f}")]
    array = DiagnosticArray(status=[said])
    array.header.stamp = stamp
    return array


def _values(status: BridgeStatus) -> dict[str, str]:
    force = math.nan if status.wrench is None else float(status.wrench[2])
    return {
        "machine": "none" if status.machine is None else status.machine.value,
        "reasons": "; ".join(status.reasons),
        "note": status.note,
        "session": status.session.name,
        "session_reason": status.session_reason,
        "quality": status.quality.name,
        "quality_drops": str(status.quality_drops),
        "cycle_p99_ms": f"{status.cycle_p99 * 1e3:.2f}",
        "missed_cycles": str(status.missed_cycles),
        "state_age_ms": f"{status.state_age * 1e3:.0f}",
        "force_n": f"{force:.2f}",
        "force_set_point_n": f"{status.force_set_point:.2f}",
        "tared": str(status.tared).lower(),
        "cuts": str(status.cuts),
        "last_cut": status.cut,
        "setup": "; ".join(status.setup),
    }
