"""The parameters of all nodes of a graph, asked for through the standard services while something else goes on."""

import time
from collections.abc import Callable
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_LOOK = 1.0
"""Between two looks at which nodes there are [s]."""
_AGAIN = 10.0
"""Between two questions to the same node [s]."""
_PATIENCE = 5.0
"""Longest wait for an answer [s]."""


class _Question:
    """What goes on with one node: its two clients, when it was asked, and whether it has answered."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node
        self.list = node.create_client(ListParameters, f"{name}/list_parameters")
        self.get = node.create_client(GetParameters, f"{name}/get_parameters")
        self.asked: float | None = None
        self.answered = True

    def due(self, now: float) -> bool:
        """Whether it is time to ask: never asked, answered a while ago, or given up."""
        if self.asked is None:
            return True
        return now - self.asked > (_AGAIN if self.answered else _PATIENCE)

    def close(self) -> None:
        """Give back the clients."""
        self._node.destroy_client(self.list)
        self._node.destroy_client(self.get)


class ParameterWatch:
    """Asks every node of the graph for its parameters, as soon as it appears and every ten seconds.

    Nothing waits: a node that does not answer is asked again after the deadline.

    Args:
        node: asks.
        tell: called with a node's full name and its parameters by name.
    """

    def __init__(self, node: Node, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._node, self._tell = node, tell
        self._questions: dict[str, _Question] = {}
        # On the steady clock: with use_sim_time the node's stands still where nobody publishes /clock.
        node.create_timer(_LOOK, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        names = {f"{space.rstrip('/')}/{name}" for name, space in self._node.get_node_names_and_namespaces()}
        names = {name for name in names if not name.rsplit("/", 1)[1].startswith("_")}
        for gone in self._questions.keys() - names:
            self._questions.pop(gone).close()
        for new in names - self._questions.keys():
            self._questions[new] = _Question(self._node, new)
        now = time.monotonic()
        for question in self._questions.values():
            if question.due(now) and question.list.service_is_ready() and question.get.service_is_ready():
                question.asked, question.answered = now, False
                self._ask(question)

    def _ask(self, question: _Question) -> None:
        """Ask for the names, then for the values."""

        def on_values(names: list[str], future: Any) -> None:
            response = future.result()
            if response is None or self._questions.get(question.name) is not question:
                return
            question.answered = True
            values = map(parameter_value_to_python, response.values)
            self._tell(question.name, dict(zip(names, values, strict=False)))

        def on_names(future: Any) -> None:
            response = future.result()
            if response is None or self._questions.get(question.name) is not question:
                return
            names = list(response.result.names)
            asked = question.get.call_async(GetParameters.Request(names=names))
            asked.add_done_callback(lambda done: on_values(names, done))

        question.list.call_async(ListParameters.Request()).add_done_callback(on_names)
