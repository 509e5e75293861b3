"""The simulated arms that are installed: each is found by its name and stands over its back."""

from pathlib import Path

import numpy as np
import pytest
from iiwa_bridge.description.layout import load_layout
from iiwa_bridge.description.probe import load_probe
from iiwa_bridge.description.urdf import write_urdf
from iiwa_bridge.kinematics.arm import Arm
from iiwa_bridge.simulation.errors import SimulationError
from iiwa_bridge.simulation.plants import ArmSetup, make_arm
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import Phantom, build_phantom
from us_grid_sim.world import arms

LAYOUT = load_layout()


def setup_in(folder: Path) -> ArmSetup:
    return ArmSetup(write_urdf(folder / "arm.urdf", load_probe()), Arm(), LAYOUT.patient, 29, 3, True, False)


@pytest.mark.parametrize("name", ["mock", "pybullet"])
def test_an_installed_arm_stands_where_it_is_put_over_the_subject_that_is_asked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "pybullet":
        pytest.importorskip("pybullet")
    built: list[SubjectRecord] = []

    def build(record: SubjectRecord) -> Phantom:
        built.append(record)
        return build_phantom(record)

    monkeypatch.setattr(arms, "build_phantom", build)
    arm = make_arm(name, setup_in(tmp_path))
    assert [(record.seed, record.index) for record in built] == [(3, 29)]
    (tmp_path / "arm.urdf").unlink()
    state = arm.reset(LAYOUT.start)
    np.testing.assert_allclose(state.tool, Arm().pose(LAYOUT.start), atol=1e-6)
    assert not state.contact_force.any()
    arm.close()


def test_an_arm_that_is_not_installed_is_told_from_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match='no simulated arm "ideal"; installed are mock, pybullet'):
        make_arm("ideal", setup_in(tmp_path))
