"""Measure the B-mode renderer: its speed and memory, its physics, and its peers.

    python tests/benchmarks/bmode.py speed      frames/s of a single moving probe, time and memory of a new subject
    python tests/benchmarks/bmode.py parts      where the time of a frame goes
    python tests/benchmarks/bmode.py physics    speckle, attenuation, point targets
    python tests/benchmarks/bmode.py sonosk     times faster than SonoSK on a comparable frame (pip install sonosk)
    python tests/benchmarks/bmode.py pymust     likewise than PyMUST (pip install pymust; about five minutes)

The last line is a JSON object for tools/figures.py. Where a GPU is at hand, `speed` prints its batched rate too.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.synth import cohort_record, sample_sweep
from us_grid_sim.errors import SourceError
from us_grid_sim.geometry import DEPTH, PROBE_WIDTH
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.sources.live import LiveFrames
from us_grid_sim.sources.phantom import Look

SCATTERERS = 50_000
"""In the peers' frame, as in the yardstick of one plane wave over 50 x 70 mm."""


def report(text: str) -> None:
    """Print what people read, apart from the figures."""
    print(text, file=sys.stderr)


def memory_mb(peak: bool = False) -> float:
    """Resident memory of this process now, or at its highest [MB]."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def path_of(renderer: Renderer, frames: int) -> list[tuple[np.ndarray, float]]:
    """Poses and forces along a simulated sweep over the spine."""
    sweep = sample_sweep(renderer.record, 5, frames)
    views = zip(sweep.x, sweep.y, sweep.contact_force, sweep.tilt, sweep.pitch, sweep.yaw, strict=True)
    return [(contact_pose(renderer.phantom, *view), float(view[2])) for view in views]


def frame_seconds(renderer: Renderer, frames: int = 200) -> list[float]:
    """Seconds of each frame of a single probe that moves along the spine."""
    path = path_of(renderer, frames)
    renderer.render(path[0][0], path[0][1])
    seconds = []
    for number, (pose, force) in enumerate(path):
        started = time.perf_counter()
        renderer.render(pose, force, number)
        seconds.append(time.perf_counter() - started)
    return seconds


def live_rate(renderer: Renderer, frames: int = 400) -> float:
    """Frames a second of a single probe that moves along the spine, as the live source makes them: in order, by two
    processes.
    """
    path = [Look(pose, force) for pose, force in path_of(renderer, 200)]
    delivered: list[int] = []
    errors: list[SourceError] = []
    live = LiveFrames(lambda pixels, stamp: delivered.append(stamp), errors.append)
    live.show(renderer.phantom)
    started = time.perf_counter()
    for number in range(frames):
        while not live.ask(path[number % len(path)], number):
            time.sleep(2e-3)
    while len(delivered) + len(errors) < frames and time.perf_counter() < started + 60.0:
        time.sleep(2e-3)
    seconds = time.perf_counter() - started
    live.close()
    if delivered != list(range(frames)):
        raise SystemExit(f"the live source went wrong: {errors[:1] or 'frames out of order'}")
    return frames / seconds


def speed() -> dict[str, float]:
    """Frames a second, time to the first frame of a new subject, memory of a subject."""
    Renderer(cohort_record(1, 0)).render(np.eye(4))  # load what loads once
    before, record = memory_mb(), cohort_record(0, 29)
    started = time.perf_counter()
    renderer = Renderer(record)
    renderer.render(np.eye(4))
    first = time.perf_counter() - started
    memory = memory_mb() - before
    rate = live_rate(renderer)
    torch.set_num_threads(1)
    seconds = frame_seconds(renderer)
    slow = statistics.quantiles(seconds, n=20)[-1]
    report(f"one core: {1e3 * statistics.median(seconds):.1f} ms a frame, {1e3 * slow:.1f} ms at 95 %")
    report(f"peak memory of the process {memory_mb(peak=True):.0f} MB")
    if torch.cuda.is_available():
        report(f"GPU, batches of 64: {gpu_rate(record):.0f} frames/s")
    return {"bmode_fps": round(rate, 1), "subject_build_seconds": round(first, 2), "subject_memory_mb": round(memory)}


def gpu_rate(record: object) -> float:
    """Frames a second on the GPU in batches of 64, up to the grey levels of the lines."""
    renderer = Renderer(record, device="cuda")  # type: ignore[arg-type]
    path = path_of(renderer, 64)
    poses, forces = np.stack([pose for pose, _ in path]), np.array([force for _, force in path])
    numbers = np.arange(64)
    renderer.receiver.grey(renderer.echo(poses, forces), numbers)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        renderer.receiver.grey(renderer.echo(poses, forces), numbers)
    torch.cuda.synchronize()
    return 640.0 / (time.perf_counter() - started)


def parts() -> dict[str, float]:
    """Milliseconds of each part of a frame on one thread."""
    from us_grid_sim.bmode import propagation, render, scatterers
    from us_grid_sim.phantom.volume import Volume

    torch.set_num_threads(1)
    taken: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*arguments: object, **named: object) -> object:
            started = time.perf_counter()
            result = function(*arguments, **named)
            taken.setdefault(name, []).append(time.perf_counter() - started)
            return result

        return wrapper

    for place, name in (
        (Volume, "read"),
        (Volume, "read_bone"),
        (render, "read_texture"),
        (render, "propagate"),
        (render, "echo"),
        (render, "scan_convert"),
        (propagation, "soft_tissue"),
        (propagation, "_soft_borders"),
        (scatterers, "_near_cells"),
        (scatterers, "_places"),
        (scatterers, "_add_up"),
    ):
        setattr(place, name, timed(name, getattr(place, name)))
    renderer = Renderer(cohort_record(0, 29))
    for name in ("_spread", "_passage", "_reverberate"):
        setattr(renderer, name, timed(name, getattr(renderer, name)))
    renderer.receiver.grey = timed("grey", renderer.receiver.grey)  # type: ignore[method-assign,assignment]
    taken["a frame"] = frame_seconds(renderer)
    for name, seconds in sorted(taken.items(), key=lambda item: -sum(item[1])):
        report(f"{name:16s} {1e3 * sum(seconds) / len(taken['a frame']):6.2f} ms a frame")
    return {}


def physics() -> dict[str, float]:
    """Speckle SNR, error of the attenuation, worst error of point targets."""
    from support.media import block
    from support.physics import attenuation, point_target, speckle_snr
    from us_grid_sim.phantom.tissue import ACOUSTICS, Tissue

    muscle = Renderer(block())
    set_to = ACOUSTICS[Tissue.ERECTOR_SPINAE].attenuation
    errors = [1e3 * point_target(depth).error for depth in (0.008, 0.012, 0.02, 0.03, 0.04, 0.055, 0.065)]
    return {
        "speckle_snr": round(speckle_snr(muscle), 3),
        "attenuation_error_percent": round(100.0 * abs(attenuation(muscle) / set_to - 1.0), 2),
        "point_target_error_mm": round(max(errors), 3),
    }


def on_one_core() -> None:
    """Hold this process, peers and ourselves, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)


