"""How well the confidence of a model tells frames like its training from others.

    usnav dataset synth --out data/cohort
    python tests/benchmarks/abstention.py --model belief

Each of the test subjects' frames, and each of the others, is the second frame of a run that began with a frame of a
test subject. Others are dark frames (the picture at 2 to 15 % of its brightness, the probe in the air), the first frame
once more (frozen), other organs, and a real sequence where it is there (``--real``). A figure is the area under the
curve of true against false alarms, by confidence; the scoreboard has the lowest of the four.

The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.organs import organ_frame
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.layout import read_subject, subjects_of
from us_grid_sim.dataset.synth import nearest_sweep, read_record, sweep_pose
from us_grid_sim.sources.metaimage import MetaImageSource
from us_grid_sim.sources.picture import Picture
from us_nav_agent.policy import Policy, load_policy

Frames = Sequence[npt.NDArray[np.uint8]]

COUNT = 200
"""Frames of each kind."""
REAL = Path(__file__).parents[3] / "shared" / "data" / "plus" / "SpinePhantomFreehand.igs.mha"


def known_frames(data: Path, rng: np.random.Generator) -> Frames:
    """Frames of the test subjects, any of those that the bins use."""
    subjects = [read_subject(file) for file in subjects_of(data, "test")]
    chosen = (subjects[number] for number in rng.integers(len(subjects), size=COUNT))
    return [subject.frame(int(rng.choice(subject.bins.ravel()))) for subject in chosen]


def air_frames(data: Path, rng: np.random.Generator) -> Frames:
    """Frames of the first test subject with the probe a centimetre above the skin."""
    file = subjects_of(data, "test")[0]
    record, frames_per_sweep = read_record(data, file.stem)
    renderer = Renderer(record)
    held = nearest_sweep(record, frames_per_sweep, read_subject(file).bins)
    poses = np.stack([sweep_pose(renderer.phantom, held, int(state)) for state in rng.integers(165, size=COUNT // 4)])
    poses[:, :3, 3] -= 0.010 * poses[:, :3, 2]
    return [frame for number, pose in enumerate(poses) for frame in renderer.render(pose, 0.0, number)]


def dimmed(frames: Frames, rng: np.random.Generator) -> Frames:
    """The frames at 2 to 15 % of their brightness."""
    return [np.rint(frame * rng.uniform(0.02, 0.15)).astype(np.uint8) for frame in frames]


def real_frames(file: Path) -> Frames:
    """All frames of a recorded sequence, the middle 800 x 600 pixels."""
    source = MetaImageSource(file, Picture("middle"))
    return [frame.pixels for frame in iter(source.read, None)]


def confidences(policy: Policy, before: Frames, frames: Frames) -> npt.NDArray[np.float64]:
    """Confidence (n,) in the decisions on ``frames``, each the second of a run."""
    said = []
    for number, frame in enumerate(frames):
        policy.reset()
        policy.act(before[number % len(before)])
        said.append(policy.act(frame).confidence)
    return np.array(said)


def auroc(known: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Probability that the confidence in a known frame is higher than that in another; equal ones count half."""
    higher = known[:, None] > other
    return float((higher + 0.5 * (known[:, None] == other)).mean())


def main() -> None:
    """Measure and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/cohort"))
    parser.add_argument("--model", default="belief")
    parser.add_argument("--real", type=Path, default=REAL, help="a tracked MetaImage sequence")
    arguments = parser.parse_args()
    policy, rng = load_policy(arguments.model), np.random.default_rng(0)
    before, frames = known_frames(arguments.data, rng), known_frames(arguments.data, rng)
    others = {
        "dark": [*dimmed(frames, rng), *air_frames(arguments.data, rng)],
        "frozen": before,
        "organ": [organ_frame(rng) for _ in range(COUNT)],
    }
    if arguments.real.exists():
        others["real"] = real_frames(arguments.real)
    else:
        print(f"no {arguments.real}: measured without a real sequence", file=sys.stderr)
    known = confidences(policy, before, frames)
    print(f"known: median {np.median(known):.2f}, 5 % below {np.quantile(known, 0.05):.2f}", file=sys.stderr)
    found = {}
    for name, kind in others.items():
        said = confidences(policy, before, kind)
        found[name] = auroc(known, said)
        print(f"{name}: {found[name]:.4f}, median {np.median(said):.2f}, {len(said)} frames", file=sys.stderr)
    print(json.dumps({"ood_auroc": round(min(found.values()), 4)}))


if __name__ == "__main__":
    main()
