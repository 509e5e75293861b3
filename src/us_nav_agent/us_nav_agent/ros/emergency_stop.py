"""Calls /probe/stop on a context, executor and thread of its own: whatever else hangs in the process, this does not."""

import threading

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from us_nav_agent.console.feed import Answer
from us_nav_agent.ros.spinning import Spinner

SERVICE = "/probe/stop"
_DISCOVERY = 0.5
"""Longest wait for the service to be found [s]; where it was there before, none."""
_ANSWER = 2.0
"""Longest wait for its answer [s]."""


class EmergencyStop:
    """A client of /probe/stop that is ready all the time; any thread may press."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node("usnav_console_stop", context=self._context, use_global_arguments=False)
        self._client = self._node.create_client(Trigger, SERVICE)
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._spinner = Spinner(executor, "emergency stop")

    def press(self) -> Answer:
        """Call the stop; whether it was answered within its deadline, and how."""
        if not self._client.wait_for_service(timeout_sec=_DISCOVERY):
            return Answer(False, f"nobody serves {SERVICE}")
        answered = threading.Event()
        future = self._client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(_ANSWER):
            self._client.remove_pending_request(future)
            return Answer(False, f"{SERVICE} has not answered for {_ANSWER:g} s")
        reply = future.result()
        return Answer(reply.success, reply.message)

    def close(self) -> None:
        """End the thread and the context."""
        self._spinner.close()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
