"""The console's live feed in a real graph: what is published is seen, and /probe/stop is called."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger
from us_grid_sim.geometry import Bin, probe_pose
from us_grid_sim.ros.conversions import LATCHED_QOS, OFFERED_IMAGE_QOS, image_message, time_message, tracked_state
from us_nav_agent.console.model import Marks, Snapshot
from us_nav_agent.console.records import Level, Session
from us_nav_agent.ros.console_feed import ConsoleFeed
from us_nav_agent.ros.spinning import Spinner
from us_nav_interfaces.msg import NavDecision, ProbeState, TargetBins

pytestmark = pytest.mark.ros
_PATIENCE = 30.0
"""Longest wait for discovery on a busy machine [s]."""


class Graph:
    """A node that publishes what a graph does, and serves /probe/stop."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("graph", context=self.context)
        self.stops = 0
        self._publishers = {
            kind: self.node.create_publisher(kind, topic, quality)
            for kind, topic, quality in (
                (Image, "/us/image_raw", OFFERED_IMAGE_QOS),
                (NavDecision, "/us_nav/decision", LATCHED_QOS),
                (ProbeState, "/probe/state", 10),
                (JointState, "/joint_states", 10),
                (DiagnosticArray, "/diagnostics", 10),
                (TargetBins, "/simulation/target_bins", LATCHED_QOS),
            )
        }
        # Told before anybody listens, and once.
        self.publish(TargetBins(subject="Virtual029", target="sacrum", rows=[5, 5], columns=[1, 2]))

    def publish(self, message: object) -> None:
        self._publishers[type(message)].publish(message)

    def serve_stop(self) -> None:
        self.node.create_service(Trigger, "/probe/stop", self._stop)

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.stops += 1
        response.success, response.message = True, "stopped"
        return response

    def tell_all(self) -> None:
        """Everything that a graph says in a cycle."""
        stamp = self.node.get_clock().now().nanoseconds
        self.publish(tracked_state(probe_pose(*Bin(3, 6).center), "patient", stamp, 4))
        self.publish(image_message(np.full((600, 800), 7, np.uint8), stamp))
        said = NavDecision(
            step=0, action=3, q_values=[0.1, 0.2, 0.3, 0.9], state_value=0.9, stop_probability=0.25, model="m"
        )
        said.header.stamp = time_message(stamp)
        self.publish(said)
        self.publish(JointState(name=[f"A{n}" for n in range(1, 8)], position=[0.1] * 7))
        status = DiagnosticStatus(level=DiagnosticStatus.WARN, name="bridge", message="not active")
        status.values = [KeyValue(key="machine", value="enabled")]
        self.publish(DiagnosticArray(status=[status]))


@pytest.fixture
def graph(ros_env: dict[str, str]) -> Iterator[Graph]:
    made = Graph()
    executor = SingleThreadedExecutor(context=made.context)
    executor.add_node(made.node)
    spinner = Spinner(executor, "graph")
    yield made
    spinner.close()
    made.node.destroy_node()
    rclpy.shutdown(context=made.context)


def until(done: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < deadline, "not seen in time"
        meanwhile()
        time.sleep(0.05)


def test_the_feed_sees_the_graph_and_stops_it(graph: Graph) -> None:
    feed = ConsoleFeed()
    try:
        assert feed.stop().words == "nobody serves /probe/stop"
        assert not feed.start("sacrum").done and not feed.cancel().done

        def seen() -> Snapshot:
            return feed.snapshot(Marks())[0]

        def complete() -> bool:
            now = seen()
            return all((now.frame, now.decision, now.probe, now.joints, now.diagnostics, now.goals, now.path))

        until(complete, graph.tell_all)
        now = seen()
        assert now.frame and now.decision and now.probe and now.joints
        assert now.frame.record.pixels.shape == (600, 800) and int(now.frame.record.pixels[0, 0]) == 7
        assert now.frame.record.delay is not None and now.frame.record.delay < 5.0
        assert now.decision.record.q_values == pytest.approx((0.1, 0.2, 0.3, 0.9))
        assert now.probe.record.session is Session.NONE and now.probe.record.steps == 4
        assert now.path == (Bin(3, 6),) and now.values == {Bin(3, 6): pytest.approx(0.9)}
        assert now.goals == {"sacrum": (Bin(5, 1), Bin(5, 2))}
        (said,) = now.diagnostics
        assert (said.record.level, dict(said.record.values)) == (Level.WARN, {"machine": "enabled"})

        # What cannot be shown is said, and harms nothing.
        graph.publish(Image(encoding="rgb8", width=800, height=600))
        until(lambda: any("expected mono8" in one.record.message for one in seen().diagnostics), lambda: None)

        graph.serve_stop()
        until(lambda: feed.stop().done, lambda: None)
        before = graph.stops
        # From several threads at once, as by the two ways of the page.
        pressed = [threading.Thread(target=feed.stop) for _ in range(3)]
        for each in pressed:
            each.start()
        for each in pressed:
            each.join(5.0)
        assert graph.stops == before + 3
    finally:
        feed.close()
