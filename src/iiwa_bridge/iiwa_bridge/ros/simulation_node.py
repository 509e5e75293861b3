"""The simulated robot as a node, for launch files: the bridge finds it over FRI, as it finds the robot."""

import sys
import time
from collections.abc import Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from us_nav_interfaces.msg import ProbeState

from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.realtime import CONTROLLER, claim_processor, lock_memory
from iiwa_bridge.ros.messages import simulation_health, true_state
from iiwa_bridge.ros.parameters import declare_simulation
from iiwa_bridge.ros.running import run
from iiwa_bridge.ros.shutdown import leave
from iiwa_bridge.simulation.simulated_robot import SimulatedRobot

_LOOK = 0.1
"""Between two looks at the session [s]."""
_PERIOD = 1.0 / 60.0
"""Of /simulation/probe [s]: twice as often as frames come."""


class SimulationNode(Node):
    """Says what becomes of the session, and on /simulation/probe what is truly so, which no robot could tell.

    Args:
        settle: called when all is made and before the robot runs; what it says is told.

    Raises:
        IiwaBridgeError: the plant cannot be made, or the port is taken.
    """

    def __init__(self, settle: Callable[[], str] = lambda: "") -> None:
        super().__init__("robot_simulation")
        self.finished = False
        self.exit_code = 0
        self.config = declare_simulation(self)
        self._probe = self.create_publisher(ProbeState, "/simulation/probe", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On the steady clock: with use_sim_time only the stamps follow /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK, self._look, clock=steady)
        self.create_timer(_PERIOD, self._tell, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)
        self._before = time.monotonic(), 0.0
        self._robot: SimulatedRobot | None = SimulatedRobot(self.config)
        host, port = self.config.client
        self.get_logger().info(f"plant {self.config.plant}, for the bridge at {host}:{port}")
        if said := settle():
            self.get_logger().info(said)
        # Last of all: what goes wrong after it would leave the robot's thread behind.
        self._robot.__enter__()

    def _tell(self) -> None:
        """Reads what the robot's thread left last, and holds no lock that it could wait for."""
        robot = self._robot
        if robot is not None and rclpy.ok():
            self._probe.publish(true_state(robot.truth(), robot.session, self.get_clock().now().to_msg()))

    def _report(self) -> None:
        """Tell the diagnostics; the speed is that of the simulated time against ours, since the last report."""
        robot, (then, simulated) = self._robot, self._before
        if robot is None or not rclpy.ok():
            return
        self._before = time.monotonic(), robot.time
        speed = (robot.time - simulated) / max(self._before[0] - then, 1e-3)
        self._diagnostics.publish(
            simulation_health(self.config.plant, robot.session, robot.fault, speed, self.get_clock().now().to_msg())
        )

    def _look(self) -> None:
        robot = self._robot
        if robot is None:
            return
        for line in robot.look():
            self.get_logger().info(line)
        if not robot.running:
            self.close()
            self.finished = True

    def close(self) -> None:
        """End the session; the bridge hears nothing any more."""
        robot, self._robot = self._robot, None
        try:
            if robot is not None:
                robot.close()
        except IiwaBridgeError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.exit_code = 1


def main() -> None:
    """Run the node."""
    print(claim_processor(CONTROLLER), flush=True)
    # Before the robot runs: taking hold of all pages takes a fifth of a second, in which none is answered.
    leave(run(lambda: SimulationNode(lock_memory)))


if __name__ == "__main__":
    main()
