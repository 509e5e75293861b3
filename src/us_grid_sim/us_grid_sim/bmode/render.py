"""B-mode frames of a virtual subject: tissue under the probe, echoes, point spread, display."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from us_grid_sim.bmode.display import Display, Receiver, scan_convert
from us_grid_sim.bmode.point_spread import PointSpread
from us_grid_sim.bmode.propagation import TISSUE_STEP, Passage, Tissues, db, propagate
from us_grid_sim.bmode.scatterers import COMPARTMENT, SUBSLICE, Scatterers, echo, make_scatterers
from us_grid_sim.bmode.texture import fibre_angles, make_texture, read_texture
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.phantom.plane import Plane, Press, line_positions, nodes, sample_depths
from us_grid_sim.phantom.record import SubjectRecord
from us_grid_sim.phantom.subject import Array, Phantom, build_phantom, check_inside
from us_grid_sim.phantom.volume import FAR, Field, soft_tissue

_NODE_SPACING = (0.00105, 0.0009)
"""The fields are smooth at 1 mm: they are read this far apart along the array and in depth, and interpolated between
[m]."""
_HAZE = -15.0
"""Clutter of reverberation and side lobes right under the transducer [dB against the speckle of muscle]: -30 to 0 in
volunteers (Lediju et al. 2008, Ultrason Imaging 30:151, in the bladder against its wall)."""
_HAZE_REACH = 0.030
_FACE_REFLECTION = 0.10
"""Share of an echo that the transducer's face throws back into the tissue."""
_TOUCH = 0.15
"""Contact force at which two thirds of the pulse get across [N]."""
_DEEPEST = 0.99 * FAR
"""Deeper below the skin [m] no probe can be; distances end there."""
GEL = 0.0020
"""Gap that the gel fills [m]."""
_GAP = 0.0003
"""Gap of air that takes the pulse away [m]."""


