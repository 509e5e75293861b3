"""What an evaluation with the robot in the loop found, as JSON for machines and as tables for people."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from us_grid_sim.dataset.synth import subject_name

from us_nav_agent.evaluation.bootstrap import CONFIDENCE, Summary, summarise
from us_nav_agent.evaluation.closed_loop.measure import GridRecord, RunRecord
from us_nav_agent.evaluation.closed_loop.plan import Settings
from us_nav_agent.evaluation.metrics import Floats
from us_nav_agent.evaluation.result import Model
from us_nav_agent.evaluation.stable_json import to_stable_json
from us_nav_agent.rollout import MAX_ACTIONS

PEAK = 2.5
"""Limit of the force on the patient in every run [N]."""
_COLUMNS = {
    "reachability": ("reached", ".1%"),
    "grid_reachability": ("on the grid", ".1%"),
    "lost_points": ("points lost", ".1f"),
    "policy_correctness": ("correct", ".1%"),
    "actions": ("actions", ".1f"),
    "seconds": ("s a run", ".1f"),
    "seconds_a_step": ("s a step", ".2f"),
    "force_rmse_step_n": ("RMSE stepping [N]", ".2f"),
    "force_rmse_rest_n": ("RMSE at rest [N]", ".2f"),
    "force_peak_n": ("peak [N]", ".2f"),
    "contact_losses": ("contact losses", ".2f"),
    "safety_events": ("safety events", ".2f"),
}
"""Heading and format of each metric; means over a subject's runs, the peak the highest of them."""


