"""Point scatterers that are fixed in the tissue, and how they are added up into the echo of a frame.

The tissue is filled with cells of one size; a block of BLOCK different cells is repeated through the body. In a cell
the scatterers sit one in each compartment, anywhere in it, so their density is even and their phases are random. A
scatterer's echo goes to the two nearest scan lines and the nearest sample, with its exact phase; the point spread in
the image plane comes after (:mod:`us_grid_sim.bmode.point_spread`), that out of the plane is the weight it is added
with (Meunier & Bertrand 1995, IEEE Trans Biomed Eng 42:1178; Gao et al. 2009, IEEE Trans Ultrason 56:404).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.geometry import DEPTH, PROBE_WIDTH
from us_grid_sim.phantom.plane import Press

CELL = 0.002
"""Edge of a cell [m]."""
PER_EDGE = 4
"""Compartments along an edge of a cell: 8 scatterers a cubic millimetre, about 3 a resolution cell in focus."""
BLOCK = (12, 20, 20)
"""Cells of the repeated block along x, y and z of the patient frame: 24 x 40 x 40 mm."""
SUBSLICE = 1.2
"""Where the outer parts of the slice are looked at, in standard deviations."""
REACH = 1.8
"""Scatterers further out of the image plane than this many standard deviations of the slice are left out: 1 % of the
energy."""


@dataclass(frozen=True)
class Scatterers:
    """The scatterers of a block.

    Attributes:
        offsets: (3, cells, scatterers) place in the cell along x, y and z of the patient frame [m].
        amplitude: (cells, scatterers) relative echo, or None where all are 1.
    """

    offsets: Tensor
    amplitude: Tensor | None = None


def make_scatterers(seed: int) -> Scatterers:
    """Sample the scatterers of a subject."""
    generator = torch.Generator().manual_seed(seed)
    cells = math.prod(BLOCK)
    jitter = torch.rand(3, cells, PER_EDGE**3, generator=generator)
    compartment = torch.stack(torch.meshgrid(*[torch.arange(PER_EDGE)] * 3, indexing="ij")).reshape(3, 1, -1)
    return Scatterers((compartment + jitter) * (CELL / PER_EDGE))


@dataclass(frozen=True)
class _Cells:
    """The cells near n image planes.

    Attributes:
        pose: (m,) which of the poses.
        block: (m,) which cell of the block.
        rows: (m, 3, 4) from a place in the cell [m] to (lateral, elevational, depth) in the image [m], affine.
    """

    pose: Tensor
    block: Tensor
    rows: Tensor


def _near_cells(poses: Tensor, press: Press, lateral: Tensor, transducer: Transducer) -> _Cells:
    """The cells within reach of the image planes at ``poses`` (n, 4, 4), with the tissue's displacement there."""
    device = poses.device
    indentation = press.indentation.clamp(min=0.0).amax(dim=1)
    reach = REACH * float(transducer.elevational_width(torch.tensor([0.0, DEPTH])).max()) + CELL
    corners = torch.tensor(
        [
            (x, y, z)
            for x in (-PROBE_WIDTH / 2, PROBE_WIDTH / 2)
            for y in (-reach, reach)
            for z in (-float(indentation.max()), DEPTH)
        ],
        device=device,
    )
    placed = corners @ poses[:, :3, :3].mT + poses[:, None, :3, 3]
    low = torch.floor(placed.amin(dim=1) / CELL)
    extent = (torch.ceil(placed.amax(dim=1) / CELL) - low).amax(dim=0).int().tolist()
    box = torch.stack(torch.meshgrid(*[torch.arange(n, device=device) for n in extent], indexing="ij"), dim=-1)
    index = low[:, None] + box.reshape(1, -1, 3)
    centre = ((index + 0.5) * CELL - poses[:, None, :3, 3]) @ poses[:, :3, :3]
    slack = 0.6 * CELL
    width = transducer.elevational_width(centre[..., 2].clamp(0.0, DEPTH))
    near = (centre[..., 1].abs() < REACH * width + slack) & (centre[..., 0].abs() < PROBE_WIDTH / 2 + slack)
    near &= (centre[..., 2] > -indentation[:, None] - slack) & (centre[..., 2] < DEPTH + slack)
    pose, cell = near.nonzero(as_tuple=True)
    index, centre = index[pose, cell], centre[pose, cell]
    block = torch.zeros_like(pose)
    for axis, size in enumerate(BLOCK):
        block = block * size + torch.remainder(index[:, axis], size).long()
    return _Cells(pose, block, _image_rows(poses[pose], press, lateral, pose, index, centre))


