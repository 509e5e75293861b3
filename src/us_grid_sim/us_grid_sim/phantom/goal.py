"""Ground truth of a frame: tissue of every pixel, which bone each scan line meets, and which targets are shown.

The view quality of a target is the share of the scan lines whose first bone belongs to it, times how well it is
centred: 1 in the middle of the image, 0 at its edge. A frame shows the target when that reaches GOAL_QUALITY.

- **Sacrum**: the share of all lines; centred is the spine's axis.
- **L5, L4, L3**: what a sonographer calls the transverse view of a vertebra, its spinous process over its laminae. Half
  of the share counts for the lines that meet a spinous process, half for all other lines that meet bone, since beside
  the laminae articular processes of the neighbours are in view; centred is the spine's midline. The process names the
  vertebra: where the plane passes between two processes, or most of what it cuts is another vertebra's, the quality
  is 0.
- **Sacroiliac joints**: the share of the lines that meet sacrum or ilium, the ilium outwards of the sacrum and nothing
  else between; centred is the middle of the gap. Where they lie further apart than _JOINT_REACH, the quality is 0.

A frame that shows the sacrum shows nothing else: the process of L5 may hang over it. Of the variants, a fifth vertebra
that has become part of the sacrum remains L5 (it has its own process and laminae) and its wing is no sacrum to the
joint; an open arch of S1 is sacrum as far as lines meet it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import DEPTH, FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH, Bin
from us_grid_sim.phantom.plane import Plane, line_positions, sample_depths
from us_grid_sim.phantom.spine import lay_out
from us_grid_sim.phantom.subject import Array, Phantom, Structure, anatomical
from us_grid_sim.phantom.target import Target
from us_grid_sim.phantom.tissue import Tissue
from us_grid_sim.phantom.volume import Field, classify

GOAL_QUALITY = 0.45
"""A frame shows a target when its view quality is at least this."""
_PROCESS_RISE = 0.010
"""Bone this much nearer to the transducer than a frame's median bone is a spinous process [m]: the articular processes
stand up to 9 mm behind the laminae, the spinous processes 20 mm and more (``vertebra``)."""
_JOINT_REACH = 0.018
"""Farthest that the edges of sacrum and ilium lie apart in the image of their joint [m]. Beyond that there lies between
them, across the beam, the greater sciatic notch below the joint, or, along it, the step from the crest to the ala."""

_VERTEBRAE = {Target.L5: Structure.L5, Target.L4: Structure.L4, Target.L3: Structure.L3}
_OUTWARDS = {Target.SACROILIAC_LEFT: -1, Target.SACROILIAC_RIGHT: 1}
"""Step through the scan lines that leads from the midline to the joint."""


@dataclass(frozen=True, order=True)
class View:
    """How well a frame shows a target; views are ordered by their worth as a goal.

    Attributes:
        quality: of the view, 0 to 1.
        trace: the share of all lines that meet the target times how well it is centred, 0 to 1, also where the rule
            refuses the view (no spinous process, bones too far apart).
    """

    quality: float
    trace: float


@dataclass(frozen=True)
class FrameTruth:
    """What a frame shows.

    Attributes:
        structure: (lines,) Structure that each scan line meets first; NONE where it meets no bone.
        depth: (lines,) of that bone's surface below the transducer [m]; NaN where there is none.
        axis: distance of the probe's middle from the spine's straight axis, to the right positive [m].
        midline: the same from the spine's midline, which bends with the lateral curve [m].
        level: vertebral level (``SpineLayout.level``) that the middle of the image cuts at the depth of its nearest
            bone, where there is none halfway down; the plane leans as the skin does.
    """

    structure: npt.NDArray[np.int64]
    depth: Array
    axis: float
    midline: float
    level: float

    @property
    def shown(self) -> frozenset[Structure]:
        """The bones that the frame shows."""
        return frozenset(Structure(int(value)) for value in np.unique(self.structure) if value != Structure.NONE)

    def shows(self, target: Target) -> bool:
        """Whether the target is shown, by the rule above."""
        if target is not Target.SACRUM and self.shows(Target.SACRUM):
            return False
        return self.view(target).quality >= GOAL_QUALITY

    def view(self, target: Target) -> View:
        """How well the target is shown."""
        if target in _VERTEBRAE:
            return self._vertebra(_VERTEBRAE[target])
        if target in _OUTWARDS:
            return self._joint(_OUTWARDS[target])
        quality = _part(self.structure == Structure.SACRUM) * _centring(self.axis)
        return View(quality, quality)

    def _vertebra(self, bone: Structure) -> View:
        own = self.structure == bone
        if not own.any():
            return View(0.0, 0.0)
        centring = _centring(self.midline)
        trace = _part(own) * centring
        process = _part(own[self._process])
        if process <= 0.5:
            return View(0.0, trace)
        beside = _part(own[(self.structure != Structure.NONE) & ~self._process])
        return View((process + beside) / 2 * centring, trace)

    @cached_property
    def _process(self) -> npt.NDArray[np.bool_]:
        """(lines,) whether a line meets a spinous process; only for frames with bone."""
        return np.asarray(self.depth < np.nanmedian(self.depth) - _PROCESS_RISE)

    def _joint(self, outwards: int) -> View:
        structure, depth = self.structure[::outwards], self.depth[::outwards]
        sacrum, ilium = structure == Structure.SACRUM, structure == Structure.ILIUM
        if not (sacrum.any() and ilium.any()):
            return View(0.0, 0.0)
        inner, outer = int(np.flatnonzero(sacrum)[-1]), int(np.flatnonzero(ilium)[0])
        if outer < inner or (structure[inner + 1 : outer] != Structure.NONE).any():
            return View(0.0, 0.0)
        position = line_positions(len(structure)).double().numpy()
        trace = _part(sacrum | ilium) * _centring(float(position[inner] + position[outer]) / 2)
        apart = np.hypot(position[outer] - position[inner], depth[outer] - depth[inner])
        return View(trace if apart <= _JOINT_REACH else 0.0, trace)


def _part(flags: npt.NDArray[np.bool_]) -> float:
    """The share of the flags that are set; 0 of none."""
    return float(flags.mean()) if len(flags) else 0.0


def _centring(offset: float) -> float:
    """1 in the middle of the image, 0 at its edge, for a lateral offset [m]."""
    return max(0.0, 1.0 - abs(offset) / (PROBE_WIDTH / 2))


def goal_bins(truths: Sequence[FrameTruth]) -> dict[Target, tuple[Bin, ...]]:
    """The goal bins of each target.

    A bin is a goal when its nearest frame shows the target. Where no bin's does, for any target but the sacrum, the
    goal is the one bin with the best view (by quality, then by trace) among those that are no goal of another target;
    so goals never overlap, and every target has one.

    Args:
        truths: of the nearest frame of each bin, by the bin's state.

    Raises:
        UsGridSimError: nothing of a target is seen in any such bin.
    """
    goals = {target: [state for state, truth in enumerate(truths) if truth.shows(target)] for target in Target}
    taken = {state for states in goals.values() for state in states}
    for target in Target:
        if goals[target] or target is Target.SACRUM:
            continue
        views = {state: truth.view(target) for state, truth in enumerate(truths) if state not in taken}
        best = max(views, key=lambda state: views[state])
        if views[best] == View(0.0, 0.0):
            raise UsGridSimError(f"no frame shows anything of {target.value}; expected one that meets its bone")
        goals[target] = [best]
        taken.add(best)
    return {target: tuple(map(Bin.from_state, states)) for target, states in goals.items()}


def frame_truth(phantom: Phantom, pose: Array, lines: int = 96, samples: int = 140) -> FrameTruth:
    """Ground truth of the frame at ``pose`` (4, 4) of ``us_probe`` in the patient frame [m]."""
    distances, points, depth = _plane(phantom, pose, lines, samples)
    bone = distances[Field.BONE]
    inside = bone < 0.0
    first = inside.to(torch.uint8).argmax(dim=-1)
    found = inside.any(dim=-1)
    line = torch.arange(lines)
    before = (first - 1).clamp(min=0)
    part = bone[line, before] / (bone[line, before] - bone[line, first]).clamp(min=1e-9)
    surface = torch.where(first > 0, depth[before] + part * (depth[1] - depth[0]), depth[0])
    place = points[:, line, first]
    nearest = phantom.volume.read_nearest_bone(place[0], place[1], place[2])
    structure = torch.where(found, nearest, int(Structure.NONE)).numpy()
    s, t = anatomical(pose[0, 3], pose[1, 3], phantom.record)
    spine, depths = lay_out(phantom.record), torch.where(found, surface, torch.nan).double().numpy()
    down = pose[:3, 3] + (np.nanmin(depths) if found.any() else DEPTH / 2) * pose[:3, 2]
    cut, _ = anatomical(down[0], down[1], phantom.record)
    return FrameTruth(structure, depths, float(t), float(t - spine.midline(s)), spine.level(float(cut)))


def shows_sacrum(phantom: Phantom, pose: Array) -> bool:
    """Whether a frame at ``pose`` shows the sacrum."""
    return frame_truth(phantom, pose).shows(Target.SACRUM)


def pixel_labels(phantom: Phantom, pose: Array) -> npt.NDArray[np.uint8]:
    """The Tissue (600, 800) of every pixel of the frame at ``pose``; AIR beside the array."""
    width = round(PROBE_WIDTH / PIXEL_SIZE)
    left = (FRAME_WIDTH - width) // 2
    labels = classify(_plane(phantom, pose, width, FRAME_HEIGHT)[0])
    frame = np.full((FRAME_HEIGHT, FRAME_WIDTH), int(Tissue.AIR), np.uint8)
    frame[:, left : left + width] = labels.T.numpy()
    return frame


def _plane(phantom: Phantom, pose: Array, lines: int, samples: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances (Field, lines, samples) and material points (3, lines, samples) of a frame, and its depths [m]."""
    plane = Plane(phantom, torch.device("cpu"))
    poses = torch.from_numpy(np.asarray(pose, dtype=np.float32).reshape(1, 4, 4))
    lateral, depth = line_positions(lines), sample_depths(samples)
    press = plane.press(poses, lateral)
    points = plane.points(poses, press, lateral, depth, torch.zeros(1, samples))[:, 0, 0]
    return plane.volume.read(points[0], points[1], points[2]), points, depth
