"""A pulse's way down each scan line: attenuation, reflection and transmission at interfaces, and shadow.

Amplitudes are relative to the speckle of muscle right under the transducer. An interface between impedances Z1 and Z2
reflects R = (Z2 - Z1) / (Z2 + Z1) of the amplitude at normal incidence; the rest passes both ways, 1 - R^2. What comes
back from an interface under an angle is less: see :func:`reflected_share`. The derivative of a signed distance along
the beam is the cosine of the angle of incidence.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from us_grid_sim.bmode.texture import collagen
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.phantom.layers import FASCIA, SKIN
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.tissue import MUSCLES, Tissue, table
from us_grid_sim.phantom.volume import Field, soft_tissue

TISSUE_STEP = 3
"""The tissue is followed in steps of so many samples: interfaces are found between the steps, to a fraction."""
REFLECTION = 60.0
"""Echo of a perfect plane reflector against the speckle of muscle: 35 dB."""
ROUGHNESS = 0.45
"""Root mean square slope of the facets of an interface within the beam."""
DIFFUSE = 0.25
"""Share of an interface's echo that is scattered into all directions (Lambert)."""
_UNEVENNESS = 0.35
"""Spread of an interface's echo along it (of the logarithm): curvature and roughness within the beam."""
_SLICE_WEIGHTS = (0.25, 0.5, 0.25)
"""Of the parts of the slice in the echo of a bone's surface."""
_PENUMBRA = 3
"""Lines by which the shadows of an aperture's halves are apart."""
_CRITICAL_SINE = 1540.0 / 3476.0
"""Beyond this sine of the angle of incidence bone reflects all (speeds: Culjat et al. 2010)."""
_SHEET = {Field.ERECTOR: 0.035, Field.MULTIFIDUS: 0.030, Field.DEEP: 0.060, Field.GLUTEAL: 0.020, Field.CANAL: 0.050}
"""Least reflection of the thin collagen sheets between muscles of one impedance."""
_SHEETS_BETWEEN_FLANK_MUSCLES = 0.060


def db(level: float | Tensor) -> Tensor:
    """Amplitude of a level in decibels."""
    return torch.exp(torch.as_tensor(level) * (math.log(10.0) / 20.0))


def reflected_share(cosine: Tensor) -> Tensor:
    """Share of an interface's normal echo that comes back to the transducer at an angle of incidence.

    Facets of Gaussian slopes (root mean square ROUGHNESS) mirror it, and a share DIFFUSE is scattered by Lambert's law:
    (1 - DIFFUSE) exp(-tan^2 / (2 ROUGHNESS^2)) + DIFFUSE cos (Beckmann & Spizzichino 1963, ch. 5).
    """
    cosine = cosine.clamp(1e-3, 1.0)
    tangent2 = 1.0 / cosine**2 - 1.0
    return (1.0 - DIFFUSE) * torch.exp(-tangent2 / (2.0 * ROUGHNESS**2)) + DIFFUSE * cosine


@dataclass(frozen=True)
class Tissues:
    """What each tissue does to ultrasound in one subject, indexed by Tissue.

    Attributes:
        impedance: [MRayl].
        loss: natural logarithm of the amplitude lost over a step, forth and back.
        level: amplitude of the speckle.
        septa: how much stronger than the speckle its sheets of collagen are.
        is_muscle: whether it is muscle.
    """

    impedance: Tensor
    loss: Tensor
    level: Tensor
    septa: Tensor
    is_muscle: Tensor

    @classmethod
    def of(cls, record: SubjectRecord, transducer: Transducer, device: torch.device) -> "Tissues":
        """Of a subject, under a transducer."""
        backscatter = table("backscatter")
        septa = torch.zeros(len(Tissue))
        backscatter[Tissue.FAT] += record.echo_fat
        septa[Tissue.FAT] = 2.5 * record.septa
        for muscle in MUSCLES:
            backscatter[muscle] += record.echo_muscle
            septa[muscle] = 2.0 * record.septa
        # Fat between the fibres makes a muscle brighter and coarser.
        backscatter[Tissue.MULTIFIDUS] += 8.0 * record.infiltration
        septa[Tissue.MULTIFIDUS] *= 1.0 + 2.0 * record.infiltration
        septa[Tissue.RETROPERITONEUM] = 3.0
        scale = (
            2.0 * TISSUE_STEP * transducer.sample_spacing * 100.0 * transducer.frequency * 1e-6 * math.log(10.0) / 20.0
        )
        loss = table("attenuation") * record.attenuation * scale
        is_muscle = torch.tensor([tissue in MUSCLES for tissue in Tissue])
        parts = (table("impedance"), loss, db(backscatter), septa, is_muscle)
        return cls(*(part.to(device) for part in parts))


