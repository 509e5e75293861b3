"""Ground truth of a frame: tissue of every pixel, which bone each scan line meets, and whether the sacrum is shown."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH
from us_grid_sim.phantom.plane import Plane, line_positions, sample_depths
from us_grid_sim.phantom.subject import Array, Phantom, Structure
from us_grid_sim.phantom.tissue import Tissue
from us_grid_sim.phantom.volume import Field, classify

GOAL_QUALITY = 0.45
"""A frame shows the sacrum when its view quality is at least this."""


@dataclass(frozen=True)
class FrameTruth:
    """What a frame shows.

    Attributes:
        structure: (lines,) Structure that each scan line meets first; NONE where it meets no bone.
        depth: (lines,) of that bone's surface below the transducer [m]; NaN where there is none.
        quality: of the view of the sacrum, 0 to 1.
    """

    structure: npt.NDArray[np.int64]
    depth: Array
    quality: float

    @property
    def shown(self) -> frozenset[Structure]:
        """The bones that the frame shows."""
        return frozenset(Structure(int(value)) for value in np.unique(self.structure) if value != Structure.NONE)

    @property
    def shows_sacrum(self) -> bool:
        """Whether the sacrum is shown: its view quality reaches GOAL_QUALITY."""
        return self.quality >= GOAL_QUALITY


def frame_truth(phantom: Phantom, pose: Array, lines: int = 96, samples: int = 140) -> FrameTruth:
    """Ground truth of the frame at ``pose`` (4, 4) of ``us_probe`` in the patient frame [m].

    The view quality of the sacrum is the share of scan lines whose first bone it is, times how well the median crest is
    centred: 1 in the middle of the image, 0 at its edge.
    """
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
    share = float((structure == Structure.SACRUM).mean())
    offset = abs(phantom.lateral(float(pose[0, 3]), float(pose[1, 3])))
    quality = share * max(0.0, 1.0 - offset / (PROBE_WIDTH / 2))
    return FrameTruth(structure, torch.where(found, surface, torch.nan).double().numpy(), quality)


def shows_sacrum(phantom: Phantom, pose: Array) -> bool:
    """Whether a frame at ``pose`` shows the sacrum."""
    return frame_truth(phantom, pose).shows_sacrum


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
