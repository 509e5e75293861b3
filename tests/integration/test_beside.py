"""Callbacks that take their time: the node goes on meanwhile, and what they raise ends it."""

import threading
import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.ros import beside as of_the_bridge  # noqa: E402
from rclpy.experimental import EventsExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from us_grid_sim.ros import beside as of_the_sources  # noqa: E402

pytestmark = pytest.mark.ros


class Busy(Node):
    """Serves what waits for ``released``, or raises, and counts its own turns meanwhile."""

    def __init__(self, module: object) -> None:
        super().__init__("busy")
        self.finished, self.exit_code, self.turns = False, 0, 0
        self.released = threading.Event()
        beside = module.beside
        self.create_service(Trigger, "wait", beside(self, self.wait))
        self.create_service(Trigger, "fail", beside(self, self.fail))
        self.create_timer(0.01, self.turn)

    def turn(self) -> None:
        self.turns += 1

    def wait(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self.released.wait(10.0)
        return response

    def fail(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        raise ArithmeticError("on purpose")


@pytest.mark.parametrize("module", [of_the_sources, of_the_bridge], ids=["us_grid_sim", "iiwa_bridge"])
def test_a_callback_that_waits_holds_nobody_up_and_one_that_raises_ends_the_node(
    module: object, ros_env: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    rclpy.init()
    try:
        node = Busy(module)
        client, failing = node.create_client(Trigger, "wait"), node.create_client(Trigger, "fail")
        executor = EventsExecutor()
        executor.add_node(node)

        def until(done: object) -> None:
            deadline = time.monotonic() + 10.0
            while not done() and time.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.05)
            assert done()

        until(lambda: client.service_is_ready() and failing.service_is_ready())
        waiting = [client.call_async(Trigger.Request()) for _ in range(2)]
        began, spent, turns = time.monotonic(), time.process_time(), node.turns
        until(lambda: node.turns > turns + 50)
        share = (time.process_time() - spent) / (time.monotonic() - began)
        assert share < 0.25, "waiting took the processor"
        assert not any(one.done() for one in waiting)
        node.released.set()
        until(lambda: all(one.done() and one.result().success for one in waiting))
        assert (node.finished, node.exit_code) == (False, 0)
        failing.call_async(Trigger.Request())
        until(lambda: node.finished)
        assert node.exit_code == 1
        assert "ArithmeticError: on purpose" in capfd.readouterr().err
        node.destroy_node()
    finally:
        rclpy.shutdown()
