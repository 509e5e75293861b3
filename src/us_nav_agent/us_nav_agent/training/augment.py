"""Augmentation of transitions: sampled into a record, then applied by pure functions.

A left-right mirrored back is a back too: a mirrored frame stands for a place on the other side, where up is down. So a
mirror image comes with its action memory and Q-values swapped.
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from us_nav_agent.networks.dueling import MIRRORED

_CLUTTER_SIZE = 1024
"""Edge of the picture of all clutter; pictures of up to half of it are cut out."""


@dataclass(frozen=True)
class Augmentation:
    """What was sampled for each of n samples.

    Attributes:
        mirror: bool (n,).
        shift: (n, 2) columns and rows, as a share of the picture's half size.
        turn: (n,) rotation [rad].
        zoom: (n,) scale; above 1 the picture is enlarged.
        gamma: (n,) exponent of the grey levels.
        thickness: (n,) scale of the depth below the skin; above 1 the tissue is thicker, what lies below is deeper.
        lifted: (n,) share of the width, from the left edge where positive, from the right where negative, that has lost
            contact.
        clutter: (n,) its highest grey level, 0 to 1.
        clutter_place: int (n, 2), where in the picture of all clutter it is cut out.
    """

    mirror: Tensor
    shift: Tensor
    turn: Tensor
    zoom: Tensor
    gamma: Tensor
    thickness: Tensor
    lifted: Tensor
    clutter: Tensor
    clutter_place: Tensor

    @classmethod
    def none(cls, count: int) -> "Augmentation":
        """The record that changes nothing."""
        zeros, ones = torch.zeros(count), torch.ones(count)
        nowhere = torch.zeros(count, 2)
        return cls(zeros > 0, nowhere, zeros, ones, ones, ones, zeros, zeros, nowhere.long())

    def to(self, device: torch.device | str) -> "Augmentation":
        """The same record on ``device``."""
        return Augmentation(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def sample_augmentation(count: int, generator: torch.Generator, wide: bool = False) -> Augmentation:
    """Sample small shifts, rotations, resized crops, changes of contrast, and mirror images half of the time.

    Where ``wide``, also thicker and thinner tissue, lost contact in 3 of 10 frames, and clutter: what tells one body
    and one hand from another. Only 25 subjects are learnt from.
    """

    def uniform(half: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * half

    plain = {
        "mirror": torch.rand(count, generator=generator) < 0.5,
        "shift": uniform(0.08, 2),
        "turn": uniform(0.08),
        "zoom": torch.exp(uniform(0.10)),
        "gamma": torch.exp(uniform(0.4)),
    }
    if not wide:
        return dataclasses.replace(Augmentation.none(count), **plain)
    return Augmentation(
        **plain,
        thickness=torch.exp(0.2 + uniform(0.6)),  # heavy backs are rare among 25, and twice as thick
        lifted=torch.where(torch.rand(count, generator=generator) < 0.3, uniform(0.5), 0.0),
        clutter=torch.rand(count, generator=generator) * 0.15,
        clutter_place=torch.randint(0, _CLUTTER_SIZE // 2, (count, 2), generator=generator),
    )


def augment_frames(frames: Tensor, record: Augmentation) -> Tensor:
    """Frames uint8 (n, c, h, w) as the record says, all frames of a sample alike; uint8 again."""
    cosine, sine = torch.cos(record.turn) / record.zoom, torch.sin(record.turn) / record.zoom
    side, depth = torch.where(record.mirror, -1.0, 1.0), 1.0 / record.thickness
    affine = torch.stack(
        [
            torch.stack([side * cosine, -side * sine, record.shift[:, 0]], dim=1),
            torch.stack([depth * sine, depth * cosine, depth * (record.shift[:, 1] + 1.0) - 1.0], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(affine, list(frames.shape), align_corners=False)
    moved = functional.grid_sample(frames.float() / 255.0, grid, padding_mode="border", align_corners=False)
    levels = moved.clamp(0.0, 1.0) ** record.gamma.view(-1, 1, 1, 1)
    if bool((record.lifted != 0).any()):
        levels = levels * _contact(record.lifted, frames.shape[3])[:, None, None, :]
    if bool((record.clutter > 0).any()):
        levels = torch.maximum(levels, record.clutter.view(-1, 1, 1, 1) * _clutter(record, *frames.shape[2:]))
    return (levels * 255.0).round().to(torch.uint8)


def _contact(lifted: Tensor, width: int) -> Tensor:
    """What is left of the echoes in each column (n, width)."""
    place = (torch.arange(width, device=lifted.device) + 0.5) / width
    from_edge = torch.where(lifted[:, None] > 0, place, 1.0 - place)
    return torch.where(from_edge < lifted.abs()[:, None], 0.15, 1.0)


@lru_cache(maxsize=1)
def _all_clutter() -> Tensor:
    """One picture of clutter, grey levels 0 to 1, for all to cut from."""
    return torch.rand(_CLUTTER_SIZE, _CLUTTER_SIZE, generator=torch.Generator().manual_seed(0))


def _clutter(record: Augmentation, height: int, width: int) -> Tensor:
    """Clutter (n, 1, height, width), each sample's cut out at its place."""
    places: list[list[int]] = record.clutter_place.tolist()
    whole = _all_clutter()
    cut = [whole[down : down + height, across : across + width] for down, across in places]
    return torch.stack(cut)[:, None].to(record.clutter.device)


def mirror_moves(values: Tensor, mirror: Tensor) -> Tensor:
    """Values (n, k, actions) or (n, actions) per action with up and down swapped where ``mirror``; a stop is a stop."""
    where = mirror.view(-1, *[1] * (values.dim() - 1))
    return torch.where(where, values[..., MIRRORED[: values.shape[-1]]], values)


def augment_actions(memory: Tensor, record: Augmentation, actions: int) -> Tensor:
    """Action memories (n, k * actions) of the mirrored backs."""
    places = memory.shape[1] // actions
    return mirror_moves(memory.view(len(memory), places, actions), record.mirror).reshape(memory.shape)
