"""Compare simulated frames with a real tracked sequence: the same statistics on both, and a picture side by side.

    python tests/benchmarks/real_frames.py ../shared/data/plus/SpinePhantomFreehand.igs.mha --out docs/images/real.jpg

The real frames are resampled to our pixel size; the simulated ones are those of subjects 0 to 6 over the lumbar spine.
Prints a table in Markdown.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.bmode.statistics import PictureStatistics, histogram_distance, measure
from us_grid_sim.dataset.metaimage import Recording
from us_grid_sim.dataset.synth import cohort_record
from us_grid_sim.geometry import FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH
from us_grid_sim.phantom.subject import JUNCTION_X, contact_pose

PIXEL_MM = PIXEL_SIZE * 1e3


def real_frames(file: Path, spacing: float, face_row: int) -> list[np.ndarray]:
    """The region under the array, at our pixel size."""
    images = list(Recording.open(file).images((False, False)))
    region = np.max(images, axis=0)
    columns = np.flatnonzero((region > 0).mean(axis=0) > 0.5)
    scale = spacing / PIXEL_MM
    cut = [image[face_row:, columns[0] : columns[-1] + 1] for image in images]
    return [cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for image in cut]


def simulated_frames(rows: int, columns: int) -> list[np.ndarray]:
    """Three frames over the lumbar spine of each of seven subjects, cut to the real frames' size."""
    frames = []
    left = (FRAME_WIDTH - round(PROBE_WIDTH / PIXEL_SIZE)) // 2
    middle = left + (round(PROBE_WIDTH / PIXEL_SIZE) - columns) // 2
    for index in range(7):
        renderer = Renderer(cohort_record(0, index))
        record = renderer.record
        for along in (0.03, 0.07, 0.11):
            pose = contact_pose(renderer.phantom, JUNCTION_X + record.shift_x + along, record.shift_y, 1.5)
            frames.append(renderer.render(pose, 1.5)[0][:rows, middle : middle + columns])
    return frames


def table(real: PictureStatistics, ours: PictureStatistics, distance: float) -> str:
    """Both columns in Markdown."""
    rows = [
        ("median grey level", f"{real.median_grey:.0f}", f"{ours.median_grey:.0f}"),
        ("speckle contrast", f"{real.speckle_contrast:.2f}", f"{ours.speckle_contrast:.2f}"),
        ("grain, axial x lateral [mm]", "{:.2f} x {:.2f}".format(*real.grain), "{:.2f} x {:.2f}".format(*ours.grain)),
        ("rise of a bone's surface [mm]", f"{real.edge:.2f}", f"{ours.edge:.2f}"),
        ("shadow over foreground", f"{real.shadow:.2f}", f"{ours.shadow:.2f}"),
        ("columns that show bone", f"{100 * real.bone_columns:.0f} %", f"{100 * ours.bone_columns:.0f} %"),
        ("distance of the histograms [grey levels]", f"{distance:.0f}", ""),
    ]
    return "\n".join(["| | real | simulated |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--spacing", type=float, default=0.0822, help="of the real pixels [mm]")
    parser.add_argument("--face-row", type=int, default=12, help="row of the transducer's face in the real frames")
    parser.add_argument("--out", type=Path, default=Path("real.jpg"), help="picture side by side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    real = real_frames(arguments.file, arguments.spacing, arguments.face_row)
    height = min(real[0].shape[0], 600)
    real = [image[:height] for image in real]
    ours = simulated_frames(*real[0].shape)
    gap = np.full((height, 12), 255, np.uint8)
    tops = [np.hstack([np.hstack([image, gap]) for image in images]) for images in (real[7:20:4], ours[1:20:6])]
    cv2.imwrite(str(arguments.out), np.vstack([tops[0], np.full((12, tops[0].shape[1]), 255, np.uint8), tops[1]]))
    print(table(measure(real, PIXEL_MM), measure(ours, PIXEL_MM), histogram_distance(real, ours)))


if __name__ == "__main__":
    main()
