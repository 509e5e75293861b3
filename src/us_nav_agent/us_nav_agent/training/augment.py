"""Augmentation of transitions: sampled into a record, then applied by pure functions.

A left-right mirrored back is a back too: a mirrored frame stands for a place on the other side, where up is down. So a
mirror image comes with its action memory and Q-values swapped.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_MIRRORED = torch.tensor([1, 0, 2, 3, 4])
"""Action whose effect on a mirrored back is that of up, down, left, right and stop on the back."""


@dataclass(frozen=True)
class Augmentation:
    """What was sampled for each of n samples.

    Attributes:
        mirror: bool (n,).
        shift: (n, 2) columns and rows, as a share of the picture's half size.
        turn: (n,) rotation [rad].
        zoom: (n,) scale; above 1 the picture is enlarged.
        gamma: (n,) exponent of the grey levels.
    """

    mirror: Tensor
    shift: Tensor
    turn: Tensor
    zoom: Tensor
    gamma: Tensor

    def to(self, device: torch.device | str) -> "Augmentation":
        """The same record on ``device``."""
        return Augmentation(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def sample_augmentation(count: int, generator: torch.Generator) -> Augmentation:
    """Sample small shifts, rotations, resized crops, changes of contrast, and mirror images half of the time."""

    def uniform(half: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * half

    return Augmentation(
        mirror=torch.rand(count, generator=generator) < 0.5,
        shift=uniform(0.08, 2),
        turn=uniform(0.08),
        zoom=torch.exp(uniform(0.10)),
        gamma=torch.exp(uniform(0.4)),
    )


def augment_frames(frames: Tensor, record: Augmentation) -> Tensor:
    """Frames uint8 (n, c, h, w) as the record says, all frames of a sample alike; uint8 again."""
    cosine, sine = torch.cos(record.turn) / record.zoom, torch.sin(record.turn) / record.zoom
    side = torch.where(record.mirror, -1.0, 1.0)
    affine = torch.stack(
        [
            torch.stack([side * cosine, -side * sine, record.shift[:, 0]], dim=1),
            torch.stack([sine, cosine, record.shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(affine, list(frames.shape), align_corners=False)
    moved = functional.grid_sample(frames.float() / 255.0, grid, padding_mode="border", align_corners=False)
    return (moved.clamp(0.0, 1.0) ** record.gamma.view(-1, 1, 1, 1) * 255.0).round().to(torch.uint8)


def mirror_moves(values: Tensor, mirror: Tensor) -> Tensor:
    """Values (n, k, actions) or (n, actions) per action with up and down swapped where ``mirror``; a stop is a stop."""
    where = mirror.view(-1, *[1] * (values.dim() - 1))
    order = _MIRRORED[: values.shape[-1]].to(values.device)
    return torch.where(where, values[..., order], values)


def augment_actions(memory: Tensor, record: Augmentation, actions: int) -> Tensor:
    """Action memories (n, k * actions) of the mirrored backs."""
    places = memory.shape[1] // actions
    return mirror_moves(memory.view(len(memory), places, actions), record.mirror).reshape(memory.shape)
