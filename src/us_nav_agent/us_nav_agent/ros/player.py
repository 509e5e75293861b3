"""Plays a bag into the graph: serialized bytes at the recorded pace, with the recorded quality of service."""

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2.metadata import parse_qos
from us_grid_sim.ros.transport import make_room_for_frames

from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.definitions import foreign
from us_nav_agent.bags.play import schedule
from us_nav_agent.bags.raw import Topic

SETTLE = 1.0
"""Time for subscribers to find the publishers before the first message [s]."""
DISCOVERY = 5.0
"""Longest wait for a subscriber of every topic [s]."""
_LONGEST_SLEEP = 0.1


def message_class(name: str) -> Any:
    """The class of a type such as ``sensor_msgs/msg/Image``, of feedback topics too.

    Raises:
        ImportError, AttributeError: the type is not installed.
    """
    package, kind, last = name.split("/")
    module = import_module(f"{package}.{kind}")
    if kind == "action":
        return getattr(module, last.removesuffix("_FeedbackMessage")).Impl.FeedbackMessage
    return getattr(module, last)


def profile(topic: Topic) -> QoSProfile:
    """How a topic is offered: as it was when it was recorded, reliable where the bag does not say."""
    found = parse_qos(topic.qos) if topic.qos else []
    best_effort = bool(found) and all(one.reliability == QosReliability.BEST_EFFORT for one in found)
    latched = any(one.durability == QosDurability.TRANSIENT_LOCAL for one in found)
    return QoSProfile(
        depth=50,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def play(
    bag: Bag,
    rate: float,
    topics: Collection[str],
    say: Callable[[str], None],
    progress: Callable[[float], None],
) -> int:
    """Publish the messages of a bag; returns how many.

    Args:
        bag: to play.
        rate: 1 is the recorded pace.
        topics: to play; none: all but those that every node publishes for itself.
        say: called with a line for each topic that cannot be played.
        progress: called with the seconds of the bag that are played.

    Raises:
        BagError: the bag is empty or lacks one of the topics.
    """
    with ExitStack() as stack:
        make_room_for_frames()
        context = Context()
        # Ctrl-C is Python's own: it ends the play between two messages.
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.shutdown, context=context)
        node = Node("usnav_bag_play", context=context, enable_rosout=False, start_parameter_services=False)
        stack.callback(node.destroy_node)
        chosen = (one.topic for name, one in bag.survey.topics.items() if not topics or name in topics)
        publishers = _publishers(node, chosen, say)
        _await_subscribers(publishers.values())
        played, began = 0, time.monotonic() + SETTLE
        for due, message in schedule(bag, rate, topics):
            publisher = publishers.get(message.topic.name)
            if publisher is None:
                continue
            while (wait := began + due - time.monotonic()) > 0:
                time.sleep(min(wait, _LONGEST_SLEEP))
            publisher.publish(bytes(message.data))
            played += 1
            progress(due * rate)
        return played


def _await_subscribers(publishers: Iterable[Any]) -> None:
    """Wait until somebody subscribes to each topic, or the deadline has come: there may be nobody."""
    waiting, deadline = list(publishers), time.monotonic() + DISCOVERY
    while time.monotonic() < deadline and not all(one.get_subscription_count() for one in waiting):
        time.sleep(_LONGEST_SLEEP)


def _publishers(node: Node, topics: Iterable[Topic], say: Callable[[str], None]) -> dict[str, Any]:
    """A publisher for each topic whose type is installed and defined as it was when it was recorded."""
    publishers = {}
    for topic in topics:
        difference = foreign(topic)
        if difference:
            say(f"{topic.name} is not played, its messages are of another definition: {difference}")
            continue
        try:
            kind = message_class(topic.type)
        except (ImportError, AttributeError, ValueError):
            say(f"{topic.name} is not played: its type {topic.type} is not installed")
            continue
        publishers[topic.name] = node.create_publisher(kind, topic.name, profile(topic))
    return publishers
