"""Simple media for tests of physics: a block of one tissue with a flat skin, and reflectors in it."""

import dataclasses

import numpy as np
import torch
from us_grid_sim.phantom.record import SubjectRecord, sample_subject
from us_grid_sim.phantom.subject import Phantom
from us_grid_sim.phantom.volume import FAR, LOWER, SHAPE, SPACING, Field, Volume


def plain_record() -> SubjectRecord:
    """A record whose muscle has no septa and whose scanner adds no clutter."""
    return dataclasses.replace(
        sample_subject(0), septa=0.0, haze=-200.0, echo_muscle=0.0, echo_fat=0.0, attenuation=1.0, blur=1.0, gain=0.0,
        infiltration=0.0, stiffness=1.0,
    )  # fmt: skip


def block(record: SubjectRecord | None = None, fat: float = 0.0) -> Phantom:
    """Erector spinae under a flat skin at z = 0, below ``fat`` metres of fat (no fascia sheet where it is 0)."""
    z = LOWER[2] + SPACING * torch.arange(SHAPE[2])
    outside = {Field.BONE, Field.MULTIFIDUS, Field.MIDLINE, Field.CANAL, Field.GLUTEAL}
    distances = torch.empty(*SHAPE, len(Field), dtype=torch.float16)
    for field in Field:
        distances[..., field] = 1e3 * (FAR if field in outside else -FAR)
    distances[..., Field.SKIN] = 1e3 * z.clamp(-FAR, FAR)
    distances[..., Field.FASCIA] = 1e3 * ((z - fat).clamp(-FAR, FAR) if fat else torch.tensor(FAR))
    maps = np.zeros(SHAPE[:2])
    return Phantom(
        record or plain_record(),
        Volume(distances, torch.zeros(SHAPE, dtype=torch.uint8)),
        maps,
        maps + fat,
        maps + 0.06,
    )


def with_bone(phantom: Phantom, depth: float, angle: float = 0.0) -> Phantom:
    """The block with bone below a plane at ``depth`` under the origin, sloping by ``angle`` [rad] along y."""
    _, y, z = (low + SPACING * torch.arange(n) for low, n in zip(LOWER, SHAPE, strict=True))
    plane = (depth - z[None, :]) * np.cos(angle) + y[:, None] * np.sin(angle)
    distances = phantom.volume.distances.clone()
    distances[..., Field.BONE] = 1e3 * plane.clamp(-FAR, FAR)
    return dataclasses.replace(phantom, volume=Volume(distances, phantom.volume.nearest_bone + 1))