@dataclass(frozen=True)
class Reflections:
    """Echoes of interfaces, one entry each.

    Attributes:
        frame, line: which scan line.
        step: where on it, in steps from the first, with their fraction.
        amplitude: of the echo.
    """

    frame: Tensor
    line: Tensor
    step: Tensor
    amplitude: Tensor


@dataclass(frozen=True)
class Passage:
    """What the tissue does to the pulse.

    Attributes:
        level: (n, 3, lines, steps) amplitude of speckle from the three parts of the slice.
        reflections: echoes of the interfaces.
        first_bone: (n, lines) step of the first bone in the middle of the slice; the number of steps where there is
            none.
        bone_echo: (n, lines) amplitude of that echo against the pulse.
    """

    level: Tensor
    reflections: Reflections
    first_bone: Tensor
    bone_echo: Tensor


_BORDERS: tuple[tuple[float, dict[Field, float], float], ...] = (
    *((0.0, {Field(field): 1.0}, _SHEET.get(field, 0.0)) for field in Field if field is not Field.BONE),
    (SKIN, {Field.SKIN: 1.0}, 0.0),
    (FASCIA, {Field.FASCIA: 1.0}, 0.0),
    (0.0, {Field.FASCIA: 2.0, Field.DEEP: 1.0}, _SHEETS_BETWEEN_FLANK_MUSCLES),
    (0.0, {Field.FASCIA: 1.0, Field.DEEP: 2.0}, _SHEETS_BETWEEN_FLANK_MUSCLES),
)
"""The surfaces at which :func:`soft_tissue` changes its answer: where a sum of fields has a value, and the least
reflection."""


def _border_tables() -> tuple[Tensor, Tensor, Tensor]:
    """Values (borders, 1), weights (borders, Field) and least reflections (borders,) of _BORDERS."""
    weights = torch.tensor([[border.get(field, 0.0) for field in Field] for _, border, _ in _BORDERS])
    return torch.tensor([[value] for value, _, _ in _BORDERS]), weights, torch.tensor([least for *_, least in _BORDERS])


_BORDER_TABLES = _border_tables()


def propagate(fields: Tensor, bone: Tensor, texture: Tensor, tissues: Tissues, spacing: float) -> Passage:
    """Follow the pulses of n frames down their lines.

    Args:
        fields: (Field, n, lines, steps) signed distances in the image plane [m].
        bone: (n, 3, lines, steps) signed distance to bone in the three parts of the slice [m].
        texture: (n, lines, steps) field of septa.
        tissues: of the subject.
        spacing: of the steps [m].
    """
    label = soft_tissue(fields)
    index = label.int()
    in_bone = bone < 0.0
    loss = _look_up(tissues.loss, index).unsqueeze(1).where(~in_bone, tissues.loss[Tissue.BONE])
    found, reflected = _soft_borders(fields, label, in_bone[:, 1], tissues, spacing)
    passed = torch.log1p(-(reflected**2))
    loss.movedim(1, -1)[found.frame, found.line, found.step.long()] -= passed.unsqueeze(-1)
    entries, echo = _bone_borders(bone, in_bone, index, tissues, spacing, loss)
    through = torch.exp(-torch.cumsum(loss, dim=-1))
    sheets = collagen(texture, _look_up(tissues.is_muscle, index))
    soft = _look_up(tissues.level, index) * (1.0 + _look_up(tissues.septa, index) * sheets)
    level = soft.unsqueeze(1).where(~in_bone, tissues.level[Tissue.BONE]) * _seen_by_aperture(through)
    reflections = _gather(found, entries, echo, through, texture)
    return Passage(level, reflections, *_first_bone(in_bone[:, 1], entries, echo, through))


def _look_up(values: Tensor, index: Tensor) -> Tensor:
    """Values of a table; several times as fast as indexing it."""
    return values.index_select(0, index.view(-1)).view(index.shape)


def _seen_by_aperture(through: Tensor) -> Tensor:
    """What gets through (..., lines, steps), averaged over an aperture that widens with depth: shadows blur."""
    share = torch.linspace(0.0, 0.6, through.shape[-1], device=through.device)
    padded = functional.pad(through, (0, 0, _PENUMBRA, _PENUMBRA), mode="replicate")
    beside = (padded[..., : -2 * _PENUMBRA, :] + padded[..., 2 * _PENUMBRA :, :]).mul_(0.5)
    return torch.lerp(through, beside, share)


