"""Starts a run in a launch: waits until the probe is in contact and frames come, sends the goal, prints each step."""

import sys
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from us_grid_sim.ros.shutdown import interrupt_once

from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.ros.navigate_client import HEAD, NavigateClient, client_node

_STARTUP = 30.0
"""Longest wait for the policy node, which was started with this one and before the contact [s]."""


@dataclass(frozen=True)
class NavigateNodeConfig:
    """Parameters of the node.

    Attributes:
        target: view to find; empty: nothing is done.
        max_steps: probe steps allowed; 0: the policy node's own number.
        contact_timeout: longest wait for contact and frames [s].
        timeout: longest time of the run [s].
    """

    target: str
    max_steps: int
    contact_timeout: float
    timeout: float


def declare(node: Node) -> NavigateNodeConfig:
    """Declare the parameters and read them."""

    def described(words: str, **limits: object) -> ParameterDescriptor:
        return ParameterDescriptor(description=words, read_only=True, **limits)

    def seconds(words: str) -> ParameterDescriptor:
        limits = [FloatingPointRange(from_value=1.0, to_value=36000.0, step=0.0)]
        return described(words, floating_point_range=limits)

    steps = [IntegerRange(from_value=0, to_value=1000, step=1)]
    words = "probe steps allowed; 0: the policy node's own number"
    return NavigateNodeConfig(
        node.declare_parameter("target", "", described("view to find; empty: nothing is done")).value,
        node.declare_parameter("max_steps", 0, described(words, integer_range=steps)).value,
        node.declare_parameter("contact_timeout", 300.0, seconds("longest wait for contact and frames [s]")).value,
        node.declare_parameter("timeout", 600.0, seconds("longest time of the run [s]")).value,
    )


def main() -> None:
    """Run the node; it ends with the run. Exit status 1 where none came about, 0 however a run ended."""
    interrupt_once()
    try:
        with client_node("navigate") as (node, executor):
            config = declare(node)
            if not config.target:
                print("no target: the probe waits for `usnav navigate`", flush=True)
                return
            client = NavigateClient(node, executor)
            client.wait_for_contact(config.contact_timeout)
            print(f"in contact; to the {config.target}\n{HEAD}", flush=True)
            outcome = client.run(
                config.target, config.max_steps, lambda step: print(step, flush=True), _STARTUP, config.timeout
            )
            print(outcome, flush=True)
    except UsNavAgentError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
