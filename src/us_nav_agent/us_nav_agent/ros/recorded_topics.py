"""What a recorder hears: topics, their types, and how they are subscribed to and named in the bag."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from action_msgs.msg import GoalStatusArray
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
from rcl_interfaces.msg import Log, ParameterEvent
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from sensor_msgs.msg import Image, JointState
from us_nav_interfaces.action import NavigateToTarget, StepProbe
from us_nav_interfaces.msg import NavDecision, ProbeState, TargetBins, UltrasoundInfo

RECORDER = "recorder"
"""Name of the node, and of its status in /diagnostics, whose values count what came by topic."""
_NEVER = QosTime(0, 0)


class Recorded(NamedTuple):
    """A topic: the class and the name of its type, and whether its last messages are kept for those who come late."""

    kind: Any
    type: str
    latched: bool = False


def recorded_topics() -> dict[str, Recorded]:
    """The topics of docs/architecture.md, what the simulation knows, and what tells how the graph ran.

    The frames come last: sources begin when they see their subscribers, and others learn of the subscriptions of a node
    in the order in which they were made, so nothing of a run is published before the recorder hears all of it.
    """
    topics = {
        "/us/image_info": Recorded(UltrasoundInfo, "us_nav_interfaces/msg/UltrasoundInfo", True),
        "/simulation/target_bins": Recorded(TargetBins, "us_nav_interfaces/msg/TargetBins", True),
        "/us_nav/decision": Recorded(NavDecision, "us_nav_interfaces/msg/NavDecision", True),
        "/probe/state": Recorded(ProbeState, "us_nav_interfaces/msg/ProbeState"),
        "/simulation/probe": Recorded(ProbeState, "us_nav_interfaces/msg/ProbeState"),
        "/probe/wrench": Recorded(WrenchStamped, "geometry_msgs/msg/WrenchStamped"),
        "/joint_states": Recorded(JointState, "sensor_msgs/msg/JointState"),
        "/diagnostics": Recorded(DiagnosticArray, "diagnostic_msgs/msg/DiagnosticArray"),
        "/rosout": Recorded(Log, "rcl_interfaces/msg/Log", True),
        "/parameter_events": Recorded(ParameterEvent, "rcl_interfaces/msg/ParameterEvent"),
        **_action("/us_nav/navigate", NavigateToTarget),
        **_action("/probe/step", StepProbe),
    }
    if find_spec("tf2_msgs"):  # not among the wheels of PyPI
        TFMessage = import_module("tf2_msgs.msg").TFMessage  # noqa: N806 (a class)
        topics["/tf"] = Recorded(TFMessage, "tf2_msgs/msg/TFMessage")
        topics["/tf_static"] = Recorded(TFMessage, "tf2_msgs/msg/TFMessage", True)
    return {**topics, "/us/image_raw": Recorded(Image, "sensor_msgs/msg/Image")}


def _action(name: str, action: Any) -> dict[str, Recorded]:
    """The topics of an action; its goals and results are services, which nobody else hears."""
    feedback = f"us_nav_interfaces/action/{action.__name__}_FeedbackMessage"
    return {
        f"{name}/_action/status": Recorded(GoalStatusArray, "action_msgs/msg/GoalStatusArray", True),
        f"{name}/_action/feedback": Recorded(action.Impl.FeedbackMessage, feedback),
    }


def subscribed(latched: bool) -> QoSProfile:
    """How a topic is subscribed to: every message is wanted, of latched topics also what came before."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def offered(latched: bool) -> Qos:
    """The quality of service that the bag names for a topic, for whoever plays it."""
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    history, reliability = QosHistory.KEEP_LAST, QosReliability.RELIABLE
    return Qos(history, 10, reliability, durability, _NEVER, _NEVER, QosLiveliness.AUTOMATIC, _NEVER, False)
