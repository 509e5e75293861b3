"""Draw twelve named views of a virtual subject: `python tests/benchmarks/views.py --out docs/images/views.jpg`."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.synth import cohort_record
from us_grid_sim.geometry import FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH
from us_grid_sim.phantom.record import LEVELS
from us_grid_sim.phantom.spine import lay_out
from us_grid_sim.phantom.subject import JUNCTION_X, contact_pose

WIDTH = round(PROBE_WIDTH / PIXEL_SIZE)
LEFT = (FRAME_WIDTH - WIDTH) // 2


def places(renderer: Renderer) -> dict[str, tuple[float, float]]:
    """(s, t) of each view in the anatomical frame [m]."""
    layout = lay_out(renderer.record)
    third, fifth = (layout.vertebrae[LEVELS.index(name)] for name in ("L3", "L5"))
    length = layout.sacrum_length
    return {
        "S2": (layout.sacrum_s[-1] - 0.39 * length, 0.0),
        "S4": (layout.sacrum_s[-1] - 0.74 * length, 0.0),
        "L5 spinous process": (fifth.place(-10, 0, -40)[0], 0.0),
        "L3 spinous process": (third.place(-10, 0, -45)[0], 0.0),
        "L3 laminae and facets": (third.place(8, 0, -25)[0], 0.0),
        "L3 transverse process": (third.place(5, 0, -12)[0], 0.035),
        "interspace L3-L4": (third.place(-26, 0, -30)[0], 0.0),
        "lateral muscle": (third.place(0, 0, -30)[0], 0.050),
        "flank": (third.place(0, 0, -30)[0], 0.095),
        "iliac crest": (0.005, 0.075),
        "posterior iliac spine, SI joint": (-0.040, 0.045),
        "buttock": (-0.085, 0.065),
    }


def main() -> None:
    """Render and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=int, default=30, help="of the subject in the cohort of seed 0")
    parser.add_argument("--out", type=Path, default=Path("views.jpg"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    renderer = Renderer(cohort_record(0, arguments.index))
    record, pictures = renderer.record, []
    cosine, sine = np.cos(record.rotation), np.sin(record.rotation)
    for name, (s, t) in places(renderer).items():
        x, y = cosine * s - sine * t, sine * s + cosine * t
        pose = contact_pose(renderer.phantom, JUNCTION_X + record.shift_x + x, record.shift_y + y, 1.5)
        picture = cv2.copyMakeBorder(renderer.render(pose, 1.5)[0][:, LEFT : LEFT + WIDTH], 44, 0, 0, 12, 0, value=0)
        pictures.append(cv2.putText(picture, name, (4, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.75, 255, 1, cv2.LINE_AA))
    sheet = np.vstack([np.hstack(pictures[first : first + 4]) for first in range(0, 12, 4)])
    cv2.imwrite(str(arguments.out), cv2.resize(sheet, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
