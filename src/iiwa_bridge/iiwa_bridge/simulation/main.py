"""A simulated robot for the bridge: ``python -m iiwa_bridge.simulation.main --plant NAME --client HOST:PORT``.

It runs until Ctrl-C and prints what becomes of the session. With ROS 2 the same is the node ``robot_simulation``.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.fri.udp import Address
from iiwa_bridge.robot import CommandMode
from iiwa_bridge.simulation.simulated_robot import SimulatedRobot, SimulationConfig

_LOOK = 0.02
"""Between two looks at the session [s]."""


def address(text: str) -> Address:
    """HOST:PORT as an address.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no address; expected HOST:PORT")
    return host, int(port)


def parse(arguments: Sequence[str] | None) -> tuple[SimulationConfig, float]:
    """What the command line asks for, and for how long [s]."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = SimulationConfig()
    parser.add_argument("--plant", required=True, help="by its name in the entry-point group iiwa_bridge.arms")
    parser.add_argument("--client", type=address, required=True, help="HOST:PORT of the bridge")
    parser.add_argument("--address", type=address, default=default.address, help="HOST:PORT of the controller")
    parser.add_argument("--period", type=int, default=5, help="of a cycle [ms]")
    parser.add_argument("--subject", type=int, default=default.subject, help="who lies there, index in the cohort")
    parser.add_argument("--seed", type=int, default=default.seed, help="of cohort, motion and sensor noise")
    parser.add_argument("--breathing", action="store_true", help="the patient breathes")
    parser.add_argument("--movement", action="store_true", help="the patient moves once towards the probe")
    parser.add_argument("--contact-loss", type=float, default=0.0, help="the patient sinks away once by so much [mm]")
    parser.add_argument("--packet-loss", type=float, default=0.0, help="share of the datagrams lost, each way")
    parser.add_argument("--viewer", action="store_true", help="a window shows the arm")
    parser.add_argument("--start", default="", help="ROW,COLUMN of the bin above which the arm stands at first")
    parser.add_argument("--layout", type=Path, help="file of the layout; without it the one that comes along")
    parser.add_argument("--probe", type=Path, help="file of the probe; likewise")
    parser.add_argument(
        "--patience", type=float, default=default.patience, help="wait so long for each answer [s]; 0: real time"
    )
    parser.add_argument(
        "--command",
        choices=("wrench", "position"),
        default="wrench",
        help="what the controller takes from the client; the bridge needs wrench, KUKA's joint sine example position",
    )
    parser.add_argument("--once", action="store_true", help="leave the robot stopped after a fault")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="to run; without it until Ctrl-C")
    asked = vars(parser.parse_args(arguments))
    seconds = asked.pop("seconds")
    restart, period = not asked.pop("once"), asked.pop("period") * 1e-3
    command = CommandMode[asked.pop("command").upper()]
    return SimulationConfig(**asked, restart=restart, period=period, command=command), seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulated robot."""
    config, seconds = parse(arguments)
    try:
        with SimulatedRobot(config) as robot:
            until = time.monotonic() + seconds
            while robot.running and time.monotonic() < until:
                for line in robot.look():
                    print(line, flush=True)
                time.sleep(_LOOK)
    except KeyboardInterrupt:
        return 0
    except IiwaBridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
