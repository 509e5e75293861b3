"""Measure how much faster than real time the simulated robot runs: a plant under its 1 kHz impedance, in contact.

    python tests/benchmarks/plants.py --plant pybullet             the figure
    python tests/benchmarks/plants.py --plant mock                 likewise
    python tests/benchmarks/plants.py --plant pybullet --parts     where the time goes

The robot is ``iiwa_bridge.simulation.impedance.ImpedanceCell``, all that the simulated controller has behind its
protocol, commanded every 5 ms. A wrench of 2 N presses the probe into the back of a subject that breathes. The last
line is a JSON object for tools/figures.py; what else is printed says how long the plant alone takes, and what of it was
the machine's: the same by processor time.
"""

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from iiwa_bridge.description.layout import Layout, load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.robot import ArmPlant, ControlMode, RobotCommand
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import build_phantom
from us_grid_sim.world.arm import TICK
from us_grid_sim.world.motion import Breathing, Motion
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

Array = npt.NDArray[np.float64]

PRESS = 2.0
"""Fed forward along the beam [N]; the springs of the impedance take a third of it back."""
PERIOD = 0.005
"""Of a command [s]."""
ROUNDS = 15
SECONDS = 0.5
"""Simulated in a round [s]."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr)


def patient_under(layout: Layout, pose: Array) -> Patient:
    """A subject that breathes and lies so high that the probe at ``pose`` (4, 4) touches its skin."""
    skin = Skin.of(build_phantom(sample_subject(0)))
    lying = layout.patient.copy()
    x, y, _, _ = np.linalg.inv(lying) @ pose[:, 3]
    lying[:3, 3] = pose[:3, 3] - lying[:3, :3] @ [x, y, skin.under(x, y)[0]]
    return Patient(skin, lying, Motion(Breathing(0.003, 0.25)))


def make(plant: str, patient: Patient) -> ArmPlant:
    """The plant of a name, with the robot and its probe."""
    if plant == "mock":
        return RigidArm(Arm(), patient)
    with tempfile.TemporaryDirectory() as folder:
        return PyBulletArm(write_urdf(Path(folder) / "arm.urdf", load_probe()), patient)


def factor(run: Callable[[], None], what: str) -> float:
    """Simulated time over the wall time that ``run`` takes for SECONDS, the median of the rounds."""
    wall, processor = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter(), time.process_time()
        run()
        wall.append(SECONDS / (time.perf_counter() - started[0]))
        processor.append(SECONDS / (time.process_time() - started[1]))
    middle = statistics.median(wall)
    report(
        f"{what}: {middle:.1f} times real time, {min(wall):.1f} to {max(wall):.1f} in {ROUNDS} rounds; by processor "
        f"time {statistics.median(processor):.1f}; {1e6 * TICK / max(processor):.0f} us a tick in the quickest round"
    )
    return middle


def measure(name: str, parts: bool) -> dict[str, float]:
    """The figure of a plant, or its profile."""
    arm, layout = Arm(), load_layout()
    plant = make(name, patient_under(layout, arm.pose(layout.start)))
    cell = ImpedanceCell(plant, Arm(), ImpedanceConfig(layout.start), seed=0)
    command = RobotCommand(layout.start, np.array([0.0, 0.0, PRESS, 0.0, 0.0, 0.0]))
    cell.reset()
    told = cell.advance(command, ControlMode.CARTESIAN_IMPEDANCE, 1.0)

    def cycles() -> None:
        nonlocal told
        for _ in range(round(SECONDS / PERIOD)):
            told = cell.advance(command, ControlMode.CARTESIAN_IMPEDANCE, PERIOD)

    def ticks() -> None:
        plant.reset(told.position)
        for _ in range(round(SECONDS / TICK)):
            plant.step(told.torque, TICK)

    try:
        if parts:
            profile = cProfile.Profile()
            profile.runcall(lambda: [cycles() for _ in range(8)])
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
            return {}
        middle = factor(cycles, f"{name} under its impedance")
        force = -arm.external_wrench(told.position, told.external_torque)[2]
        report(f"the sensor tells a contact of {force:.1f} N, with a noise of 0.3 N")
        factor(ticks, f"{name} alone, its torque held")
        return {f"{name}_realtime_factor": round(middle, 1)}
    finally:
        cell.close()


def main() -> None:
    """Measure what the command line names and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=("pybullet", "mock"), required=True)
    parser.add_argument("--parts", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.plant, arguments.parts)))


if __name__ == "__main__":
    main()
