"""The tissue under a probe: planes through the fields of a subject, with the tissue pressed by the transducer.

A point of an image at depth d below the transducer's face shows material that lay, before the probe pressed, r below
the skin along the beam: r = d + delta - w(r), where delta is the indentation and w(r) the displacement at r. The
displacement falls from delta at the skin to zero at bone as the compliance of what lies between: fat gives way three
times as much as relaxed muscle, and the stress spreads with depth.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from us_grid_sim.geometry import DEPTH, PROBE_WIDTH
from us_grid_sim.phantom.subject import Phantom
from us_grid_sim.phantom.volume import LOWER, SHAPE, SPACING, Field

_MUSCLE_COMPLIANCE = 0.35
"""Of relaxed muscle against fat: about 8 against 3 kPa (Alkhouli et al. 2013, Am J Physiol 305:E1427, fat; Gennisson
et al. 2010, Ultrasound Med Biol 36:789, muscle across its fibres)."""
_SPREAD = 0.015
"""Depth at which the stress under the transducer has fallen to half [m], about its elevational width."""


@dataclass(frozen=True)
class Press:
    """How the tissue under n probes gives way, at m lateral positions of the transducer's face; see :meth:`of`.

    Attributes:
        indentation: (n, m) of the face into the skin along the beam [m]; negative: the gap between them.
        terms: (4, n, m) of :meth:`displacement`: what it is at the skin [m], the thickness of skin and fat and the
            depth of what does not move, both as log(1 + depth / _SPREAD), and how much a unit of compliance takes of it
            [m].
    """

    indentation: Tensor
    terms: Tensor

    @classmethod
    def of(cls, indentation: Tensor, fat: Tensor, rigid: Tensor) -> "Press":
        """Of tissue with ``fat``, the thickness of skin and fat, over ``rigid``, the depth of what does not move.

        All of shape (n, m) [m].
        """
        depths = torch.log1p(torch.stack([fat, rigid]) / _SPREAD)
        push = indentation.clamp(min=0.0)
        rate = push / _compliance(depths[1], depths[0])
        return cls(indentation, torch.cat([push.unsqueeze(0), depths, rate.unsqueeze(0)]))

    def at(self, pose: Tensor, position: Tensor) -> "Press":
        """At some of the poses and lateral positions, by their indices of equal shape (k, l)."""
        place = pose * self.indentation.shape[1] + position
        return Press(
            self.indentation.take(place), self.terms.flatten(1).index_select(1, place.view(-1)).view(4, *place.shape)
        )

    def displacement(self, r: Tensor) -> Tensor:
        """w(r) [m] at depths r (n, m, ...) below the skin [m].

        The compliance times the stress 1 / (1 + r / _SPREAD), added up from the skin to r, against the same down to the
        rigid depth.
        """
        push, fat, rigid, rate = self.terms.view(*self.terms.shape, *[1] * (r.dim() - 2))
        through = torch.minimum(torch.log1p(r.clamp(min=0.0).mul_(1.0 / _SPREAD)), rigid)
        return torch.addcmul(push, _compliance(through, fat), rate, value=-1.0)

    def material_depth(self, depth: Tensor) -> Tensor:
        """Depth r [m] below the skin of image depths (n, m, k) [m]; negative in the gap."""
        unmoved = depth + self.indentation.unsqueeze(-1)
        r = unmoved
        for _ in range(4):
            r = unmoved - self.displacement(r)
        return r


def _compliance(through: Tensor, fat: Tensor) -> Tensor:
    """Of the tissue from the skin on, all depths as log(1 + depth / _SPREAD)."""
    return (torch.minimum(through, fat) * (1.0 - _MUSCLE_COMPLIANCE)).add_(through, alpha=_MUSCLE_COMPLIANCE)


class Plane:
    """Reads planes through a subject's fields.

    Args:
        phantom: the subject.
        device: where tensors live.
    """

    def __init__(self, phantom: Phantom, device: torch.device) -> None:
        volume = phantom.volume
        self.volume = type(volume)(volume.distances.to(device), volume.nearest_bone.to(device))
        maps = np.stack([phantom.fat, phantom.rigid]).astype(np.float32)
        self._maps = torch.from_numpy(maps).to(device)

    def press(self, poses: Tensor, lateral: Tensor) -> Press:
        """How the tissue gives way under probes at ``poses`` (n, 4, 4) at lateral positions (m,) [m]."""
        face = poses[:, :3, :1] * lateral + poses[:, :3, 3:4]
        distances = self.volume.read(face[:, 0], face[:, 1], face[:, 2])
        fat, rigid = self._read_maps(face[:, 0], face[:, 1])
        rigid = torch.maximum(rigid, fat + 0.002)
        return Press.of(distances[Field.SKIN], fat, rigid)

    def _read_maps(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Fat and rigid depth [m] at (x, y), bilinearly."""
        row, column = (
            ((p - low) / SPACING).clamp(0.0, size - 1.001) for p, low, size in zip((x, y), LOWER, SHAPE, strict=False)
        )
        i, j = row.long(), column.long()
        a, b = row - i, column - j
        flat, base = self._maps.reshape(2, -1), i * SHAPE[1] + j
        near = torch.lerp(flat[:, base], flat[:, base + 1], b)
        far = torch.lerp(flat[:, base + SHAPE[1]], flat[:, base + SHAPE[1] + 1], b)
        fat, rigid = torch.lerp(near, far, a)
        return fat, rigid

    def points(self, poses: Tensor, press: Press, lateral: Tensor, depth: Tensor, elevation: Tensor) -> Tensor:
        """Where the material lay, before the probe pressed, that is seen in an image.

        Args:
            poses: (n, 4, 4) of ``us_probe`` in the patient frame [m].
            press: of these poses at ``lateral``.
            lateral: (m,) positions along the face [m].
            depth: (k,) below the face [m].
            elevation: (e, k) offsets out of the image plane at each depth [m].

        Returns:
            (3, n, e, m, k): x, y, z in the patient frame [m].
        """
        count = len(poses)
        down = press.material_depth(depth.expand(count, len(lateral), -1)) - press.indentation.unsqueeze(-1)
        axes = poses[:, :3].movedim(1, 0).reshape(3, count, 1, 1, 1, 4)
        across = axes[..., 0] * lateral.view(1, 1, 1, -1, 1) + axes[..., 3]
        return (
            across + axes[..., 1] * elevation.view(1, 1, *elevation.shape[:1], 1, -1) + axes[..., 2] * down.unsqueeze(1)
        )


def line_positions(lines: int) -> Tensor:
    """(lines,) lateral positions of the scan lines [m]."""
    return (torch.arange(lines) + 0.5) / lines * PROBE_WIDTH - PROBE_WIDTH / 2


def sample_depths(samples: int, depth: float = DEPTH) -> Tensor:
    """(samples,) depths of the samples of a scan line that reaches down to ``depth`` [m]."""
    return (torch.arange(samples) + 0.5) / samples * depth


def nodes(positions: Tensor, spacing: float) -> Tensor:
    """Coarser positions that span the same range, at most ``spacing`` apart."""
    span = float(positions[-1] - positions[0])
    return torch.linspace(float(positions[0]), float(positions[-1]), math.ceil(span / spacing) + 1)