def _soft_borders(
    fields: Tensor, label: Tensor, in_bone: Tensor, tissues: Tissues, spacing: float
) -> tuple[Reflections, Tensor]:
    """Interfaces of soft tissue in the image plane, and their reflection coefficients."""
    changes = (label[..., 1:] != label[..., :-1]) & ~in_bone[..., 1:]
    frame, line, step = changes.nonzero(as_tuple=True)
    value, weights, sheet = (table.to(fields.device) for table in _BORDER_TABLES)
    at = (frame * label.shape[1] + line) * label.shape[2] + step
    upper, lower = (weights @ fields.flatten(1).index_select(1, place) - value for place in (at, at + 1))
    crossed = (upper < 0.0) != (lower < 0.0)
    # Where several borders are crossed within a step, the first in the list decides.
    border = crossed.to(torch.uint8).argmax(dim=0, keepdim=True)
    a, b, known = (table.gather(0, border).squeeze(0) for table in (upper, lower, crossed))
    border = border.squeeze(0)
    change = (a - b).abs().clamp(min=1e-9)
    part = torch.where(known, a.abs() / change, 0.5)
    cosine = torch.where(known, change / (spacing * weights.sum(dim=1)[border]), 1.0)
    least = torch.where(known, sheet[border], 0.0)
    first, second = (tissues.impedance[label[frame, line, at].long()] for at in (step, step + 1))
    coefficient = torch.maximum(((second - first) / (second + first)).abs(), least)
    # Above the skin there is the transducer and its gel, not air: the coupling says what passes.
    coefficient = torch.where(label[frame, line, step] == int(Tissue.AIR), 0.05, coefficient)
    amplitude = coefficient * reflected_share(cosine)
    return Reflections(frame, line, step + part, amplitude), coefficient


def _bone_borders(
    bone: Tensor, in_bone: Tensor, index: Tensor, tissues: Tissues, spacing: float, loss: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Where lines enter bone (frame, part, line, step, fraction), and the echo there; ``loss`` takes what stays out."""
    entering = in_bone[..., 1:] & ~in_bone[..., :-1]
    frame, part, line, step = entering.nonzero(as_tuple=True)
    above, below = bone[frame, part, line, step], bone[frame, part, line, step + 1]
    cosine = ((above - below) / spacing).clamp(0.0, 1.0)
    soft = tissues.impedance[index[frame, line, step]]
    hard = tissues.impedance[Tissue.BONE]
    coefficient = (hard - soft) / (hard + soft)
    beyond = ((1.0 - cosine**2) / _CRITICAL_SINE**2).clamp(max=1.0)
    passed = ((1.0 - coefficient**2) * (1.0 - beyond)).clamp(min=0.02)
    loss[frame, part, line, step + 1] -= torch.log(passed)
    fraction = above / (above - below).clamp(min=1e-9)
    return (frame, part, line, step, fraction), coefficient * reflected_share(cosine)


def _gather(
    found: Reflections, entries: tuple[Tensor, ...], echo: Tensor, through: Tensor, texture: Tensor
) -> Reflections:
    """All interfaces with what reaches them, brighter here and dimmer there; bone counts by its part of the slice."""
    frame, part, line, step, fraction = entries
    soft = found.amplitude * through[found.frame, 1, found.line, found.step.long()]
    weight = torch.tensor(_SLICE_WEIGHTS, device=through.device)[part]
    hard = echo * weight * through[frame, part, line, step]
    frame, line = torch.cat([found.frame, frame]), torch.cat([found.line, line])
    place = torch.cat([found.step, step + fraction])
    unevenness = torch.exp(_UNEVENNESS * texture[frame, line, place.long()])
    return Reflections(frame, line, place, torch.cat([soft, hard]) * REFLECTION * unevenness)


def _first_bone(in_bone: Tensor, entries: tuple[Tensor, ...], echo: Tensor, through: Tensor) -> tuple[Tensor, Tensor]:
    """Step of the first bone on each line (n, lines), and its echo against the pulse."""
    steps = in_bone.shape[-1]
    first = torch.where(in_bone.any(dim=-1), in_bone.to(torch.uint8).argmax(dim=-1), steps)
    frame, part, line, step, _ = entries
    middle = (part == 1) & (step + 1 == first[frame, line])
    strength = torch.zeros_like(first, dtype=through.dtype)
    frame, line, step = frame[middle], line[middle], step[middle]
    strength[frame, line] = echo[middle] * through[frame, 1, line, step]
    return first, strength
