"""The curves of a robustness evaluation, as JSON for machines and as tables for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from us_nav_agent.evaluation.bootstrap import CONFIDENCE, Summary
from us_nav_agent.evaluation.metrics import Floats
from us_nav_agent.evaluation.result import Model
from us_nav_agent.evaluation.robustness.conditions import Curve
from us_nav_agent.rollout import MAX_ACTIONS


@dataclass(frozen=True, eq=False)
class MeasuredCurve:
    """A curve and what was found at its levels.

    Attributes:
        curve: what was varied.
        values: each metric and ``bins_shown``, how many bins show the target, (levels, subjects).
        summaries: each metric over the subjects, a summary a level.
    """

    curve: Curve
    values: dict[str, Floats]
    summaries: Mapping[str, Sequence[Summary]]

    def to_content(self) -> dict[str, Any]:
        """What JSON holds of it."""
        curve = self.curve
        levels = [
            {"level": level, "bins_shown": [int(n) for n in self.values["bins_shown"][row]]}
            | {
                metric: asdict(summaries[row]) | {"values": self.values[metric][row].tolist()}
                for metric, summaries in self.summaries.items()
            }
            for row, level in enumerate(curve.levels)
        ]
        return {"name": curve.name, "title": curve.title, "unchanged": curve.unchanged, "levels": levels}

    def to_markdown(self) -> str:
        """A table, a line a level; the unchanged one is bold."""
        head = [
            self.curve.title,
            "reachability",
            "policy correctness",
            "stopped elsewhere",
            "bins that show it, of each subject",
        ]
        lines = [head, ["---"] * len(head)]
        for row, level in enumerate(self.curve.levels):
            shown = f"**{level:g}**" if level == self.curve.unchanged else f"{level:g}"
            cells = [_percent(self.summaries[name][row]) for name in ("reachability", "policy_correctness")]
            bins = ", ".join(f"{count:.0f}" for count in self.values["bins_shown"][row])
            cells += [f"{self.summaries['false_stops'][row].mean:.2%}", bins]
            lines.append([shown, *cells])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """What a robustness evaluation found.

    Attributes:
        model: the policy.
        seed: of what was sampled, and of the bootstrap.
        subjects: their names.
        curves: in the order in which they are shown.
    """

    model: Model
    seed: int
    subjects: tuple[str, ...]
    curves: tuple[MeasuredCurve, ...]

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes."""
        content = {
            "model": asdict(self.model),
            "seed": self.seed,
            "max_actions": MAX_ACTIONS,
            "subjects": self.subjects,
            "curves": [curve.to_content() for curve in self.curves],
        }
        return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """What was measured in a sentence, then a table a curve."""
        model = f"{self.model.name} ({(self.model.sha256 or '')[:8]})"
        over = f"{CONFIDENCE:.0%} bootstrap interval over {', '.join(self.subjects)}"
        sentence = f"{model}, seed {self.seed}: mean and {over}; the unchanged level is bold.\n"
        return "\n".join([sentence, *(curve.to_markdown() for curve in self.curves)])


def _percent(summary: Summary) -> str:
    return f"{summary.mean:.2%} ({summary.low:.2%} to {summary.high:.2%})"
