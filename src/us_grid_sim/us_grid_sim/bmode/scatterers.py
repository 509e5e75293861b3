"""Point scatterers that are fixed in the tissue, and how they are added up into the echo of a frame.

The tissue is filled with cells of one size; a block of BLOCK different cells is repeated through the body. In a cell
the scatterers sit one in each compartment, anywhere in it, so their density is even and their phases are random. A
scatterer's echo goes to the two nearest scan lines and samples, with its exact phase; the point spread in
the image plane comes after (:mod:`us_grid_sim.bmode.point_spread`), that out of the plane is the weight it is added
with (Meunier & Bertrand 1995, IEEE Trans Biomed Eng 42:1178; Gao et al. 2009, IEEE Trans Ultrason 56:404).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.geometry import PROBE_WIDTH
from us_grid_sim.phantom.plane import Press

CELL = (0.001, 0.004, 0.002)
"""Edges of a cell along x, y and z of the patient frame [m]: thin across the usual image plane, so that few of those
near the plane stand out of the slice."""
_MIDDLE = torch.tensor([*(0.5 * edge for edge in CELL), 1.0])
"""Of a cell, homogeneous."""
COMPARTMENT = 0.0005
"""Edge of a compartment [m]: 8 scatterers a cubic millimetre, about 3 a resolution cell in focus."""
BLOCK = (24, 10, 20)
"""Cells of the repeated block along x, y and z: 24 x 40 x 40 mm."""
SUBSLICE = 1.2
"""Where the outer parts of the slice are looked at, in standard deviations."""
REACH = 1.65
"""Scatterers further out of the image plane than this many standard deviations of the slice are left out: 2 % of the
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
    along = [torch.arange(round(edge / COMPARTMENT)) for edge in CELL]
    compartment = torch.stack(torch.meshgrid(*along, indexing="ij")).reshape(3, 1, -1)
    jitter = torch.rand(3, cells, compartment.shape[-1], generator=generator)
    return Scatterers((compartment + jitter) * COMPARTMENT)


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
    edges = torch.tensor(CELL, device=device)
    # How far a cell reaches from its centre along the axes of the image.
    half = (0.5 * edges @ poses[:, :3, :3].abs()).unsqueeze(1)
    slices = transducer.elevational_width(torch.tensor([0.0, transducer.depth]))
    reach = REACH * float(slices.max()) + float(half[..., 1].max())
    corners = torch.tensor(
        [
            (x, y, z)
            for x in (-PROBE_WIDTH / 2, PROBE_WIDTH / 2)
            for y in (-reach, reach)
            for z in (-float(indentation.max()), transducer.depth)
        ],
        device=device,
    )
    placed = corners @ poses[:, :3, :3].mT + poses[:, None, :3, 3]
    low = torch.floor(placed.amin(dim=1) / edges)
    extent = (torch.ceil(placed.amax(dim=1) / edges) - low).amax(dim=0).int().tolist()
    box = torch.stack(torch.meshgrid(*[torch.arange(n, device=device) for n in extent], indexing="ij"), dim=-1)
    index = low[:, None] + box.reshape(1, -1, 3)
    centre = ((index + 0.5) * edges - poses[:, None, :3, 3]) @ poses[:, :3, :3]
    x, y, z = centre.unbind(dim=-1)
    width = transducer.elevational_width(z.clamp(0.0, transducer.depth))
    near = (y.abs() < REACH * width + half[..., 1]) & (x.abs() < PROBE_WIDTH / 2 + half[..., 0])
    near &= (z > -indentation[:, None] - half[..., 2]) & (z < transducer.depth + half[..., 2])
    pose, cell = near.nonzero(as_tuple=True)
    index, centre = index[pose, cell], centre[pose, cell]
    size = torch.tensor(BLOCK, device=device)
    steps = torch.tensor([BLOCK[1] * BLOCK[2], BLOCK[2], 1], device=device)
    block = (torch.remainder(index, size) * steps).sum(dim=1).long()
    return _Cells(pose, block, _image_rows(poses[pose], press, lateral, pose, index, centre))


