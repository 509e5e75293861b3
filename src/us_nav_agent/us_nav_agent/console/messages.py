"""From messages, rclpy's or rosbags', to records: both name the fields alike, so one reading serves both."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from us_grid_sim.geometry import Action, Bin

from us_nav_agent.bags.read import DECISION_TOPIC, IMAGE_TOPIC, STATE_TOPIC, pixels_of, stamp_ns
from us_nav_agent.console.records import (
    DecisionSeen,
    DiagnosticSeen,
    FrameSeen,
    GoalsSeen,
    JointsSeen,
    Level,
    ProbeSeen,
    Record,
    Session,
)
from us_nav_agent.errors import BagError, ConsoleError

JOINTS_TOPIC = "/joint_states"
DIAGNOSTICS_TOPIC = "/diagnostics"
GOALS_TOPIC = "/simulation/target_bins"


def _frame(message: Any) -> Iterator[FrameSeen]:
    yield FrameSeen(pixels_of(message), stamp_ns(message.header.stamp))


def _decision(message: Any) -> Iterator[DecisionSeen]:
    yield DecisionSeen(
        stamp_ns(message.header.stamp),
        int(message.step),
        Action(message.action),
        tuple(float(value) for value in message.q_values),
        float(message.state_value),
        float(message.stop_probability),
        float(message.confidence),
        float(message.latency),
        str(message.model),
    )


def _probe(message: Any) -> Iterator[ProbeSeen]:
    place = message.pose.position
    if math.isfinite(place.x + place.y + place.z):
        yield ProbeSeen(
            stamp_ns(message.header.stamp),
            str(message.header.frame_id),
            (float(place.x), float(place.y), float(place.z)),
            float(message.wrench.force.z),
            float(message.force_set_point),
            bool(message.contact),
            Session(message.fri_session_state),
            int(message.steps),
        )


def _joints(message: Any) -> Iterator[JointsSeen]:
    yield JointsSeen(tuple(message.name), tuple(float(angle) for angle in message.position))


def _diagnostics(message: Any) -> Iterator[DiagnosticSeen]:
    for status in message.status:
        # A byte is bytes to rclpy and a number to rosbags.
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        values = tuple((str(pair.key), str(pair.value)) for pair in status.values)
        yield DiagnosticSeen(status.name, Level(level), status.message, status.hardware_id, values)


def _goals(message: Any) -> Iterator[GoalsSeen]:
    bins = tuple(Bin(int(row), int(column)) for row, column in zip(message.rows, message.columns, strict=True))
    yield GoalsSeen(str(message.subject), str(message.target), bins)


_READERS: dict[str, Callable[[Any], Iterator[Record]]] = {
    IMAGE_TOPIC: _frame,
    DECISION_TOPIC: _decision,
    STATE_TOPIC: _probe,
    JOINTS_TOPIC: _joints,
    DIAGNOSTICS_TOPIC: _diagnostics,
    GOALS_TOPIC: _goals,
}
TOPICS = tuple(_READERS)
"""What the console looks at."""


def records_of(topic: str, message: Any) -> list[Record]:
    """The records in a message of one of TOPICS.

    Raises:
        ConsoleError: a value of it is none that the interface knows: the topic, and what it says.
    """
    try:
        return list(_READERS[topic](message))
    except (BagError, ValueError, AttributeError, TypeError) as error:
        raise ConsoleError(f"a message on {topic} cannot be shown: {error}") from error