def our_frame() -> float:
    """Median seconds of one of our frames."""
    return statistics.median(frame_seconds(Renderer(cohort_record(0, 29)), 60))


def _cloud() -> np.ndarray:
    """Scatterers (n, 3) over the image, within 2 mm of its plane [m]: x along the array, y out of plane, z depth."""
    low, high = (-PROBE_WIDTH / 2, -0.002, 0.002), (PROBE_WIDTH / 2, 0.002, DEPTH)
    return np.random.default_rng(0).uniform(low, high, (SCATTERERS, 3))


def sonosk() -> dict[str, float]:
    """How many times faster a frame is than one plane wave of SonoSK with beamforming."""
    from sonosk import imaging, transducer

    on_one_core()
    array = transducer.linear_array(128, PROBE_WIDTH / 128, dx=2e-4)
    wave, pulse, place = imaging.Transmit.plane(), imaging.Pulse(5.5e6, 0.6), _cloud()
    x, z = np.linspace(-PROBE_WIDTH / 2, PROBE_WIDTH / 2, 160), np.linspace(0.001, DEPTH, 600)
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        result = imaging.simulate(array, wave, place, np.ones(SCATTERERS), pulse, depth=DEPTH)
        simulated = time.perf_counter()
        signals, rate = result[0], result[1]
        imaging.log_compress(imaging.beamform(signals, rate, array, wave, x, z))
        taken.append((simulated - started, time.perf_counter() - simulated))
    simulation, beamforming = (statistics.median(part) for part in zip(*taken, strict=True))
    ours = our_frame()
    report(f"SonoSK {simulation:.2f} s and {beamforming:.2f} s of beamforming, ours {1e3 * ours:.1f} ms")
    return {"bmode_vs_sonosk": round((simulation + beamforming) / ours, 1)}


def pymust() -> dict[str, float]:
    """How many times faster a frame is than one plane wave of PyMUST, without its beamforming."""
    import pymust as must

    on_one_core()
    parameters = must.getparam("L11-5v")
    parameters.fc, parameters.Nelements, parameters.pitch = 5.5e6, 128, PROBE_WIDTH / 128
    parameters.kerf, parameters.width = 0.1 * parameters.pitch, 0.9 * parameters.pitch
    place = _cloud()
    started = time.perf_counter()
    must.simus(place[:, 0], place[:, 2], np.ones(SCATTERERS), np.zeros((1, 128)), parameters)
    peer = time.perf_counter() - started
    ours = our_frame()
    report(f"PyMUST {peer:.0f} s, ours {1e3 * ours:.1f} ms")
    return {"bmode_vs_pymust": round(peer / ours)}


def main() -> None:
    """Measure what the command line names and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = {function.__name__: function for function in (speed, parts, physics, sonosk, pymust)}
    parser.add_argument("what", choices=list(what))
    print(json.dumps(what[parser.parse_args().what]()))


if __name__ == "__main__":
    main()
