"""/probe/stop on an executor and thread of its own, which works while everything else hangs."""

import threading
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from iiwa_bridge.ros.shutdown import until_shutdown


def serve_stop(emergency_stop: Callable[[str], bool]) -> SingleThreadedExecutor:
    """Serve /probe/stop until the context ends.

    Args:
        emergency_stop: takes the reason; waits for nothing; False where there is nothing to stop.
    """
    # A launch file renames the node of this process; this one keeps its name.
    stopper = Node("bridge_stop", use_global_arguments=False)

    def stop(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = emergency_stop("stopped by /probe/stop")
        response.message = "stopped" if response.success else "the bridge is not configured"
        return response

    stopper.create_service(Trigger, "/probe/stop", stop)
    executor = SingleThreadedExecutor()
    executor.add_node(stopper)

    def spin() -> None:
        with until_shutdown():
            executor.spin()

    threading.Thread(target=spin, name="emergency stop", daemon=True).start()
    return executor
