"""Measure how much faster than real time the plants run with a torque loop of 1 kHz around them, the probe in contact.

    python tests/benchmarks/plants.py --plant pybullet             the loop included: the figure
    python tests/benchmarks/plants.py --plant mock                 likewise
    python tests/benchmarks/plants.py --plant pybullet --parts     where the time of a tick goes

The loop is a Cartesian impedance of the benchmark's own (:func:`impedance`), which presses the probe about 3 mm into
the back of a subject that breathes. The last line is a JSON object for tools/figures.py; what else is printed says how
long the plant alone takes, and what of it was the machine's: the same by processor time.
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
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.robot import ArmState
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import build_phantom
from us_grid_sim.world.arm import TICK
from us_grid_sim.world.motion import Breathing, Motion
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.rigid_arm import RigidArm
from us_grid_sim.world.skin import Patient, Skin

Array = npt.NDArray[np.float64]
Loop = Callable[[ArmState], Array]

PRESSED = 0.003
"""How deep under the skin the impedance's set point lies [m]."""
STIFFNESS = np.array([2000.0, 1000.0, 500.0, 20.0, 20.0, 10.0])
DAMPING = np.array([80.0, 30.0, 40.0, 0.3, 0.3, 0.1])
"""Of the impedance, along and about the axes of ``us_probe``; little out of plane and about the array, where A7 turns
no more than 0.13 kg and 0.001 kg m^2, which at 1 kHz bear no more."""
ROUNDS = 15
TICKS = 400
"""Of a round."""


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


def make(plant: str, patient: Patient) -> PyBulletArm | RigidArm:
    """The plant of a name, with the robot and its probe."""
    if plant == "mock":
        return RigidArm(Arm(), patient)
    with tempfile.TemporaryDirectory() as folder:
        return PyBulletArm(write_urdf(Path(folder) / "arm.urdf", load_probe()), patient)


def impedance(arm: Arm, target: Array) -> Loop:
    """A spring and a damper between the probe and a pose (4, 4), gravity made up for.

    It stands in for the impedance control of the simulated controller, and is to be replaced by it.
    """

    def torque(state: ArmState) -> Array:
        jacobian = arm.jacobian(state.position)
        wrench = STIFFNESS * pose_error(state.tool, target) - DAMPING * (jacobian @ state.velocity)
        return jacobian.T @ wrench + arm.gravity(state.position)

    return torque


def ticks(plant: PyBulletArm | RigidArm, state: ArmState, loop: Loop, count: int) -> ArmState:
    """Run plant and loop."""
    for _ in range(count):
        state = plant.step(loop(state), TICK)
    return state


def factor(plant: PyBulletArm | RigidArm, state: ArmState, loop: Loop, what: str) -> float:
    """Simulated time over time taken, the median of the rounds."""
    wall, processor = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter(), time.process_time()
        state = ticks(plant, state, loop, TICKS)
        wall.append(TICKS * TICK / (time.perf_counter() - started[0]))
        processor.append(TICKS * TICK / (time.process_time() - started[1]))
    middle = statistics.median(wall)
    report(
        f"{what}: {middle:.1f} times real time, {min(wall):.1f} to {max(wall):.1f} in {ROUNDS} rounds; by processor "
        f"time {statistics.median(processor):.1f}; contact {state.contact_force[2]:.2f} N"
    )
    return middle


def measure(name: str, parts: bool) -> dict[str, float]:
    """The figure of a plant, or its profile."""
    arm, layout = Arm(), load_layout()
    target = arm.pose(layout.start)
    plant = make(name, patient_under(layout, target))
    loop = impedance(arm, target @ np.block([[np.eye(3), np.array([[0.0], [0.0], [PRESSED]])], [np.zeros(3), 1.0]]))
    try:
        state = ticks(plant, plant.reset(layout.start), loop, 1000)
        if parts:
            profile = cProfile.Profile()
            profile.runcall(ticks, plant, state, loop, 4000)
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(20)
            return {}
        held = loop(state)
        factor(plant, state, lambda _: held, f"{name} alone, its torque held")
        state = ticks(plant, plant.reset(layout.start), loop, 1000)
        return {f"{name}_realtime_factor": round(factor(plant, state, loop, f"{name} with its loop"), 1)}
    finally:
        plant.close()


def main() -> None:
    """Measure what the command line names and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=("pybullet", "mock"), required=True)
    parser.add_argument("--parts", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.plant, arguments.parts)))


if __name__ == "__main__":
    main()
