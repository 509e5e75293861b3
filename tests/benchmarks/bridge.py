"""Measure the whole bridge on the PyBullet plant: tracking, force, steps, faults, and how soon a killed bridge stops.

    python tests/benchmarks/bridge.py                    every row of docs/figures.yaml
    python tests/benchmarks/bridge.py --plant rigid      the same on the mock

Loop, both sides of the session, impedance control and plant run in lock-step in one process (tests/support/bridge_rig),
so the figures do not depend on how busy the machine is; stop_after_kill_ms alone is taken in real time, over UDP. What
is measured is the plant's true pose and true force. The patient is a subject of the phantom, which breathes by 3 mm at
0.25 Hz.
"""

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from iiwa_bridge.bridge import Bridge
from iiwa_bridge.config import BridgeConfig
from iiwa_bridge.fri.controller_session import ControllerConfig, JointLimits
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.kinematics.servo import pose_error
from iiwa_bridge.orders import Touch
from iiwa_bridge.robot import ArmPlant, CommandMode, ControlMode
from iiwa_bridge.safety.machine import Event, State
from iiwa_bridge.simulation.impedance import ImpedanceCell, ImpedanceConfig
from iiwa_bridge.types import StepCommand
from support.bridge_rig import LAYOUT, PERIOD, Rig, Witness, back, plant_of
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import build_phantom
from us_grid_sim.world.motion import Breathing, Motion, Movement
from us_grid_sim.world.skin import Skin

Array = npt.NDArray[np.float64]

FORCE = 1.5
"""That is held [N]."""
BREATHING = Breathing(0.003, 0.25)
STEPS = ((0.02, 0.0), (0.0, 0.02), (-0.02, 0.0), (-0.02, 0.0), (0.0, -0.02), (0.0, -0.02))
PERSON = Movement(0.020, 8.0, 1.0)
"""20 mm towards the probe, from rest to rest."""
LOCALHOST = "127.0.0.1"


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def pressed(rig: Rig) -> Rig:
    """On the skin, and settled."""
    rig.ready()
    touched = rig.touch(force=FORCE)
    assert touched.reached, touched.reason
    rig.go(3.0)
    return rig


def free_space(make: Callable[[Skin, Motion], ArmPlant]) -> dict[str, float]:
    """How near the probe truly is to its way: across the air to above a place, then down to the skin.

    The way across is what is sent. The way down is the approach, straight and at its speed, from where the way across
    ends; the set point leads it, so what is sent there is not where the probe is to be.
    """
    rig = Rig(make(back(height=0.0), Motion()))
    rig.ready()
    rig.order(Event.STEP, Touch(0.10, -0.06, FORCE))
    rig.cycle()
    crossing = len(rig.trace.poses)
    while rig.loop._travel is not None:
        rig.cycle()
    descent = len(rig.trace.poses)
    while not rig.witness.force:
        rig.cycle()
    trace = rig.trace
    way = [rig.loop._sensing.over_patient(q) for q in trace.sent[crossing:descent]]
    speed = BridgeConfig().probe_control.force.approach_speed
    for elapsed in PERIOD * np.arange(1, len(trace.poses) - descent + 1):
        due = way[descent - crossing - 1].copy()
        due[:3, 3] += speed * elapsed * due[:3, 2]
        way.append(due)
    errors = np.array([pose_error(due, pose) for due, pose in zip(way, trace.poses[crossing:], strict=True)])
    away, turned = np.linalg.norm(errors[:, :3], axis=1), np.linalg.norm(errors[:, 3:], axis=1)
    split = descent - crossing
    report(f"free space: across {1e3 * rms(away[:split]):.2f} mm RMS, down {1e3 * rms(away[split:]):.2f} mm RMS")
    rig.close()
    return {"free_space_rms_mm": 1e3 * rms(away), "free_space_rms_deg": math.degrees(rms(turned))}


def resting(make: Callable[[Skin, Motion], ArmPlant], skin: Skin) -> dict[str, float]:
    """Ten seconds on a back that does not move."""
    rig = pressed(Rig(make(skin, Motion())))
    began = len(rig.trace.forces)
    rig.go(10.0)
    rig.close()
    return {"force_rmse_rest_n": rms(np.array(rig.trace.forces[began:]) - FORCE), "peak": rig.peak}


