"""The force loop is stable with room to spare, over tissues, arms and damping; and the margins are margins."""

import itertools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from iiwa_bridge.control.force_controller import ForceConfig
from iiwa_bridge.control.margins import ContactPlant, loop_response, margins
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.kinematics.arm import Arm as Robot
from iiwa_bridge.kinematics.solve import solve
from support.contact_toy import Arm, BeamToy, press

TISSUES = np.geomspace(200.0, 5000.0, 15)
CONFIG = ForceConfig()
ROBOT, LAYOUT = Robot(), load_layout()


def mass_along_the_beam(q: npt.NDArray[np.float64]) -> float:
    """Of the probe at a joint position (7,) [rad], the impedance holding the other directions [kg] (Khatib 1987)."""
    jacobian = ROBOT.jacobian(q)
    return float(np.linalg.inv(jacobian @ np.linalg.inv(ROBOT.mass_matrix(q)) @ jacobian.T)[2, 2])


def masses_over_the_grid() -> list[float]:
    """With the beam upright, on the parallel plane and 40 mm below it, where the small of a back may lie [kg]."""
    pose, masses = np.linalg.inv(LAYOUT.patient) @ ROBOT.pose(LAYOUT.start), []
    for place in itertools.product(np.linspace(-0.14, 0.14, 5), np.linspace(-0.10, 0.10, 5), (0.0, 0.04)):
        pose[:3, 3] = place
        masses.append(mass_along_the_beam(solve(ROBOT, LAYOUT.patient @ pose, LAYOUT.start)))
    return masses


HEAVIEST = max(masses_over_the_grid())


def test_the_probe_is_some_12_kg_heavy_along_the_beam() -> None:
    assert mass_along_the_beam(LAYOUT.start) == pytest.approx(11.3, abs=0.1)
    assert 12.0 < HEAVIEST < 12.5


@pytest.mark.parametrize("mass", [3.0, 5.0, 8.0, HEAVIEST])
@pytest.mark.parametrize("damping_ratio", [0.7, 0.9])
@pytest.mark.parametrize("tissue_damping", [0.0, 20.0])
def test_gain_and_phase_margins_hold_over_all_tissues(mass: float, damping_ratio: float, tissue_damping: float) -> None:
    for tissue in TISSUES:
        for delay in (0.010, 0.015):
            plant = ContactPlant(tissue, mass, damping_ratio=damping_ratio, tissue_damping=tissue_damping, delay=delay)
            found = margins(plant, CONFIG)
            assert found.gain >= 2.0, plant
            assert found.phase >= 45.0, plant


def test_an_integral_law_on_a_stiff_arm_has_the_margins_of_the_textbook() -> None:
    # Without mass and following, L is g K k / (K + k) / s through filter and delay: crossover and phase in closed form.
    plant = ContactPlant(1000.0, mass=1e-9, delay=0.01)
    config = replace(CONFIG, follow=1e-9, cutoff=1e6)
    crossover = config.gain * 300.0 * 1000.0 / 1300.0
    found = margins(plant, config)
    assert found.crossover == pytest.approx(crossover, rel=1e-3)
    assert found.phase == pytest.approx(90.0 - math.degrees(crossover * plant.delay), abs=0.1)
    assert found.gain == pytest.approx(math.pi / 2.0 / plant.delay / crossover, rel=1e-2)


def test_the_loop_is_the_ratio_of_its_parts_at_one_frequency() -> None:
    plant, s = ContactPlant(800.0, 4.0, tissue_damping=5.0), 3.0j
    h = np.exp(-s * 0.015) / (s / (2.0 * math.pi * CONFIG.cutoff) + 1.0)
    tissue = 800.0 + 5.0 * s
    damping = 1.4 * math.sqrt(4.0 * 300.0)
    expected = CONFIG.gain / s * h * 300.0 * tissue / (4.0 * s**2 + damping * s + 300.0 * (1 - 0.5 * h) + tissue)
    assert loop_response(plant, CONFIG, np.array([3.0]))[0] == pytest.approx(expected)


def test_a_gain_beyond_the_margin_swings_on_the_toy_and_one_within_it_does_not() -> None:
    arm = Arm(1000.0, mass=8.0, damping_ratio=0.7, tissue_damping=0.0, friction=0.0, noise=0.0)
    margin = margins(ContactPlant(1000.0, 8.0, delay=0.0125), CONFIG).gain
    swing = {}
    for share in (0.7, 1.3):
        config = replace(CONFIG, gain=CONFIG.gain * margin * share, leash=0.1)
        swing[share] = float(np.ptp(press(BeamToy(arm), 1.5, 15.0, config).forces[-400:]))
    assert swing[0.7] < 0.05
    assert swing[1.3] > 0.5
