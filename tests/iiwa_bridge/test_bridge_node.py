"""The bridge node over a simulated robot: orders, their ends and reasons, the lifecycle, a stop that always works."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

import rclpy
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from iiwa_bridge.bridge import BridgeStatus
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.orders import OrderEnd
from iiwa_bridge.robot import ConnectionQuality, SessionState
from iiwa_bridge.ros.messages import diagnostics, health, transforms
from iiwa_bridge.ros.waiting import wait_for_end
from iiwa_bridge.safety.machine import State
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image

from .support_bridge_node import node_rig
from .support_fri import LOCALHOST, free_port, wait_until

pytestmark = pytest.mark.ros

FINE = BridgeStatus(
    machine=State.ENABLED,
    reasons=(),
    note="",
    pose=np.eye(4),
    wrench=np.zeros(6),
    position=np.zeros(7),
    contact=False,
    force_set_point=0.0,
    tared=True,
    session=SessionState.COMMANDING_ACTIVE,
    quality=ConnectionQuality.EXCELLENT,
    session_reason="",
    cycle_p99=0.001,
    missed_cycles=3,
    quality_drops=1,
    state_age=0.002,
    cuts=0,
    cut="",
    ended=(OrderEnd(4, True, False),),
    setup=(),
    failure="",
)


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({}, DiagnosticStatus.OK, "enabled"),
        ({"note": "frame age 0.6 s"}, DiagnosticStatus.OK, "frame age 0.6 s"),
        ({"machine": State.FAULT, "reasons": ("first", "second")}, DiagnosticStatus.ERROR, "first; second"),
        ({"failure": "ended"}, DiagnosticStatus.ERROR, "ended"),
        ({"quality": ConnectionQuality.FAIR}, DiagnosticStatus.WARN, "connection quality FAIR"),
        (
            {"session": SessionState.MONITORING_READY, "session_reason": "connection quality GOOD"},
            DiagnosticStatus.WARN,
            "session MONITORING_READY: connection quality GOOD",
        ),
    ],
)
def test_the_gravest_of_what_is_wrong_is_told(change: dict[str, object], level: int, words: str) -> None:
    assert health(replace(FINE, **change), True, "") == (level, words)  # type: ignore[arg-type]


def test_without_a_bridge_the_reason_is_told() -> None:
    assert health(None, False, "no such file") == (DiagnosticStatus.ERROR, "no such file")
    assert health(None, False, "")[0] == DiagnosticStatus.WARN


def test_diagnostics_hold_what_an_operator_asks_for() -> None:
    (said,) = diagnostics(FINE, True, "", "10.0.0.1:30200", Time()).status
    values = {pair.key: pair.value for pair in said.values}
    expected = {
        "session": "COMMANDING_ACTIVE",
        "quality": "EXCELLENT",
        "cycle_p99_ms": "1.00",
        "missed_cycles": "3",
        "force_n": "0.00",
        "machine": "enabled",
        "reasons": "",
    }
    assert {key: values[key] for key in expected} == expected
    assert said.hardware_id == "10.0.0.1:30200"


def test_frames_are_those_of_the_layout() -> None:
    patient, pose = load_layout().patient, np.eye(4)
    pose[:3, 3] = 0.01, 0.02, -0.03
    placed = {message.child_frame_id: message for message in transforms(patient, pose, Time())}
    assert {message.header.frame_id for message in placed.values()} == {"world"}
    shift = placed["us_probe"].transform.translation
    assert (shift.x, shift.y, shift.z) == pytest.approx(tuple((patient @ pose)[:3, 3]))
    shift = placed["patient"].transform.translation
    assert (shift.x, shift.y, shift.z) == pytest.approx(tuple(patient[:3, 3]))


def test_a_wait_ends_with_the_order_the_bridge_or_its_deadline() -> None:
    assert wait_for_end(lambda: FINE, 4, 1.0).reached
    assert "closed" in wait_for_end(lambda: None, 4, 1.0).reason
    assert wait_for_end(lambda: replace(FINE, failure="it ended"), 5, 1.0).reason == "it ended"
    late = wait_for_end(lambda: FINE, 5, 0.05)
    assert late.failed and late.reason.startswith("no end of the order within 0.05 s")


def test_a_day_at_the_robot(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        operator = rig.operator
        operator.meet()
        rig.commanding()
        assert operator.call("enable") == (
            False,
            "enable is not allowed before a tare: tare first, the probe in the air",
        )
        status, result = operator.step(0.0, 0.0)
        assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, "step is not allowed while idle: enable first")
        rig.ready()

        feedback: list[object] = []
        handle = operator.send(0.01, 0.005, feedback=feedback.append)
        again, result = operator.step(0.01, 0.0)
        assert again == GoalStatus.STATUS_ABORTED
        assert result.reason == "another step is under way; wait for its end, or cancel it"
        status, result = operator.result(handle)
        assert (status, result.reached, result.reason) == (GoalStatus.STATUS_SUCCEEDED, True, "")
        place = result.pose.pose.position
        assert (place.x, place.y) == pytest.approx((0.01, 0.005), abs=1.5e-3)
        assert len(feedback) > 10
        wait_until(lambda: operator.states[-1].steps == 1 and operator.states[-1].contact, "the state of the new place")
        assert operator.states[-1].force_set_point == 1.5

        handle = operator.send(-0.03, 0.0)
        wait_until(lambda: rig.status.machine is State.STEPPING, "the step")
        cancelled = handle.cancel_goal_async()
        status, result = operator.result(handle)
        assert cancelled.done() and status == GoalStatus.STATUS_CANCELED
        assert (result.reached, result.reason) == (False, "cancelled; the probe is held where it is")
        assert rig.status.machine is State.IN_CONTACT
        assert -0.018 < result.pose.pose.position.x <= 0.0115

        assert operator.call("retract") == (True, "retract: done")
        assert rig.status.machine is State.ENABLED and not rig.status.contact

        handle = operator.send(0.0, 0.0)
        wait_until(lambda: rig.status.machine is State.APPROACHING, "the approach")
        assert operator.call("stop") == (True, "stopped")
        status, result = operator.result(handle)
        assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, "stopped by /probe/stop")
        wait_until(lambda: operator.said[-1].level == DiagnosticStatus.ERROR, "the diagnostics")
        assert operator.said[-1].message == "stopped by /probe/stop"
        assert operator.call("enable")[1] == "enable is not allowed while fault: clear the fault first"
        assert operator.call("clear") == (True, "clear: done")


def test_the_lifecycle_allows_orders_and_ends_the_connection(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        rig.operator.meet()
        rig.ready()
        assert rig.node.trigger_deactivate() is TransitionCallbackReturn.SUCCESS
        assert rig.status.machine is State.IDLE
        assert rig.operator.call("enable") == (False, "the bridge is not active: configure and activate it")
        status, result = rig.operator.step(0.0, 0.0)
        assert status == GoalStatus.STATUS_ABORTED and "not active" in result.reason
        assert rig.node.trigger_activate() is TransitionCallbackReturn.SUCCESS
        assert rig.operator.call("enable") == (True, "enable: done")
        rig.node.trigger_deactivate()
        assert rig.node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
        assert rig.node._status() is None
        assert rig.operator.call("stop") == (False, "the bridge is not configured")


def test_for_a_simulation_the_node_makes_the_first_contact_itself(ros_env: dict[str, str]) -> None:
    with node_rig(ready_on_start=True, start="'5,8'", start_force=1.2) as rig:
        rig.operator.meet()
        rig.commanding()
        time.sleep(2.0)
        assert not rig.status.tared, "nobody sees anything yet"
        frames = rig.operator.node.create_publisher(Image, "/us/image_raw", 10)
        rig.operator.node.create_timer(0.05, lambda: frames.publish(Image()))
        status, result = rig.operator.step(0.01, 0.0)
        assert status == GoalStatus.STATUS_ABORTED
        assert result.reason == "the first contact is under way; wait for its end, or cancel it"
        wait_until(lambda: rig.status.tared, "the tare", 90.0)
        wait_until(lambda: rig.status.machine is State.IN_CONTACT, "the first contact", 180.0)
        status_now = rig.status
        assert status_now.tared and status_now.force_set_point == 1.2
        assert status_now.pose is not None
        assert tuple(status_now.pose[:2, 3]) == pytest.approx((0.02, 0.0), abs=2e-3)
        wait_until(lambda: not rig.node._stepping.locked(), "the end of the order")
        status, result = rig.operator.step(0.01, 0.0)
        assert (status, result.reached, result.reason) == (GoalStatus.STATUS_SUCCEEDED, True, "")


def test_a_first_contact_that_is_deactivated_is_held(ros_env: dict[str, str]) -> None:
    with node_rig(ready_on_start=True, watch_frames=False) as rig:
        wait_until(lambda: rig.status.machine is State.APPROACHING, "the approach", 120.0)
        rig.node.trigger_deactivate()
        wait_until(lambda: not rig.node._stepping.locked(), "the end of the order")
        assert rig.status.machine in (State.ENABLED, State.IDLE) and not rig.status.contact
        assert rig.node.trigger_activate() is TransitionCallbackReturn.SUCCESS
        assert not rig.node._stepping.locked(), "once tared, the rest is the operator's"


def test_a_step_that_is_deactivated_is_held(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        rig.operator.meet()
        rig.ready()
        handle = rig.operator.send(0.0, 0.0)
        wait_until(lambda: rig.status.machine is State.APPROACHING, "the approach")
        rig.node.trigger_deactivate()
        status, result = rig.operator.result(handle)
        assert status == GoalStatus.STATUS_ABORTED
        assert result.reason == "the bridge was deactivated; the probe is held where it is"
        assert rig.status.machine is State.IDLE


def test_a_step_is_held_when_frames_that_came_come_no_more(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        rig.operator.meet()
        rig.ready()
        frames = rig.operator.node.create_publisher(Image, "/us/image_raw", 10)
        timer = rig.operator.node.create_timer(0.05, lambda: frames.publish(Image()))
        wait_until(lambda: rig.node._frame is not None, "a frame")
        handle = rig.operator.send(0.0, 0.0)
        wait_until(lambda: rig.status.machine is State.APPROACHING, "the approach")
        time.sleep(1.0)
        assert rig.status.machine is State.APPROACHING, "frames come"
        timer.cancel()
        status, result = rig.operator.result(handle)
        assert status == GoalStatus.STATUS_ABORTED
        assert result.reason.startswith("frame_age")
        assert rig.status.machine is State.ENABLED
        rig.operator.step(0.0, 0.0)
        assert rig.status.note.startswith("frame_age"), "a step without frames is held at once"


def test_a_transition_that_fails_half_way_leaves_no_bridge_behind(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        rig.commanding()
        pid = rig.node._bridge.pid  # type: ignore[union-attr]
        state = LifecycleState(state_id=1, label="unconfigured")
        assert rig.node.on_error(state) is TransitionCallbackReturn.SUCCESS
        assert rig.node._status() is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def started(environment: dict[str, str], port: int) -> "subprocess.Popen[str]":
    """The node in a process of its own, without a robot."""
    words = ["-p", f"controller_host:={LOCALHOST}", "-p", f"host:={LOCALHOST}", "-p", f"port:={port}"]
    command = [sys.executable, "-m", "iiwa_bridge.ros.bridge_node", "--ros-args", *words]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_port_that_is_taken_is_one_clear_error(ros_env: dict[str, str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOCALHOST, 0))
        port = taken.getsockname()[1]
        output, _ = (process := started(ros_env, port)).communicate(timeout=60.0)
    assert process.returncode == 1
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and str(port) in errors[0] and "Address already in use" in errors[0]
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_cleanly(ros_env: dict[str, str], number: int) -> None:
    process = started(ros_env, free_port())
    assert process.stdout is not None
    while "waiting for the controller" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    output, _ = process.communicate(timeout=10.0)
    assert (process.returncode, "Traceback" in output) == (0, False), output


TOLD_WHILE_MADE = """
import os, signal
from iiwa_bridge.ros.running import run
from iiwa_bridge.ros.shutdown import leave
from rclpy.node import Node