def _image_rows(poses: Tensor, press: Press, lateral: Tensor, pose: Tensor, index: Tensor, centre: Tensor) -> Tensor:
    """The affine map of each cell into its image; the displacement is linearised about the cell's centre."""
    position = (centre[:, 0] - lateral[0]) / (lateral[1] - lateral[0])
    line = position.clamp(0, len(lateral) - 2).long()
    step = 0.5 * CELL

    def displacement(at: Tensor, down: Tensor) -> Tensor:
        local = Press(*(field[pose, at].unsqueeze(1) for field in vars(press).values()))
        return local.displacement((down + local.indentation).unsqueeze(1)).squeeze(1)

    down = centre[:, 2:]
    above, here, below = displacement(line, down + step * torch.tensor([-1.0, 0.0, 1.0], device=down.device)).T
    next_line = displacement(line + 1, down).squeeze(1)
    along = (below - above) / (2 * step)
    across = (next_line - here) / (lateral[1] - lateral[0])
    here = here + across * (centre[:, 0] - lateral[line])
    axes = poses[:, :3, :3].mT.clone()
    axes[:, 2] = axes[:, 2] * (1.0 + along)[:, None] + axes[:, 0] * across[:, None]
    origin = centre.clone()
    origin[:, 2] = origin[:, 2] + here
    middle = torch.full((3,), 0.5 * CELL, device=poses.device)
    return torch.cat([axes, (origin - axes @ middle).unsqueeze(-1)], dim=-1)


def echo(
    scatterers: Scatterers,
    poses: Tensor,
    press: Press,
    lateral: Tensor,
    level: Tensor,
    transducer: Transducer,
) -> Tensor:
    """Sum of the scatterers' echoes at their places, before the point spread in the image plane.

    Args:
        scatterers: of the tissue.
        poses: (n, 4, 4) of ``us_probe`` in the patient frame [m].
        press: how the tissue gives way, at ``lateral``.
        lateral: (m,) [m], evenly spaced.
        level: (n, 3, lines, steps) amplitude of an echo from the inner and outer parts of the slice: at minus
            SUBSLICE standard deviations, in the middle, at plus SUBSLICE.
        transducer: the array.

    Returns:
        (2, n, lines, samples): real and imaginary part at the centre frequency.
    """
    cells = _near_cells(poses, press, lateral, transducer)
    place = _places(scatterers, cells, transducer)
    pose = None
    if len(poses) > 1:
        pose = cells.pose.to(torch.int32).repeat_interleave(place.shape[1] // len(cells.pose))
    amplitude = None if scatterers.amplitude is None else scatterers.amplitude[cells.block].reshape(-1)
    return _add_up(place, pose, amplitude, level, transducer)


def _places(scatterers: Scatterers, cells: _Cells, transducer: Transducer) -> Tensor:
    """(3, m): scan line and sample, with their fractions, and distance out of the plane [m] of the scatterers of
    cells.
    """
    scale = torch.tensor([1.0 / transducer.pitch, 1.0, 1.0 / transducer.sample_spacing], device=cells.rows.device)
    rows = (cells.rows * scale[:, None]).unsqueeze(-1)
    x, y, z = (offset.index_select(0, cells.block) for offset in scatterers.offsets)
    place = torch.empty(3, *x.shape, device=x.device)
    for n, out in enumerate(place):
        torch.addcmul(rows[:, n, 3], x, rows[:, n, 0], out=out)
        out.addcmul_(y, rows[:, n, 1]).addcmul_(z, rows[:, n, 2])
    place[0] += 0.5 * transducer.lines - 0.5
    return place.view(3, -1)


def _add_up(
    place: Tensor, pose: Tensor | None, amplitude: Tensor | None, level: Tensor, transducer: Transducer
) -> Tensor:
    """Add scatterers at :func:`_places` into the image of their pose; what falls beside it goes into a margin."""
    lines, samples, count, steps = transducer.lines, transducer.samples, len(level), level.shape[-1]
    column, out, sample = place
    first = column.floor()
    part = column - first
    line = first.to(torch.int32).clamp_(-2, lines)
    row = sample.floor().to(torch.int32).clamp_(-1, samples)
    depth = (torch.arange(-1, samples + 1, device=level.device) + 0.5) * transducer.sample_spacing
    narrow = (1.0 / (SUBSLICE * transducer.elevational_width(depth))).index_select(0, row + 1)
    side = out * narrow
    # Which part of the slice, and where in it: the margins of the level repeat its border.
    look = side.round().clamp_(-1.0, 1.0).to(torch.int32).add_(1).mul_(lines).add_(line.clamp(0, lines - 1)).mul_(steps)
    look += (sample * (steps / samples)).clamp_(0, steps - 1).to(torch.int32)
    width, height = lines + 4, samples + 2
    target = line.add_(2).mul_(height).add_(row).add_(1)
    if pose is not None:
        look.add_(pose, alpha=3 * lines * steps)
        target.add_(pose, alpha=width * height)
    weight = level.reshape(-1).index_select(0, look).mul_(side.square_().mul_(-0.5 * SUBSLICE**2).exp_())
    if amplitude is not None:
        weight *= amplitude
    phase = sample.mul_(4.0 * math.pi * transducer.sample_spacing / transducer.wavelength)
    far = weight * part
    near = weight.sub_(far)
    result = torch.zeros(2, count * width * height, device=level.device)
    below = target + height
    for plane, wave in zip(result, (torch.cos(phase), torch.sin(phase).neg_()), strict=True):
        plane.index_add_(0, target, near * wave)
        plane.index_add_(0, below, far * wave)
    return result.view(2, count, width, height)[:, :, 2:-2, 1:-1].contiguous()