def _image_rows(poses: Tensor, press: Press, lateral: Tensor, pose: Tensor, index: Tensor, centre: Tensor) -> Tensor:
    """The affine map of each cell into its image; the displacement is linearised about the cell's centre."""
    spacing = lateral[1] - lateral[0]
    line = ((centre[:, 0] - lateral[0]) / spacing).clamp_(0, len(lateral) - 2).long()
    step = 0.5 * CELL[2]
    local = press.at(pose.unsqueeze(1), line.unsqueeze(1) + torch.arange(2, device=pose.device))
    down = centre[:, 2:] + step * torch.tensor([-1.0, 0.0, 1.0], device=pose.device)
    depths = down.unsqueeze(1) + local.indentation.unsqueeze(2)
    (above, here, below), (_, next_line, _) = local.displacement(depths).permute(1, 2, 0)
    along = (below - above) / (2 * step)
    across = (next_line - here) / spacing
    here = here + across * (centre[:, 0] - lateral[line])
    axes = poses[:, :3, :3].mT.clone()
    axes[:, 2] = axes[:, 2] * (1.0 + along)[:, None] + axes[:, 0] * across[:, None]
    origin = centre.clone()
    origin[:, 2] = origin[:, 2] + here
    middle = _MIDDLE[:3].to(poses.device)
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
    """Where the scatterers of cells are seen (3, m): scan line and sample, with their fractions from the middle of the
    first, and between them the distance out of the plane in SUBSLICE standard deviations of the slice at the cell.
    """
    rows = cells.rows.clone()
    depth = (rows[:, 2] @ _MIDDLE.to(rows.device)).clamp(0.0, transducer.depth)
    rows[:, 0] *= 1.0 / transducer.pitch
    rows[:, 1] /= (SUBSLICE * transducer.elevational_width(depth)).unsqueeze(1)
    rows[:, 2] *= 1.0 / transducer.sample_spacing
    rows[:, 0, 3] += 0.5 * transducer.lines - 0.5
    rows[:, 2, 3] -= 0.5
    x, y, z = (offset.index_select(0, cells.block) for offset in scatterers.offsets)
    rows = rows.unsqueeze(-1)
    place = torch.empty(3, *x.shape, device=x.device)
    for n, out in enumerate(place):
        torch.addcmul(rows[:, n, 3], x, rows[:, n, 0], out=out)
        out.addcmul_(y, rows[:, n, 1]).addcmul_(z, rows[:, n, 2])
    return place.view(3, -1)


def _add_up(
    place: Tensor, pose: Tensor | None, amplitude: Tensor | None, level: Tensor, transducer: Transducer
) -> Tensor:
    """Add scatterers at :func:`_places` into the image of their pose; what falls beside it goes into a margin."""
    lines, samples, count, steps = transducer.lines, transducer.samples, len(level), level.shape[-1]
    column, side, sample = place
    first, upper = column.floor(), sample.floor()
    beside, below = column - first, sample - upper
    line, row = first.to(torch.int32).clamp_(-2, lines), upper.to(torch.int32).clamp_(-2, samples)
    # Which part of the slice, and where in it: the margins of the level repeat its border.
    look = side.round().clamp_(-1.0, 1.0).to(torch.int32).add_(1).mul_(lines).add_(line.clamp(0, lines - 1)).mul_(steps)
    look += ((sample + 0.5).mul_(steps / samples)).clamp_(0, steps - 1).to(torch.int32)
    width, height = lines + 4, samples + 4
    target = line.add_(2).mul_(height).add_(row).add_(2)
    if pose is not None:
        look.add_(pose, alpha=3 * lines * steps)
        target.add_(pose, alpha=width * height)
    weight = level.reshape(-1).index_select(0, look).mul_(side.square_().mul_(-0.5 * SUBSLICE**2).exp_())
    if amplitude is not None:
        weight *= amplitude
    phase = sample.mul_(-4.0 * math.pi * transducer.sample_spacing / transducer.wavelength)
    far = weight * beside
    near, index = weight.sub_(far), target.long()
    result = torch.zeros(2, count * width * height, device=level.device)
    for plane, wave in zip(result, (torch.cos(phase), torch.sin(phase)), strict=True):
        for share, line_on in ((near * wave, plane), (wave.mul_(far), plane[height:])):
            deeper = share * below
            line_on[1:].scatter_add_(0, index, deeper)
            line_on.scatter_add_(0, index, share.sub_(deeper))
    return result.view(2, count, width, height)[:, :, 2:-2, 2:-2].contiguous()
