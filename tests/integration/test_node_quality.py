"""What every node owes its user: parameters that say what they are and take effect, a word where the quality of service
does not fit, and the ROS clock for stamps alone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rcl_interfaces.msg import ParameterType  # noqa: E402
from rclpy.action import ActionServer  # noqa: E402
from rclpy.event_handler import SubscriptionEventCallbacks  # noqa: E402
from rclpy.executors import MultiThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from us_grid_sim.ros.conversions import IMAGE_QOS, LATCHED_QOS, OFFERED_IMAGE_QOS, image_message  # noqa: E402
from us_grid_sim.ros.grid_replay_node import GridReplayNode  # noqa: E402
from us_nav_agent.errors import UsNavAgentError  # noqa: E402
from us_nav_agent.ros.navigate_client import Outcome, navigate  # noqa: E402
from us_nav_agent.ros.policy_node import PolicyNode  # noqa: E402
from us_nav_agent.ros.recorder_node import RecorderNode  # noqa: E402
from us_nav_interfaces.action import StepProbe  # noqa: E402
from us_nav_interfaces.msg import NavDecision  # noqa: E402

pytestmark = pytest.mark.ros

Begin = Callable[..., Node]
SHORT = 0.4


@pytest.fixture
def begin(ros_env: dict[str, str]) -> Iterator[Begin]:
    """Make a node in this process with these parameters, and spin it."""
    executors: list[MultiThreadedExecutor] = []
    nodes: list[Node] = []

    def made(kind: Callable[[], Node], **parameters: object) -> Node:
        if not rclpy.ok():
            words = (word for key, value in parameters.items() for word in ("-p", f"{key}:={value}"))
            rclpy.init(args=["--ros-args", *words])
            executors.append(MultiThreadedExecutor(12))
            threading.Thread(target=executors[0].spin, daemon=True).start()
        nodes.append(kind())
        executors[0].add_node(nodes[-1])
        return nodes[-1]

    yield made
    for node in nodes:
        if hasattr(node, "close"):
            node.close()
    for executor in executors:
        executor.shutdown(2.0)
    rclpy.try_shutdown()


class FakeProbe(Node):
    """Frames, as long as ``sends``, and steps, which take ``takes`` [s]."""

    def __init__(self) -> None:
        super().__init__("fake_probe")
        self.sends, self.takes = True, 0.0
        self.forces: list[float] = []
        self._images = self.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        self._server = ActionServer(self, StepProbe, "/probe/step", self._step)
        self._frame = np.full((600, 800), 60, dtype=np.uint8)
        self.create_timer(0.05, self._send)

    def _send(self) -> None:
        if self.sends:
            self._images.publish(image_message(self._frame, self.get_clock().now().nanoseconds))

    def _step(self, handle) -> StepProbe.Result:  # type: ignore[no-untyped-def]
        self.forces.append(handle.request.contact_force)
        time.sleep(self.takes)
        handle.succeed()
        result = StepProbe.Result(reached=True)
        result.pose.header.stamp = self.get_clock().now().to_msg()
        return result


def run(node: Node, max_steps: int = 0) -> Outcome:
    return navigate("sacrum", max_steps, lambda step: None, timeout=30.0)


@pytest.mark.parametrize("kind", [GridReplayNode, PolicyNode, RecorderNode])
def test_every_parameter_says_what_it_is_and_which_numbers_it_takes(
    begin: Begin, kind: type[Node], patient_file: Path, wanderer: Path, tmp_path: Path
) -> None:
    node = begin(kind, patient_file=patient_file, model=wanderer, bag=tmp_path / "bag")
    of_rclpy = ("use_sim_time", "start_type_description", "qos_overrides")
    own = [name for name in node._parameters if not name.startswith(of_rclpy)]
    assert own
    for name in own:
        said = node.describe_parameter(name)
        assert said.description, name
        if said.type == ParameterType.PARAMETER_INTEGER:
            assert said.integer_range, name
        if said.type == ParameterType.PARAMETER_DOUBLE:
            assert said.floating_point_range, name


def test_frames_are_subscribed_to_as_sensor_data_or_as_the_parameters_say(begin: Begin, wanderer: Path) -> None:
    override = "qos_overrides./us/image_raw.subscription"
    overrides = {f"{override}.reliability": "reliable", f"{override}.depth": 100}
    node = begin(PolicyNode, model=wanderer, **overrides)
    (subscription,) = [one for one in node.subscriptions if one.topic_name == "/us/image_raw"]
    asked = subscription.qos_profile
    assert (asked.reliability, asked.depth) == (ReliabilityPolicy.RELIABLE, 100)
    assert (IMAGE_QOS.reliability, IMAGE_QOS.depth) == (ReliabilityPolicy.BEST_EFFORT, 5), "that of all others"


def test_the_policy_takes_as_many_steps_and_as_much_force_as_its_parameters_say(begin: Begin, wanderer: Path) -> None:
    begin(PolicyNode, model=wanderer, max_steps=2, contact_force=1.3)
    probe = begin(FakeProbe)
    outcome = run(probe)
    assert (outcome.steps, outcome.reason) == (2, "target not in view after 2 steps")
    assert probe.forces == [1.3, 1.3]


@pytest.mark.parametrize(
    ("parameter", "sends", "takes", "reason"),
    [
        ("startup_timeout", False, 0.0, f"no frame for {SHORT:g} s"),
        ("step_timeout", True, 2.0, f"no result of the probe step for {SHORT:g} s"),
    ],
)
def test_a_wait_of_the_policy_is_as_long_as_its_parameter_says(
    begin: Begin, wanderer: Path, parameter: str, sends: bool, takes: float, reason: str
) -> None:
    # With a clock that stands: no wait may hang on it.
    begin(PolicyNode, model=wanderer, **{parameter: SHORT, "use_sim_time": "true" if not sends else "false"})
    probe = begin(FakeProbe)
    probe.sends, probe.takes = sends, takes
    assert run(probe).reason == reason


def test_a_run_ends_when_the_frames_stop_for_as_long_as_frame_timeout(begin: Begin, wanderer: Path) -> None:
    begin(PolicyNode, model=wanderer, frame_timeout=SHORT)
    probe = begin(FakeProbe)

    def stop(step: object) -> None:
        probe.sends = False

    outcome = navigate("sacrum", 0, stop, timeout=30.0)
    assert outcome.reason == f"no frame for {SHORT:g} s"


def test_without_autostart_a_policy_takes_no_goal(begin: Begin, wanderer: Path) -> None:
    node = begin(PolicyNode, model=wanderer, autostart="false")
    with pytest.raises(UsNavAgentError, match="refused the goal"):
        run(node)


def test_a_monitor_decides_on_frames_without_a_run_with_the_model_it_was_given(begin: Begin, wanderer: Path) -> None:
    begin(PolicyNode, model=wanderer, monitor="true")
    probe = begin(FakeProbe)
    heard: list[NavDecision] = []
    probe.create_subscription(NavDecision, "/us_nav/decision", heard.append, LATCHED_QOS)
    wait(lambda: heard)
    assert heard[0].model == wanderer.stem


def test_a_subscriber_whose_quality_of_service_does_not_fit_is_told_so(begin: Begin, patient_file: Path) -> None:
    begin(GridReplayNode, patient_file=patient_file)
    told: list[object] = []
    # The last frames are not kept for those who come late.
    wanted = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener = begin(lambda: Node("listener"))
    events = SubscriptionEventCallbacks(incompatible_qos=told.append)
    listener.create_subscription(Image, "/us/image_raw", lambda image: None, wanted, event_callbacks=events)
    wait(lambda: told)
    assert told[0].last_policy_kind.name.endswith("DURABILITY")


def test_stamps_follow_the_clock_of_a_simulation_and_frames_come_though_it_stands(
    begin: Begin, patient_file: Path
) -> None:
    begin(GridReplayNode, patient_file=patient_file, use_sim_time="true")
    listener = begin(lambda: Node("listener"))
    clock = listener.create_publisher(Clock, "/clock", 10)
    stamps: list[int] = []
    listener.create_subscription(Image, "/us/image_raw", lambda image: stamps.append(image.header.stamp.sec), IMAGE_QOS)

    def shown(second: int) -> bool:
        message = Clock()
        message.clock.sec = second
        clock.publish(message)
        return stamps[-3:] == [second] * 3

    wait(lambda: shown(1000))
    wait(lambda: shown(2000))


def wait(done: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.mark.parametrize(("kind", "name"), [(GridReplayNode, "grid_replay"), (PolicyNode, "policy")])
def test_a_node_tells_how_it_does_once_a_second(
    begin: Begin, kind: type[Node], name: str, patient_file: Path, wanderer: Path
) -> None:
    begin(kind, patient_file=patient_file, model=wanderer)
    listener = begin(lambda: Node("listener"))
    told: list[DiagnosticStatus] = []
    listener.create_subscription(DiagnosticArray, "/diagnostics", lambda array: told.extend(array.status), 10)
    wait(lambda: len(told) >= 2)
    assert (told[0].name, told[0].level) == (name, DiagnosticStatus.OK)
    assert told[0].message and told[0].values


def test_a_recorder_tells_what_it_hears_and_warns_while_no_frame_comes(begin: Begin, tmp_path: Path) -> None:
    begin(RecorderNode, bag=tmp_path / "bag")
    listener = begin(lambda: Node("listener"))
    told: list[DiagnosticStatus] = []
    listener.create_subscription(DiagnosticArray, "/diagnostics", lambda array: told.extend(array.status), 10)
    wait(lambda: told)
    assert (told[0].name, told[0].level) == ("recorder", DiagnosticStatus.WARN)
    assert told[0].message == "recording, but nothing on /us/image_raw so far"
    begin(FakeProbe)
    wait(lambda: told[-1].level == DiagnosticStatus.OK)
    assert int(next(value.value for value in told[-1].values if value.key == "/us/image_raw")) > 0


def test_a_run_that_is_to_be_recorded_waits_until_the_recorder_hears_it(
    begin: Begin, wanderer: Path, tmp_path: Path
) -> None:
    begin(PolicyNode, model=wanderer, bag=tmp_path / "bag")
    probe = begin(FakeProbe)
    with pytest.raises(UsNavAgentError, match="no recorder hears /us/image_raw within 1 s"):
        navigate("sacrum", 1, lambda step: None, recorded=("/us/image_raw",), startup=1.0)
    probe.sends = False
    begin(RecorderNode)
    with pytest.raises(UsNavAgentError, match="no recorder hears /us/image_raw"):  # it is there, but hears no frame
        navigate("sacrum", 1, lambda step: None, recorded=("/us/image_raw",), startup=3.0)
    probe.sends = True
    assert navigate("sacrum", 1, lambda step: None, recorded=("/us/image_raw",), timeout=30.0).steps == 1