class Holder(Node):
    finished, exit_code = False, 0

    def __init__(self):
        super().__init__("holder")
        print("holds a robot", flush=True)
        os.kill(os.getpid(), signal.{name})
        print("whole", flush=True)

    def close(self):
        print("gave it back", flush=True)

leave(run(Holder))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_node_is_made_ends_it_once_it_is_whole(ros_env: dict[str, str], name: str) -> None:
    """Cut short in its making it would leave a robot that nobody gives back, or half an object of rclpy."""
    command = [sys.executable, "-c", TOLD_WHILE_MADE.format(name=name)]
    ended = subprocess.run(command, env=ros_env, text=True, capture_output=True, timeout=30.0)
    assert (ended.returncode, ended.stdout.split("\n")) == (0, ["holds a robot", "whole", "gave it back", ""]), ended


def test_the_stop_works_within_100_ms_while_the_nodes_own_executor_hangs(ros_env: dict[str, str]) -> None:
    with node_rig() as rig:
        rig.operator.meet()
        rig.ready()
        hangs, freed = threading.Event(), threading.Event()

        def hang() -> None:
            hangs.set()
            freed.wait(30.0)

        # As many callbacks that do not come back as the executor has threads.
        for _ in range(8):
            rig.executor.create_task(hang)
        assert hangs.wait(10.0)
        time.sleep(0.5)
        heard = len(rig.operator.states)
        begun = time.monotonic()
        assert rig.operator.call("stop") == (True, "stopped")
        wait_until(lambda: rig.status.machine is State.FAULT, "the stop", 5.0)
        took = time.monotonic() - begun
        assert rig.status.reasons == ("stopped by /probe/stop",)
        assert len(rig.operator.states) <= heard + 1, "the executor was to hang"
        freed.set()
        assert took < 0.1
        assert rclpy.ok()
