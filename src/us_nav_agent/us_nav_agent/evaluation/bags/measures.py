"""What is measured of a recording and of a policy on it: pure functions; NaN where there is nothing to measure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import Action, Bin, goal_distance

from us_nav_agent.bags.bag import LEAP
from us_nav_agent.evaluation.bags.recording import Floats, ProbeTrack, RecordedDecision, Stamps
from us_nav_agent.evaluation.bags.rerun import Run

Goals = tuple[Bin, ...]
NAN = float("nan")


def is_correct(position: Bin, action: Action, goals: Goals) -> bool:
    """Whether an action moves closer to the goal, or stops in a goal bin (Hase et al. 2020, eq. 5)."""
    if action is Action.STOP:
        return position in goals
    return goal_distance(position.moved(action), goals) < goal_distance(position, goals)


def policy_measures(runs: Sequence[Run], goals: Goals) -> dict[str, float]:
    """Correctness and reachability, recorded and of the policy, and how far both agree.

    A run counts up to its first stop, each policy's own. Correctness is eq. 5 of Hase et al. 2020, the mean over runs
    of correct actions over actions; reachability eq. 6, the share of runs whose stop was in a goal bin. Of the policy
    both are on the recorded path, which it might not have taken.
    """
    recorded = [[(look.position, look.recorded.action) for look in run if look.recorded is not None] for run in runs]
    decided = [[(look.position, look.decided.action) for look in run if look.decided is not None] for run in runs]
    pairs = _pairs(runs)
    found = {"agreement": float(np.mean([ours is theirs for theirs, ours in pairs])) if pairs else NAN}
    for name, acted in (("recorded_", recorded), ("", decided)):
        found[f"{name}policy_correctness"], found[f"{name}reachability"] = _on_grid(acted, goals)
    return found


def _on_grid(runs: Sequence[Sequence[tuple[Bin | None, Action]]], goals: Goals) -> tuple[float, float]:
    """Correctness and reachability of runs, of those whose places are known."""
    correct, reached = [], []
    for run in runs:
        stops = [number for number, (_, action) in enumerate(run) if action is Action.STOP]
        counted = run[: stops[0] + 1] if stops else run
        known = [(position, action) for position, action in counted if position is not None]
        if not goals or not known:
            continue
        correct.append(np.mean([is_correct(position, action, goals) for position, action in known]))
        reached.append(bool(stops) and counted[-1][0] in goals)
    return (float(np.mean(correct)), float(np.mean(reached))) if correct else (NAN, NAN)


def _pairs(runs: Sequence[Run]) -> list[tuple[Action, Action]]:
    """Recorded and decided action of each frame that has both."""
    return [
        (look.recorded.action, look.decided.action)
        for run in runs
        for look in run
        if look.recorded is not None and look.decided is not None
    ]


def confusion(runs: Sequence[Run]) -> npt.NDArray[np.int64]:
    """How often (5, 5) an action was recorded (row) and another one is decided now (column), in the order of Action."""
    table = np.zeros((len(Action), len(Action)), dtype=np.int64)
    for theirs, ours in _pairs(runs):
        table[theirs, ours] += 1
    return table


def latency_measures(decisions: Sequence[RecordedDecision], stamps: Stamps, times: Stamps) -> dict[str, float]:
    """Percentiles [ms] of the recorded latency, and of decision after frame as the recorder received them.

    Args:
        decisions: recorded.
        stamps: of the frames [ns].
        times: when the frames were received [ns].
    """
    received = dict(zip(stamps.tolist(), times.tolist(), strict=True))
    latency = np.array([decision.latency for decision in decisions], dtype=np.float64)
    delay = np.array([d.time_ns - received[d.stamp_ns] for d in decisions if d.stamp_ns in received], dtype=np.float64)
    return _percentiles("latency", 1e3 * latency) | _percentiles("frame_to_decision", 1e-6 * delay)


def _percentiles(name: str, values: Floats) -> dict[str, float]:
    known = values[np.isfinite(values)]
    return {f"{name}_p{p}_ms": float(np.percentile(known, p)) if known.size else NAN for p in (50, 95, 99)}


def frame_measures(stamps: Stamps, times: Stamps) -> dict[str, float]:
    """Frames, their rate [1/s], and how many are missing in between.

    A gap of n median periods is n - 1 frames that were dropped, by the source, on the way or by the recorder. Where a
    clock jumped there is no telling.
    """
    periods, received = np.diff(stamps), np.diff(times)
    steady = periods[(periods > 0) & (np.abs(periods - received) <= LEAP)]
    if not steady.size:
        return {"frames": float(stamps.size), "frame_rate": NAN, "frames_dropped": NAN}
    usual = float(np.median(steady))
    dropped = np.maximum(np.round(steady / usual) - 1, 0).sum()
    return {"frames": float(stamps.size), "frame_rate": 1e9 / float(steady.mean()), "frames_dropped": float(dropped)}


def force_measures(measured: ProbeTrack, truth: ProbeTrack) -> dict[str, float]:
    """Force and contact: RMSE against the set point in contact and highest force, as measured; the true highest one.

    Force along the beam [N], times [s].
    """
    held = measured.contact & np.isfinite(measured.force) & np.isfinite(measured.set_point)
    error = (measured.force - measured.set_point)[held]
    lost = int((measured.contact[:-1] & ~measured.contact[1:]).sum())
    touched = bool(np.isfinite(measured.force).any())
    return {
        "force_rmse_n": float(np.sqrt(np.mean(error**2))) if error.size else NAN,
        "force_peak_n": _highest(measured.force),
        "true_force_peak_n": _highest(truth.force),
        "time_in_contact_s": _time_in_contact(measured) if touched else NAN,
        "contact_ends": float(lost) if touched else NAN,
    }


def _highest(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else NAN


def _time_in_contact(track: ProbeTrack) -> float:
    """Sum of the times between two states of which the first is in contact [s]; gaps over 1 s are not counted."""
    periods = np.diff(track.stamps)
    counted = track.contact[:-1] & (periods > 0) & (periods <= LEAP)
    return float(periods[counted].sum()) * 1e-9
