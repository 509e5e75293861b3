"""B-mode frames of a virtual subject: a linear array over layered tissue and bone.

A first renderer: each scan line is evaluated at its depth samples (layers, scatterers, interfaces, shadow), then
log-compressed and scan-converted. Not modelled yet: diffraction, refraction, speckle from individual scatterers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from us_grid_sim.bmode.scatterers import Scatterers, make_scatterers, read, smooth_lines
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import DEPTH, FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import HALF_EXTENT, SPACING, Array, Phantom, build_phantom

LINES = 128
SAMPLES = 400
DYNAMIC_RANGE = 60.0
"""Span of the echo levels that are shown as grey levels 0 to 255 [dB]."""
TOP_LEVEL = 12.0
"""Echo level shown as white [dB above the mean level of muscle speckle]."""
SKIN = 0.002
MUSCLE_DEPTH = 0.045
"""Beyond this depth below the fat, where there is no bone, lies retroperitoneal fat and gut [m]."""


def _db(level: float) -> float:
    """Amplitude of a level in decibels."""
    return float(10.0 ** (level / 20.0))


@dataclass(frozen=True)
class _Samples:
    """Where the samples of frames lie; all (n, SAMPLES, LINES), but gap (n, 1, LINES)."""

    x: Tensor
    y: Tensor
    below_skin: Tensor
    depth: Tensor
    gap: Tensor


class Renderer:
    """Renders one subject; building it takes about half a second.

    Args:
        record: the subject.
    """

    def __init__(self, record: SubjectRecord) -> None:
        self.record = record
        self.phantom: Phantom = build_phantom(record)
        self._scatterers: Scatterers = make_scatterers(record.speckle_seed, record.blur)
        phantom = self.phantom
        maps = np.stack([phantom.skin, phantom.fat, phantom.bone, phantom.lateral, phantom.along])
        self._maps = torch.from_numpy(maps.astype(np.float32))

    def render(self, poses: Array, contact_force: npt.ArrayLike = 1.0) -> npt.NDArray[np.uint8]:
        """Frames (n, 600, 800) seen at ``poses`` (n, 4, 4) of ``us_probe`` in the patient frame [m].

        ``contact_force`` [N], one or one a pose, decides how well the transducer couples.

        Raises:
            UsGridSimError: a pose or force is not finite, or a pose lies beyond the subject's back.
        """
        poses = np.asarray(poses, dtype=np.float64).reshape(-1, 4, 4)
        forces = np.broadcast_to(np.asarray(contact_force, dtype=np.float64), (len(poses),))
        self._check(poses, forces)
        echoes = self._echoes(torch.from_numpy(poses).float(), torch.from_numpy(forces.copy()).float())
        level = 20.0 * torch.log10(echoes + 1e-6) + self.record.gain
        grey = ((level - TOP_LEVEL) / DYNAMIC_RANGE + 1.0).clamp(0.0, 1.0) * 255.0
        return np.stack([scan_convert(image) for image in grey.round().to(torch.uint8).numpy()])

    @staticmethod
    def _check(poses: Array, forces: Array) -> None:
        if not (np.isfinite(poses).all() and np.isfinite(forces).all()):
            raise UsGridSimError("a probe pose or contact force is not finite; expected metres and newtons")
        if (forces < 0).any():
            raise UsGridSimError(f"contact force {forces.min():.3f} N is negative; expected 0 or more")
        if (np.abs(poses[:, :2, 3]) > np.array(HALF_EXTENT)).any():
            worst = poses[np.abs(poses[:, :2, 3]).max(axis=1).argmax(), :2, 3]
            raise UsGridSimError(
                f"probe at x {worst[0]:.3f}, y {worst[1]:.3f} m is beyond the subject's back; "
                f"expected |x| <= {HALF_EXTENT[0]}, |y| <= {HALF_EXTENT[1]}"
            )

    def _read_maps(self, x: Tensor, y: Tensor) -> Tensor:
        """Skin, fat, bone, lateral and along maps (5, *x.shape) at (x, y), bilinearly."""
        rows, columns = self._maps.shape[1:]
        row = ((x + HALF_EXTENT[0]) / SPACING).clamp(0, rows - 1.001)
        column = ((y + HALF_EXTENT[1]) / SPACING).clamp(0, columns - 1.001)
        i, j = row.long(), column.long()
        a, b = row - i, column - j
        flat = self._maps.reshape(len(self._maps), -1)
        base = i * columns + j
        near = torch.lerp(flat[:, base], flat[:, base + 1], b)
        far = torch.lerp(flat[:, base + columns], flat[:, base + columns + 1], b)
        return torch.lerp(near, far, a)

    def _samples(self, poses: Tensor) -> tuple[_Samples, Tensor]:
        """Sample points of frames, and the fat, bone, lateral and along maps (4, n, 1, LINES)."""
        lateral = (torch.arange(LINES) + 0.5) / LINES * PROBE_WIDTH - PROBE_WIDTH / 2
        depth = ((torch.arange(SAMPLES) + 0.5) / SAMPLES * DEPTH).view(1, -1, 1)
        face = poses[:, :3, 0, None] * lateral + poses[:, :3, 3, None]
        skin, *maps = self._read_maps(face[:, 0], face[:, 1])
        pressed = (face[:, 2] - skin).unsqueeze(1)
        gap = (-pressed).clamp(min=0.0)
        # Pressed tissue is squeezed near the skin and shifted as a whole further down.
        indented = pressed.clamp(min=0.0) * (1.0 - torch.exp(-depth / 0.008))
        below = depth + indented - gap
        beam = poses[:, :3, 2, None, None]
        x = face[:, 0].unsqueeze(1) + beam[:, 0] * depth
        y = face[:, 1].unsqueeze(1) + beam[:, 1] * depth
        return _Samples(x, y, below, depth.expand(below.shape), gap), torch.stack(maps).unsqueeze(2)

    def _echoes(self, poses: Tensor, forces: Tensor) -> Tensor:
        """Echo amplitudes (n, SAMPLES, LINES), 1 the mean of muscle speckle."""
        samples, (fat, bone, lateral, along) = self._samples(poses)
        below = samples.below_skin
        speckle = read(self._scatterers.envelope, samples.x, samples.y, below)
        fibres = read(self._scatterers.fibres, samples.x, samples.y, below)
        speckle = smooth_lines(speckle * self._backscatter(below, fat, lateral, fibres), 0.5, 1.1)
        image = speckle + self._interfaces(below, fat, lateral, along)
        in_bone = (below - bone).clamp(min=0.0)
        # What lies in or behind bone is in shadow, save for a little reverberation.
        image = image * (torch.exp(-in_bone / 0.0004) + 0.015 * torch.exp(-in_bone / 0.03))
        image = image + self._bone_echo(below, bone)
        loss = _db(-1.0) ** (samples.depth / DEPTH * self.record.attenuation * DEPTH)
        coupling = torch.exp(-samples.gap / 0.0004) * (1.0 - torch.exp(-(forces.view(-1, 1, 1) + 0.05) / 0.25))
        ringing = 6.0 * torch.exp(-samples.depth / 0.0012)
        noise = 0.006 * read(self._scatterers.envelope, samples.y + 0.01, samples.x, samples.depth)
        return image * loss * coupling + ringing + noise

    def _backscatter(self, below: Tensor, fat: Tensor, lateral: Tensor, fibres: Tensor) -> Tensor:
        """Amplitude of the scatterers in each layer."""
        record = self.record
        fat_level = _db(-6.0 + record.echo_fat) * torch.exp(0.55 * fibres)
        muscle_level = _db(-9.0 + record.echo_muscle) * torch.exp(0.50 * fibres)
        deep_level = _db(-14.0) * torch.exp(0.3 * fibres)
        wall = 0.75 * MUSCLE_DEPTH * (1.0 - 0.45 * ((lateral.abs() - 0.06) / 0.02).clamp(0.0, 1.0))
        level = torch.where(below < fat, fat_level, torch.where(below < fat + wall, muscle_level, deep_level))
        return torch.where(below < 0.0, torch.zeros_like(level), torch.where(below < SKIN, level * _db(10.0), level))

    def _interfaces(self, below: Tensor, fat: Tensor, lateral: Tensor, along: Tensor) -> Tensor:
        """Echoes of skin, thoracolumbar fascia, the septum beside the multifidus and, above the pelvis, the flank."""
        side = lateral.abs()
        echo = 2.5 * torch.exp(-((below / 0.0006) ** 2))
        echo = echo + 2.2 * torch.exp(-(((below - fat) / 0.0006) ** 2))
        septum = fat + 0.030 - 1.2 * (side - 0.022)
        inside = (side > 0.018) & (side < 0.045) & (below > fat)
        echo = echo + torch.where(inside, 1.2 * torch.exp(-(((below - septum) / 0.0008) ** 2)), 0.0)
        flank = (side - 0.070).clamp(0.0, 0.010) / 0.010 * torch.sigmoid((along - 0.015) / 0.006)
        for layer in (0.007, 0.014, 0.021):
            echo = echo + 1.5 * flank * torch.exp(-(((below - fat - layer) / 0.0007) ** 2))
        return echo

    def _bone_echo(self, below: Tensor, bone: Tensor) -> Tensor:
        """Echo of the first bone surface, weaker where it is steep, and its first reverberation."""
        line = PROBE_WIDTH / LINES
        slope = torch.diff(bone, dim=-1, append=bone[..., -1:]) / line
        facing = (1.0 / torch.sqrt(1.0 + slope.clamp(-8.0, 8.0) ** 2)) ** 1.5
        strength = 9.0 * _db(self.record.bone_echo) * facing
        surface = torch.exp(-(((below - bone - 0.0004) / 0.0009) ** 2))
        again = torch.exp(-(((below - 2.0 * bone) / 0.0012) ** 2))
        return smooth_lines(strength * (surface + 0.02 * again), 0.6, 1.1)


def scan_convert(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A frame (600, 800) with ``image`` (samples, lines) under the array and black beside it."""
    width = round(PROBE_WIDTH / PIXEL_SIZE)
    left = (FRAME_WIDTH - width) // 2
    frame = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), np.uint8)
    frame[:, left : left + width] = cv2.resize(image, (width, FRAME_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return frame