def stepping(make: Callable[[Skin, Motion], ArmPlant], skin: Skin) -> dict[str, float]:
    """Steps of 20 mm over the back of a subject that breathes."""
    rig = pressed(Rig(make(skin, Motion(BREATHING))))
    errors, seconds = [], []
    for way in STEPS:
        began, time_before = len(rig.trace.forces), rig.controller.time
        ended = rig.step(*way, FORCE)
        errors.append(np.array(rig.trace.forces[began:]) - FORCE)
        seconds.append(rig.controller.time - time_before)
        report(f"step {way} m: {ended.reason or 'reached'}, {seconds[-1]:.2f} s, RMSE {rms(errors[-1]):.2f} N")
        if ended.failed:
            break
        rig.go(0.5)
    rig.close()
    report(f"cycles that the guard cut: {rig.report.cuts} ({rig.report.cut or 'none'}); peak {rig.peak:.2f} N")
    return {"force_rmse_step_n": rms(np.concatenate(errors)), "step_seconds": max(seconds), "peak": rig.peak}


def faults(make: Callable[[Skin, Motion], ArmPlant]) -> float:
    """Highest force in the faults that move something: a silent bridge, an edge, a person, a stop amid a step [N]."""
    peaks = []
    for name, skin, motion in (
        ("silence", back(height=-0.045), Motion(BREATHING)),
        ("edge", back(height=-0.045, edge=0.012), Motion()),
        ("person", back(height=-0.045), Motion(movement=PERSON)),
        ("stop", back(height=-0.045), Motion(BREATHING)),
    ):
        rig = pressed(Rig(make(skin, motion)))
        rig.order(Event.STEP, StepCommand(0.03, 0.0, FORCE))
        rig.go(0.8)
        if name == "stop":
            rig.order(Event.STOP)
        for _ in range(round(4.0 / PERIOD)):
            rig.cycle(lost=name == "silence")
        rig.close()
        report(f"fault {name}: peak {rig.peak:.2f} N, ends {rig.state.value}")
        peaks.append(rig.peak)
    return max(peaks)


def after_kill(make: Callable[[Skin, Motion], ArmPlant]) -> float:
    """From SIGKILL to the end of the controller's motion, in real time [ms]."""
    witness, arm = Witness(make(back(height=-0.045), Motion())), Arm()
    cell = ImpedanceCell(witness, arm, ImpedanceConfig(LAYOUT.start), 0)
    limits = JointLimits(arm.limits.lower, arm.limits.upper, arm.limits.velocity)
    impedance, wrench = ControlMode.CARTESIAN_IMPEDANCE, CommandMode.WRENCH
    settings = ControllerConfig(limits, 0.010, control=impedance, command=wrench)
    client = (LOCALHOST, 30209)
    with SimController(settings, cell, SimAddress(client, (LOCALHOST, 0))) as controller:
        config = BridgeConfig(controller=controller.address, address=client, timeout=0.5)
        with Bridge(config) as bridge:
            steps(bridge)
            os.kill(bridge.pid, signal.SIGKILL)
            killed = controller.session.time
            while controller.session.commanding:
                time.sleep(0.001)
            return 1e3 * (controller.session.transitions[-1].time - killed)


def steps(bridge: Bridge) -> None:
    """Wait until a bridge is amid a step."""

    def wait(number: int) -> None:
        deadline = time.monotonic() + 60.0
        while not any(each.number == number for each in bridge.status().ended):
            assert time.monotonic() < deadline, f"order {number} does not end: {bridge.status()}"
            time.sleep(0.01)

    time.sleep(3.0)
    for number in (bridge.tare(), bridge.enable(), bridge.touch(Touch(0.0, 0.0, FORCE))):
        wait(number)
    bridge.step(StepCommand(0.02, 0.0, FORCE))
    while bridge.status().machine is not State.STEPPING:
        time.sleep(0.01)


def measure(kind: str, folder: Path) -> dict[str, float]:
    """Every row."""

    def make(skin: Skin, motion: Motion) -> ArmPlant:
        return plant_of("rigid" if kind == "rigid" else "bullet", skin, motion, folder)

    skin = Skin.of(build_phantom(sample_subject(0)))
    rows = free_space(make)
    rest, moved = resting(make, skin), stepping(make, skin)
    rows["force_rmse_rest_n"] = rest["force_rmse_rest_n"]
    rows["force_rmse_step_n"], rows["step_seconds"] = moved["force_rmse_step_n"], moved["step_seconds"]
    rows["force_peak_n"] = max(rest["peak"], moved["peak"])
    rows["fault_force_peak_n"] = faults(make)
    rows["stop_after_kill_ms"] = after_kill(make)
    return {name: round(value, 3) for name, value in rows.items()}


def main() -> None:
    """Measure on the plant that the command line names and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", choices=("pybullet", "rigid"), default="pybullet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments.plant, Path(folder))))


if __name__ == "__main__":
    main()
