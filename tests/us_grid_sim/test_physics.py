"""The physics of a frame, measured back from it: speckle, attenuation, point spread, reflection, shadow, motion."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support.media import block, plain_record, with_bone
from support.physics import STRONG, attenuation, envelope, far_apart, one_scatterer, point_target, speckle_snr
from us_grid_sim.bmode.propagation import REFLECTION, TISSUE_STEP, Tissues, propagate, reflected_share
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.bmode.scatterers import BLOCK, CELL, COMPARTMENT, make_scatterers
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import DEPTH, probe_pose
from us_grid_sim.phantom.plane import Press
from us_grid_sim.phantom.tissue import ACOUSTICS, Tissue
from us_grid_sim.phantom.volume import FAR, Field


@pytest.fixture(scope="module")
def muscle() -> Renderer:
    return Renderer(block())


def complex_correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    one, two = (torch.complex(*frame.double()) for frame in (a, b))
    energy = (one.abs().square().sum() * two.abs().square().sum()).sqrt()
    return float((one * two.conj()).sum().abs() / energy)


def test_fully_developed_speckle_has_the_snr_of_a_rayleigh_envelope(muscle: Renderer) -> None:
    assert speckle_snr(muscle) == pytest.approx(1.91, rel=0.05)


@pytest.mark.parametrize("scale", [0.7, 1.3])
def test_attenuation_measured_back_is_what_was_set(muscle: Renderer, scale: float) -> None:
    changed = dataclasses.replace(muscle.phantom, record=dataclasses.replace(plain_record(), attenuation=scale))
    assert attenuation(Renderer(changed)) == pytest.approx(
        scale * ACOUSTICS[Tissue.ERECTOR_SPINAE].attenuation, rel=0.05
    )


@pytest.mark.parametrize("depth", [0.012, 0.030, 0.055])
def test_a_point_target_lies_where_it_is_and_is_as_wide_as_the_point_spread(depth: float) -> None:
    seen, transducer = point_target(depth), Transducer()
    assert seen.error < 0.2e-3
    assert seen.lateral == pytest.approx(float(transducer.lateral_width(torch.tensor(seen.depth))), rel=0.15)
    assert seen.axial == pytest.approx(float(transducer.axial_width(torch.tensor(seen.depth))), rel=0.15)


def test_a_point_target_out_of_the_plane_fades_as_the_slice(muscle: Renderer) -> None:
    scatterers, place = one_scatterer(0.030)
    renderer = Renderer(muscle.phantom, scatterers=scatterers)
    width = float(renderer.transducer.elevational_width(torch.tensor(place[2])))
    peaks = [
        float(envelope(renderer, probe_pose(place[0] + off * width, 0.0)[None])[0, :, 200:320].max())
        for off in (0, 1, 3)
    ]
    assert peaks[1] / peaks[0] == pytest.approx(math.exp(-0.5), rel=0.05)
    assert peaks[2] < 0.05 * peaks[0]


def bone_echo(angle: float) -> float:
    """Echo of bone at 3 cm whose surface is inclined by ``angle`` [rad], as propagate finds it."""
    spacing = TISSUE_STEP * Transducer().sample_spacing
    depth = (torch.arange(300) + 0.5) * spacing
    fields = torch.full((len(Field), 1, 8, 300), FAR)
    for inside in (Field.ERECTOR, Field.DEEP):
        fields[inside] = -FAR
    bone = ((0.030 - depth) * math.cos(angle)).expand(1, 3, 8, 300)
    tissues = Tissues.of(plain_record(), Transducer(), torch.device("cpu"))
    passage = propagate(fields, bone, torch.zeros(1, 8, 300), tissues, spacing)
    found = passage.reflections
    assert float((found.step + 0.5).mean() * spacing) == pytest.approx(0.030, abs=1e-5)
    return float(found.amplitude.sum() / 8)


def test_a_reflector_is_weaker_by_the_law_the_more_it_is_inclined() -> None:
    echoes = [bone_echo(math.radians(angle)) for angle in (0, 30, 60)]
    for echo, angle in zip(echoes, (0, 30, 60), strict=True):
        share = float(reflected_share(torch.tensor(math.cos(math.radians(angle)))))
        assert echo / echoes[0] == pytest.approx(share, rel=0.01)
    assert echoes[2] < 0.2 * echoes[0]


def test_the_echo_of_bone_follows_the_impedances_and_the_way_there() -> None:
    bone, soft = ACOUSTICS[Tissue.BONE].impedance, ACOUSTICS[Tissue.ERECTOR_SPINAE].impedance
    way = 2.0 * 3.0 * 5.5 * ACOUSTICS[Tissue.ERECTOR_SPINAE].attenuation
    expected = REFLECTION * (bone - soft) / (bone + soft) * 10.0 ** (-way / 20.0)
    assert bone_echo(0.0) == pytest.approx(expected, rel=0.02)


def test_in_frames_too_an_inclined_bone_is_dimmer_and_behind_it_is_shadow(muscle: Renderer) -> None:
    peaks = []
    for angle in (0.0, 60.0):
        image = envelope(Renderer(with_bone(muscle.phantom, 0.03, math.radians(angle))), probe_pose(0.0, 0.0)[None])[0]
        peaks.append(float(image[78:82, 240:275].max()))
    assert peaks[1] < 0.4 * peaks[0]
    shadowed = envelope(Renderer(with_bone(muscle.phantom, 0.03)), far_apart(4))[:, :, 330:500]
    free = envelope(muscle, far_apart(4))[:, :, 330:500]
    assert 20.0 * math.log10(float(free.mean() / shadowed.mean())) > 15.0


def test_bone_is_seen_a_second_time_at_twice_its_depth(muscle: Renderer) -> None:
    image = envelope(Renderer(with_bone(muscle.phantom, 0.03)), probe_pose(0.0, 0.0)[None])[0, 20:-20].mean(0)
    row = round(0.06 / DEPTH * 600)
    assert float(image[row - 4 : row + 5].max()) > 5.0 * float(image[row - 60 : row - 20].mean())


@pytest.mark.parametrize("depth_rows", [(180, 300), (420, 560)])
def test_speckle_decorrelates_within_the_lateral_resolution(muscle: Renderer, depth_rows: tuple[int, int]) -> None:
    first, last = depth_rows
    width = float(muscle.transducer.lateral_width(torch.tensor((first + last) / 2 / 600 * DEPTH)))
    steps = np.arange(0.0, 1.5e-3, 0.1e-3)
    frames = muscle.echo(np.stack([probe_pose(0.0, step) for step in steps]), STRONG)[:, :, 10:-10, first:last]
    alike = np.array([complex_correlation(frames[:, 0], frames[:, k]) for k in range(len(steps))])
    length = steps[np.argmax(alike < math.exp(-1.0))]
    assert length == pytest.approx(2.0 * width, rel=0.3)


@pytest.mark.parametrize("step", [0.02e-3, 0.05e-3, 0.12e-3])
def test_speckle_decorrelates_along_the_beam_by_the_length_of_the_pulse(muscle: Renderer, step: float) -> None:
    # Lifted within the gel: nothing is pressed, the frames only shift.
    poses = np.stack([probe_pose(0.0, 0.0)] * 2)
    poses[:, 2, 3] = [-1.0e-3, -1.0e-3 - step]
    frames = muscle.echo(poses, STRONG)[:, :, 10:-10, 200:300]
    width = float(muscle.transducer.axial_width(torch.tensor(250 / 600 * DEPTH)))
    expected = math.exp(-((step / width) ** 2) / 4.0)
    assert complex_correlation(frames[:, 0], frames[:, 1]) == pytest.approx(expected, abs=0.02)


def test_speckle_moves_with_the_tissue(muscle: Renderer) -> None:
    pitch = muscle.transducer.pitch
    frames = muscle.echo(np.stack([probe_pose(0.0, step * pitch) for step in (0, 4)]), STRONG)[:, :, :, 100:500]
    assert complex_correlation(frames[:, 0, 4:], frames[:, 1, :-4]) > 0.97
    assert complex_correlation(frames[:, 0, 4:], frames[:, 1, 4:]) < 0.3


def test_speckle_decorrelates_out_of_the_plane_within_the_slice(muscle: Renderer) -> None:
    width = float(muscle.transducer.elevational_width(torch.tensor(0.03)))
    frames = muscle.echo(np.stack([probe_pose(step, 0.0) for step in (0.0, width, 4 * width)]), STRONG)[..., 220:300]
    assert complex_correlation(frames[:, 0], frames[:, 1]) == pytest.approx(math.exp(-0.25), abs=0.12)
    assert complex_correlation(frames[:, 0], frames[:, 2]) < 0.2


def test_fat_gives_way_more_than_muscle_and_bone_not_at_all() -> None:
    fat, rigid = torch.tensor([[0.012]]), torch.tensor([[0.045]])
    press = Press.of(torch.tensor([[0.004]]), fat, rigid)
    at = press.displacement(torch.tensor([[[0.0, 0.012, 0.024, 0.045, 0.060]]]))[0, 0]
    assert float(at[0]) == pytest.approx(0.004)
    assert float(at[3]) == pytest.approx(0.0, abs=1e-7)
    assert float(at[4]) == pytest.approx(0.0, abs=1e-7)
    strain_of_fat, strain_of_muscle = float(at[0] - at[1]) / 0.012, float(at[1] - at[2]) / 0.012
    assert strain_of_fat > 2.0 * strain_of_muscle > 0.0


def test_material_depth_undoes_the_displacement() -> None:
    fat, rigid = torch.tensor([[0.010]]), torch.tensor([[0.030]])
    press = Press.of(torch.tensor([[0.003]]), fat, rigid)
    depth = torch.linspace(0.0, 0.07, 50).view(1, 1, -1)
    material = press.material_depth(depth)
    assert torch.allclose(material - press.indentation.unsqueeze(-1) + press.displacement(material), depth, atol=2e-5)
    assert float(material[0, 0, 0]) == pytest.approx(0.0, abs=5e-5), "the skin stays at the transducer"


def test_scatterers_fill_their_cells_evenly_and_come_from_their_seed() -> None:
    offsets = make_scatterers(3).offsets
    in_a_cell = round(math.prod(CELL) / COMPARTMENT**3)
    assert offsets.shape == (3, math.prod(BLOCK), in_a_cell)
    edges = torch.tensor(CELL).view(3, 1, 1)
    assert float(offsets.min()) >= 0.0
    assert (offsets <= edges).all()
    assert (offsets.amax((1, 2)) > 0.95 * edges.view(3)).all()
    in_octants = (offsets > edges / 2).all(0).sum(1)
    assert (in_octants == in_a_cell // 8).all()
    assert torch.equal(offsets, make_scatterers(3).offsets)
    assert not torch.equal(offsets, make_scatterers(4).offsets)


@pytest.mark.parametrize(("name", "value"), [("focus", -0.01), ("frequency", 0.0), ("f_number", math.nan)])
def test_a_transducer_that_cannot_be_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsGridSimError, match=f"transducer: {name} is .*; expected a number above 0"):
        Transducer(**{name: value})