@dataclass(frozen=True, eq=False)
class ClosedLoopResult:
    """What was found.

    Attributes:
        model: the policy.
        settings: of the evaluation.
        runs: with the robot, subject by subject, the same number of each.
        grids: each subject on the grid alone.
    """

    model: Model
    settings: Settings
    runs: tuple[RunRecord, ...]
    grids: tuple[GridRecord, ...]

    def of(self, grid: GridRecord) -> list[RunRecord]:
        """A subject's runs."""
        return [run for run in self.runs if run.subject == grid.subject]

    @property
    def names(self) -> list[str]:
        """Of the subjects."""
        return [subject_name(grid.subject) for grid in self.grids]

    @cached_property
    def values(self) -> dict[str, Floats]:
        """Each metric, one value a subject (subjects,); NaN where a metric has none."""
        measured = [_measure(self.of(grid), grid) for grid in self.grids]
        return {name: np.array([one[name] for one in measured]) for name in measured[0]}

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """Each metric over the subjects."""
        return {name: summarise(one[None], self.settings.seed) for name, one in self.values.items()}

    @property
    def safety_events(self) -> int:
        """In all runs."""
        return sum(run.safety_events for run in self.runs)

    @property
    def force_peak(self) -> float:
        """Highest true force of all runs [N]."""
        return max(run.force_peak for run in self.runs)

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes. A missing value is null."""
        content = {
            "model": asdict(self.model),
            "settings": self.settings.content(),
            "max_actions": MAX_ACTIONS,
            "subjects": self.names,
            "metrics": {
                name: asdict(summary) | {"values": self.values[name].tolist()}
                for name, summary in self.summaries.items()
            },
            "safety_events": self.safety_events,
            "force_peak_n": self.force_peak,
            "runs_over_peak": sum(run.force_peak > PEAK for run in self.runs),
            "runs": [_told(run) for run in self.runs],
        }
        return to_stable_json(content)

    def to_markdown(self) -> str:
        """What was measured, the goals, then a table by subject and the runs that failed with the robot alone."""
        return "\n".join([self._sentence(), self._goals(), self._by_subject(), self._lost()])

    def _sentence(self) -> str:
        world = self.settings.disturbances
        hard = [
            "breathing" if world.breathing else "",
            "movement" if world.movement else "",
            f"{world.packet_loss:.1%} of the datagrams lost" if world.packet_loss else "",
            f"sinking away by {1e3 * world.contact_loss:g} mm" if world.contact_loss else "",
        ]
        return (
            f"{self.model.name} ({(self.model.sha256 or '')[:8]}) to {self.settings.target}, seed "
            f"{self.settings.seed}: {len(self.runs)} runs over {len(self.grids)} subjects with the robot in the loop, "
            f"plant {self.settings.plant}, {', '.join(filter(None, hard)) or 'a patient who lies still'}.\n"
        )

    def _goals(self) -> str:
        lost, over = self.summaries["lost_points"], sum(run.force_peak > PEAK for run in self.runs)
        rows = [
            (
                "points of reachability lost",
                "3",
                f"{lost.mean:.1f} ({lost.low:.1f} to {lost.high:.1f})",
            ),
            ("safety events", "0", str(self.safety_events)),
            (f"runs whose force rose above {PEAK} N", "0", f"{over} (highest {self.force_peak:.2f} N)"),
        ]
        return _table(["", "at most", "found"], rows)

    def _by_subject(self) -> str:
        rows = [
            [name, *(_shown(metric, self.values[metric][row]) for metric in _COLUMNS)]
            for row, name in enumerate(self.names)
        ]
        for heading, part in (("mean", "mean"), (f"{CONFIDENCE:.0%} from", "low"), (f"{CONFIDENCE:.0%} to", "high")):
            rows.append([heading, *(_shown(metric, getattr(self.summaries[metric], part)) for metric in _COLUMNS)])
        return _table(["subject", *(heading for heading, _ in _COLUMNS.values())], rows)

    def _lost(self) -> str:
        """The runs whose end the robot changed, and those that it could not finish."""
        rows = []
        for name, grid in zip(self.names, self.grids, strict=True):
            for run in self.of(grid):
                if run.reached != grid.reached[run.start] or run.reason or run.force_peak > PEAK:
                    start = f"{run.start // 15},{run.start % 15}"
                    cells = [
                        _end(run.reached),
                        _end(grid.reached[run.start]),
                        f"{run.force_peak:.2f}",
                        run.reason or "-",
                    ]
                    rows.append([name, start, *cells])
        head = ["subject", "start", "with the robot", "on the grid", "peak [N]", "could not go on"]
        return _table(head, rows) if rows else "Every run ended as on the grid, within the limit of the force.\n"


def _measure(runs: Sequence[RunRecord], grid: GridRecord) -> dict[str, float]:
    """Every metric of one subject, over its runs and over the same starts on the grid."""
    reached, on_grid = _mean(runs, lambda run: run.reached), _mean(runs, lambda run: grid.reached[run.start])
    moved = [run for run in runs if run.moves]
    return {
        "reachability": reached,
        "grid_reachability": on_grid,
        "lost_points": 100.0 * (on_grid - reached),
        "policy_correctness": _mean(runs, lambda run: run.correct / max(run.actions, 1)),
        "grid_policy_correctness": _mean(runs, lambda run: grid.correct[run.start] / grid.actions[run.start]),
        "actions": _mean(runs, lambda run: run.actions),
        "grid_actions": _mean(runs, lambda run: grid.actions[run.start]),
        "seconds": _mean(runs, lambda run: run.seconds),
        "seconds_a_step": _mean(moved, lambda run: (run.seconds - run.contact_seconds) / run.moves),
        "force_rmse_step_n": _mean(runs, lambda run: run.force_rmse_step),
        "force_rmse_rest_n": _mean(runs, lambda run: run.force_rmse_rest),
        "force_peak_n": max(run.force_peak for run in runs),
        "contact_losses": _mean(runs, lambda run: run.contact_losses),
        "safety_events": _mean(runs, lambda run: run.safety_events),
    }


def _mean(runs: Sequence[RunRecord], value: Callable[[RunRecord], float | None]) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = [one for one in map(value, runs) if one is not None]
    return float(np.mean(known)) if known else math.nan


def _told(run: RunRecord) -> dict[str, Any]:
    """What JSON holds of a run: all but the course of its force."""
    content = asdict(run) | {"safety_events": run.safety_events, "subject": subject_name(run.subject)}
    return {name: value for name, value in content.items() if name not in ("force_times", "forces")}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(metric: str, value: float) -> str:
    return "-" if math.isnan(value) else format(value, _COLUMNS[metric][1])


def _end(reached: bool) -> str:
    return "reached" if reached else "missed"
