"""Signed distances [m] of simple bodies, negative inside; all arguments broadcast, tensors in, tensor out.

The distances are exact or, where a body is stretched or a surface is a height field, right to first order at the
surface, which is where they are read (Quilez, "distance functions", for the forms).
"""

import torch
from torch import Tensor

Point = tuple[Tensor, Tensor, Tensor]
Number = float | Tensor


def capsule(point: Point, start: tuple[Number, ...], end: tuple[Number, ...], radius: float) -> Tensor:
    """A round bar from ``start`` to ``end``."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    relative = [p - a for p, a in zip(point, start, strict=True)]
    length = sum(component * component for component in axis)
    part = sum(p * component for p, component in zip(relative, axis, strict=True)) / length
    part = torch.as_tensor(part).clamp(0.0, 1.0)
    rest = [p - part * component for p, component in zip(relative, axis, strict=True)]
    return torch.sqrt(rest[0] ** 2 + rest[1] ** 2 + rest[2] ** 2) - radius


def ellipsoid(point: Point, center: tuple[Number, ...], radii: tuple[float, ...]) -> Tensor:
    """An ellipsoid, to first order: k (k - 1) / |gradient|."""
    scaled = [(p - c) / r for p, c, r in zip(point, center, radii, strict=True)]
    k = torch.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    gradient = torch.sqrt(sum(((q / r) ** 2 for q, r in zip(scaled, radii, strict=True)), torch.zeros(())))
    return k * (k - 1.0) / gradient.clamp(min=1e-9)


def box(point: Point, center: tuple[Number, ...], half: tuple[Number, ...], rounding: float) -> Tensor:
    """A box with rounded edges; ``half`` is half its size with the rounding."""
    q = [torch.abs(p - c) - (h - rounding) for p, c, h in zip(point, center, half, strict=True)]
    return corner((q[0], q[1], q[2]), rounding)


def corner(faces: tuple[Tensor, ...], rounding: float) -> Tensor:
    """Intersection of half-spaces given by distances to faces that lie ``rounding`` inside, with rounded edges."""
    inside = faces[0]
    outside = faces[0].clamp(min=0.0) ** 2
    for face in faces[1:]:
        inside = torch.maximum(inside, face)
        outside = outside + face.clamp(min=0.0) ** 2
    return torch.sqrt(outside) + inside.clamp(max=0.0) - rounding


def union(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """Of two bodies, blended smoothly over ``blend``; never above the smaller distance."""
    h = (blend - torch.abs(a - b)).clamp(min=0.0) / blend
    return torch.minimum(a, b) - h * h * blend / 4
