"""A simulated robot for the bridge: ``python -m iiwa_bridge.simulation.main --plant NAME --client HOST:PORT``.

KUKA's controller, its impedance control and a plant, in real time over UDP, until Ctrl-C. It prints what becomes of the
session. After a fault the motion starts again on its own, as soon as the connection is good: the operator's key.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.errors import IiwaBridgeError
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.fri.transitions import Transition
from iiwa_bridge.fri.udp import PORT, Address
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import CommandMode, ControlMode
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.simulation.plants import ArmSetup, make_arm

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


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", required=True, help="by its name in the entry-point group iiwa_bridge.arms")
    parser.add_argument("--client", type=address, required=True, help="HOST:PORT of the bridge")
    parser.add_argument("--address", type=address, default=("0.0.0.0", PORT), help="HOST:PORT of the controller")
    parser.add_argument("--period", type=int, default=5, help="of a cycle [ms]")
    parser.add_argument("--seed", type=int, default=0, help="of patient, motion and sensor noise")
    parser.add_argument("--breathing", action="store_true", help="the patient breathes")
    parser.add_argument("--movement", action="store_true", help="the patient moves once towards the probe")
    parser.add_argument("--layout", type=Path, help="file of the layout; without it the one that comes along")
    parser.add_argument("--probe", type=Path, help="file of the probe; likewise")
    parser.add_argument("--once", action="store_true", help="leave the robot stopped after a fault")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="to run; without it until Ctrl-C")
    return parser.parse_args(arguments)


def make_cell(asked: argparse.Namespace) -> ImpedanceCell:
    """The robot that the command line asks for.

    Raises:
        IiwaBridgeError: a file or the plant is not what it has to be.
    """
    probe, layout = load_probe(asked.probe), load_layout(asked.layout)
    with tempfile.TemporaryDirectory() as folder:
        urdf = write_urdf(Path(folder) / "arm.urdf", probe)
        setup = ArmSetup(urdf, Arm(probe), layout.patient, asked.seed, asked.breathing, asked.movement)
        plant = make_arm(asked.plant, setup)
    return ImpedanceCell(plant, Arm(probe), ImpedanceConfig(layout.start), asked.seed)


def tell(controller: SimController, until: float, restart: bool, say: Callable[[str], None]) -> None:
    """Say each change of the session until a time of the steady clock [s], or until the controller fails."""
    last: Transition | None = None
    while controller.running and time.monotonic() < until:
        known = controller.session.transitions
        for transition in known[known.index(last) + 1 if last in known else 0 :]:
            say(str(transition))
        last = known[-1]
        if controller.session.fault and restart:
            controller.session.start()
        time.sleep(_LOOK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulated robot."""
    asked = parse(arguments)
    try:
        cell = make_cell(asked)
        limits = Arm().limits
        config = ControllerConfig(
            JointLimits(limits.lower, limits.upper, limits.velocity),
            asked.period * 1e-3,
            control=ControlMode.CARTESIAN_IMPEDANCE,
            command=CommandMode.WRENCH,
        )
        try:
            with SimController(config, cell, SimAddress(asked.client, asked.address)) as controller:
                tell(controller, time.monotonic() + asked.seconds, not asked.once, lambda text: print(text, flush=True))
        finally:
            cell.close()
    except KeyboardInterrupt:
        return 0
    except IiwaBridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
