"""For the tests of the node: a simulated robot in a process of its own, and an operator at the node's topics."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from iiwa_bridge.bridge import BridgeStatus
from iiwa_bridge.robot import SessionState
from iiwa_bridge.ros.bridge_node import BridgeNode
from iiwa_bridge.ros.emergency import serve_stop
from iiwa_bridge.ros.shutdown import until_shutdown
from rclpy.action import ActionClient
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger
from us_nav_interfaces.action import StepProbe
from us_nav_interfaces.msg import ProbeState

from .support_fri import LOCALHOST, free_port, wait_until

TESTS = Path(__file__).parents[1]


@contextmanager
def sim_robot(client: int, controller: int) -> Iterator[subprocess.Popen[str]]:
    """A simulated robot that talks from port ``controller`` to port ``client`` of this machine."""
    command = [sys.executable, str(Path(__file__).with_name("sim_robot.py")), "--plant", "flat"]
    command += ["--client", f"{LOCALHOST}:{client}", "--address", f"{LOCALHOST}:{controller}"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Operator:
    """Calls services, sends goals and listens, on an executor and thread of its own."""

    def __init__(self) -> None:
        self.node = Node("operator", use_global_arguments=False)
        self.states: list[ProbeState] = []
        self.said: list[Any] = []
        self.node.create_subscription(ProbeState, "/probe/state", self.states.append, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 10)
        self.steps = ActionClient(self.node, StepProbe, "/probe/step")
        self._clients = {
            name: self.node.create_client(Trigger, f"/probe/{name}")
            for name in ("enable", "tare", "clear", "retract", "stop")
        }
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self) -> None:
        with until_shutdown():
            self.executor.spin()

    def _take(self, array: DiagnosticArray) -> None:
        self.said.extend(status for status in array.status if status.name == "bridge")

    def meet(self) -> None:
        """Wait until all that the node serves is found."""
        wait_until(self.steps.server_is_ready, "the action")
        for name, client in self._clients.items():
            wait_until(client.service_is_ready, f"/probe/{name}")

    def call(self, name: str, seconds: float = 20.0) -> tuple[bool, str]:
        future = self._clients[name].call_async(Trigger.Request())
        wait_until(future.done, f"/probe/{name}", seconds)
        return future.result().success, future.result().message

    def send(
        self, dx: float, dy: float, force: float = 1.5, feedback: Callable[[Any], None] = lambda said: None
    ) -> Any:
        """The handle of a goal that was accepted."""
        goal = StepProbe.Goal(dx=dx, dy=dy, contact_force=force)
        sent = self.steps.send_goal_async(goal, feedback_callback=feedback)
        wait_until(sent.done, "the goal")
        assert sent.result().accepted
        return sent.result()

    def result(self, handle: Any, seconds: float = 45.0) -> tuple[int, StepProbe.Result]:
        """Status (of action_msgs/GoalStatus) and result of a goal."""
        future = handle.get_result_async()
        wait_until(future.done, "the result of the step", seconds)
        return future.result().status, future.result().result

    def step(self, dx: float, dy: float) -> tuple[int, StepProbe.Result]:
        return self.result(self.send(dx, dy))


class NodeRig:
    """The node in this process, with its executors as in ``main``, and an operator."""

    def __init__(self, **parameters: object) -> None:
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        rclpy.init(args=["--ros-args", *words])
        self.node = BridgeNode()
        self._stop = serve_stop(self.node.emergency_stop)
        self.operator = Operator()
        self.executor = MultiThreadedExecutor(8)
        self.executor.add_node(self.node)
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self) -> None:
        with until_shutdown():
            while rclpy.ok():
                self.executor.spin_once(timeout_sec=0.1)

    @property
    def status(self) -> BridgeStatus:
        status = self.node._status()
        assert status is not None
        return status

    def commanding(self) -> None:
        wait_until(lambda: self.status.session is SessionState.COMMANDING_ACTIVE, "COMMANDING_ACTIVE", 60.0)

    def ready(self) -> None:
        """Commanding, tared and enabled: two calls, once enough was felt at rest."""
        self.commanding()
        time.sleep(1.5)
        for name in ("tare", "enable"):
            done, words = self.operator.call(name)
            assert done, words

    def close(self) -> None:
        self.node.close()
        for executor in (self.executor, self._stop, self.operator.executor):
            executor.shutdown(timeout_sec=1.0)
        # An action server that is left to the garbage collector goes on serving to the tests that come after.
        self.node._server.destroy()
        self.operator.steps.destroy()
        for node in (self.node, self.operator.node):
            node.destroy_node()
        rclpy.try_shutdown()


@contextmanager
def node_rig(**parameters: object) -> Iterator[NodeRig]:
    """Node with these parameters, operator and simulated robot."""
    client, controller = free_port(), free_port()
    addresses = {"controller_host": LOCALHOST, "controller_port": controller, "host": LOCALHOST, "port": client}
    # A busy machine holds the simulated robot up for longer than a controller ever is.
    patience = {"timeout": 1.0, "state_age": 1.0, "command_age": 1.0}
    with sim_robot(client, controller):
        rig = NodeRig(**addresses, **patience, **parameters)
        try:
            yield rig
        finally:
            rig.close()