class Renderer:
    """Renders one subject; building it takes about a second and 200 MB.

    Args:
        subject: its record, or the phantom built from it.
        transducer: the array; None: the standard one, with the subject's blur.
        device: where to compute.
        scatterers: of the tissue; None: sampled from the record.
        display: the scanner's settings; None: the standard ones, with the subject's gain.
    """

    def __init__(
        self,
        subject: SubjectRecord | Phantom,
        transducer: Transducer | None = None,
        device: torch.device | str = "cpu",
        scatterers: Scatterers | None = None,
        display: Display | None = None,
    ) -> None:
        self.phantom = subject if isinstance(subject, Phantom) else build_phantom(subject)
        self.record = record = self.phantom.record
        self.transducer = transducer or Transducer(blur=record.blur)
        self.device = device = torch.device(device)
        self._plane = Plane(self.phantom, device)
        scatterers = scatterers or make_scatterers(record.speckle_seed)
        amplitude = None if scatterers.amplitude is None else scatterers.amplitude.to(device)
        self._scatterers = Scatterers(scatterers.offsets.to(device), amplitude)
        self._texture = make_texture(record.speckle_seed + 1).to(device)
        self._fibres = fibre_angles(record.pennation).to(device)
        self._tissues = Tissues.of(record, self.transducer, device)
        self._spread = PointSpread(self.transducer, device)
        self.receiver = Receiver(display or Display(gain=record.gain), self.transducer, record.speckle_seed + 2, device)
        self._prepare()

    def _prepare(self) -> None:
        """What depends on the transducer alone."""
        transducer, device = self.transducer, self.device
        lateral, depth = line_positions(transducer.lines), sample_depths(transducer.samples, transducer.depth)
        self._steps = transducer.samples // TISSUE_STEP
        coarse = sample_depths(self._steps, transducer.depth)
        self._lateral = nodes(lateral, _NODE_SPACING[0]).to(device)
        self._depth = nodes(coarse, _NODE_SPACING[1]).to(device)
        width = transducer.elevational_width(self._depth)
        self._elevation = torch.stack([-SUBSLICE * width, 0.0 * width, SUBSLICE * width])
        all_depths, depth = depth.to(device), coarse.to(device)
        density = COMPARTMENT**-3
        volume = transducer.lateral_width(depth) * transducer.elevational_width(depth) * transducer.axial_width(depth)
        # With these the speckle of a tissue and the echo of a plane reflector do not depend on the width of the beam.
        self._speckle_norm = 1.0 / torch.sqrt(density * math.pi**1.5 * volume)
        self._reflection_norm = transducer.pitch / (math.sqrt(2.0 * math.pi) * transducer.lateral_width(all_depths))
        self._touching = 3.0 * torch.exp(-all_depths / 0.0010)
        self._free = 8.0 * torch.exp(-all_depths / 0.0025) * torch.cos(all_depths * (math.pi / 0.0009)) ** 2
        nominal = db(-self.receiver.gain[TISSUE_STEP // 2 :: TISSUE_STEP])
        self._haze = db(_HAZE + self.record.haze) * torch.exp(-depth / _HAZE_REACH) * nominal

    def render(
        self, poses: npt.ArrayLike, contact_force: npt.ArrayLike = 1.0, number: npt.ArrayLike = 0
    ) -> npt.NDArray[np.uint8]:
        """Frames (n, 600, 800) seen at ``poses`` (n, 4, 4) of ``us_probe`` in the patient frame [m].

        Args:
            poses: of the probe; how far its face lies below the skin decides how the tissue is pressed.
            contact_force: [N], one or one a pose; decides how well the transducer couples.
            number: of each frame, one or one a pose; decides the electronic noise.

        Raises:
            UsGridSimError: a pose or force is not finite, a force negative, or a pose no rigid motion, beyond the
                subject's back or deep inside it.
        """
        poses = _as_poses(poses)
        numbers = np.broadcast_to(np.asarray(number, dtype=np.int64), (len(poses),))
        grey = self.receiver.grey(self.echo(poses, contact_force), numbers).cpu().numpy()
        return np.stack([scan_convert(image, self.transducer.depth) for image in grey])

    @torch.inference_mode()
    def echo(self, poses: npt.ArrayLike, contact_force: npt.ArrayLike = 1.0) -> Tensor:
        """Complex echoes (2, n, lines, samples) at the centre frequency, before noise and compensation.

        Amplitude 1 is the speckle of muscle right under the transducer. Arguments and errors as of :meth:`render`.
        """
        poses = _as_poses(poses)
        forces = np.broadcast_to(np.asarray(contact_force, dtype=np.float64), (len(poses),))
        _check(poses, forces)
        placed = torch.from_numpy(poses).float().to(self.device)
        press = self._plane.press(placed, self._lateral)
        if float(press.indentation.max()) > _DEEPEST:
            limit = f"{1e3 * FAR:.0f} mm"
            raise UsGridSimError(f"the probe's face lies {limit} or more below the skin; expected it on the skin")
        passage = self._passage(placed, press)
        coupling = self._coupling(press, torch.from_numpy(forces.copy()).float().to(self.device))
        level = (passage.level + self._haze) * self._speckle_norm
        image = echo(self._scatterers, placed, press, self._lateral, level, self.transducer)
        self._add_reflections(image, passage)
        image = self._spread(image)
        self._reverberate(image, passage)
        return image.mul_(coupling.unsqueeze(-1)).add_(self._ringing(coupling))

    def _passage(self, poses: Tensor, press: Press) -> Passage:
        """Read the tissue at nodes, interpolate, and follow the pulses through it."""
        points = self._plane.points(poses, press, self._lateral, self._depth, self._elevation)
        volume = self._plane.volume
        middle = volume.read(*points[:, :, 1])
        beside = volume.read_bone(*points[:, :, ::2])
        bone = torch.stack([beside[:, 0], middle[Field.BONE], beside[:, 1]], dim=1)
        side = points[1, :, 1] - self.record.shift_y
        texture = read_texture(
            self._texture, self._fibres, soft_tissue(middle), side, points[:, :, 1], self.record.fascicle
        )
        stack = torch.cat([middle.movedim(0, 1), bone, texture.unsqueeze(1)], dim=1)
        size = (self.transducer.lines, self._steps)
        full = functional.interpolate(stack, size=size, mode="bilinear", align_corners=True)
        count = len(Field)
        spacing = TISSUE_STEP * self.transducer.sample_spacing
        return propagate(full[:, :count].movedim(1, 0), full[:, count : count + 3], full[:, -1], self._tissues, spacing)

    def _coupling(self, press: Press, forces: Tensor) -> Tensor:
        """(n, lines) share of the pulse that gets into the tissue and back."""
        gap = -press.indentation.unsqueeze(1)
        gap = functional.interpolate(gap, size=self.transducer.lines, mode="linear", align_corners=True).squeeze(1)
        filled = torch.exp(-(((gap - GEL).clamp(min=0.0) / _GAP) ** 2))
        touched = 1.0 - torch.exp(-forces / _TOUCH)
        return filled * touched.unsqueeze(1)

    def _add_reflections(self, image: Tensor, passage: Passage) -> None:
        """Add the echoes of interfaces at their places, in phase along the array: the angle has been accounted for."""
        found = passage.reflections
        lines, samples = self.transducer.lines, self.transducer.samples
        row = ((found.step + 0.5) * TISSUE_STEP).long().clamp(max=samples - 1)
        strength = found.amplitude * self._reflection_norm[row]
        target = (found.frame * lines + found.line) * samples + row
        image[0].view(-1).index_add_(0, target, strength)

    def _reverberate(self, image: Tensor, passage: Passage) -> None:
        """Add what bone's echo, thrown back by the transducer's face, makes of the line a second time."""
        samples = self.transducer.samples
        delay = TISSUE_STEP * passage.first_bone.int().view(-1, 1)
        source = torch.arange(samples, dtype=torch.int32, device=self.device) - delay
        strength = (_FACE_REFLECTION * passage.bone_echo).view(-1, 1) * (source >= 0)
        start = torch.arange(0, delay.numel() * samples, samples, dtype=torch.int32, device=self.device)
        index = source.clamp_(min=0).add_(start.unsqueeze(1)).view(-1)
        for plane in image.view(2, -1):
            again = plane.index_select(0, index)
            plane.addcmul_(again, strength.view(-1))

    def _ringing(self, coupling: Tensor) -> Tensor:
        """(n, lines, samples) what rings in the transducer and its cover, more where no tissue takes the pulse."""
        free = (1.0 - coupling).unsqueeze(-1)
        return torch.addcmul(self._touching, self._free, free) if bool((free > 1e-3).any()) else self._touching


def _as_poses(poses: npt.ArrayLike) -> Array:
    """(n, 4, 4) of one pose or several."""
    poses = np.asarray(poses, dtype=np.float64)
    if poses.shape[-2:] != (4, 4) or poses.ndim not in (2, 3):
        raise UsGridSimError(f"poses of shape {poses.shape}; expected (4, 4) or (n, 4, 4)")
    return poses.reshape(-1, 4, 4)


def _check(poses: Array, forces: Array) -> None:
    """Refuse what cannot be rendered."""
    if not (np.isfinite(poses).all() and np.isfinite(forces).all()):
        raise UsGridSimError("a probe pose or contact force is not finite; expected metres and newtons")
    if (forces < 0).any():
        raise UsGridSimError(f"contact force {forces.min():.3f} N is negative; expected 0 or more")
    turns = poses[:, :3, :3]
    if np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() > 1e-3 or np.linalg.det(turns).min() < 0:
        raise UsGridSimError(
            "a probe pose is no rigid motion; expected a right-handed rotation in its upper left 3 x 3"
        )
    for pose in poses:
        check_inside(pose[0, 3], pose[1, 3])
