"""What an evaluation found, as JSON for machines and as tables for people."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from us_nav_agent.evaluation.bootstrap import CONFIDENCE, Summary, mean_of_known
from us_nav_agent.evaluation.metrics import Floats
from us_nav_agent.evaluation.stable_json import to_stable_json
from us_nav_agent.rollout import MAX_ACTIONS, Runs

PUBLISHED = {
    "Classification CNN (DenseNet-121)": (0.5842, 0.5964),
    "V-DQN": (0.5537, 0.1830),
    "M-DQN": (0.4949, 0.3697),
    "MS-DQN": (0.7953, 0.8291),
}
"""Policy correctness and reachability by architecture (Hase et al. 2020, table II; other subjects than ours)."""
_BASELINES = {"oracle": "oracle (limit)", "sweep": "sweep", "random": "random walk"}
_COLUMNS = {
    "policy_correctness": ("correct", ".2%"),
    "reachability": ("reached", ".2%"),
    "path_efficiency": ("efficient", ".2%"),
    "spl": ("SPL", ".2%"),
    "distance_mm": ("mm off", ".1f"),
    "actions_to_goal": ("actions", ".1f"),
    "false_stops": ("stopped elsewhere", ".2%"),
}
"""Heading and format of each metric's column."""


@dataclass(frozen=True)
class Model:
    """What was evaluated.

    Attributes:
        name: of a policy or a baseline.
        sha256: of the policy's weights file; None: a baseline, which has none.
    """

    name: str
    sha256: str | None


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        models: the training seeds of one architecture, or one policy, or one baseline.
        target: that was walked to.
        seed: of the frames drawn in the bins, of the bootstrap, and of a baseline's chance.
        subjects: their names.
        values: each metric of ``metrics.measure``, (models, subjects).
        summaries: each metric over models and subjects.
        baselines: each metric of each baseline over the same subjects, for comparison; without one that is the model.
        runs: of each model, on the subjects in their order; not in the JSON.
    """

    models: tuple[Model, ...]
    target: str
    seed: int
    subjects: tuple[str, ...]
    values: dict[str, Floats]
    summaries: dict[str, Summary]
    baselines: dict[str, dict[str, Summary]]
    runs: tuple[Runs, ...]

    @property
    def label(self) -> str:
        """The names of the models, each once."""
        return ", ".join(dict.fromkeys(model.name for model in self.models))

    @property
    def policy_correctness(self) -> Summary:
        """The paper's first metric (eq. 5)."""
        return self.summaries["policy_correctness"]

    @property
    def reachability(self) -> Summary:
        """The paper's second metric (eq. 6)."""
        return self.summaries["reachability"]

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes. A missing value is null."""
        content = {
            "models": [asdict(model) for model in self.models],
            "target": self.target,
            "seed": self.seed,
            "max_actions": MAX_ACTIONS,
            "subjects": self.subjects,
            "metrics": {
                name: asdict(summary) | {"values": self.values[name].tolist()}
                for name, summary in self.summaries.items()
            },
            "baselines": {
                name: {metric: asdict(summary) for metric, summary in summaries.items()}
                for name, summaries in self.baselines.items()
            },
        }
        return to_stable_json(content)

    def to_markdown(self) -> str:
        """Tables: the paper's with ours in it, every metric by subject, and of several models by model."""
        tables = [self._beside_the_paper(), self._by_subject()]
        if len(self.models) > 1:
            tables.append(self._by_model())
        return "\n".join("".join(f"{line}\n" for line in table) for table in tables)

    def _beside_the_paper(self) -> list[str]:
        """Policy correctness and reachability: published, ours, and of the baselines on our subjects."""
        seeds = f" and {len(self.models)} seeds" if len(self.models) > 1 else ""
        over = f"mean, {CONFIDENCE:.0%} interval over {len(self.subjects)} subjects{seeds}"
        ours = (self.policy_correctness, self.reachability)
        published = PUBLISHED if self.target == "sacrum" else {}
        return [
            *_head(f"architecture, to {self.target}", ["policy correctness", "reachability"]),
            *(_line(f"{name}, Hase et al. 2020", map("{:.2%}".format, pair)) for name, pair in published.items()),
            _line(
                f"{self.label} ({over})",
                (f"{one.mean:.2%} ({one.low:.2%} to {one.high:.2%})" for one in ours),
            ),
            *(
                _line(_BASELINES[name], (f"{of[one].mean:.2%}" for one in ("policy_correctness", "reachability")))
                for name, of in self.baselines.items()
            ),
        ]

    def _by_subject(self) -> list[str]:
        """Every metric of each subject, mean over the models, and over all subjects."""
        by_subject = {name: mean_of_known(values, axis=0) for name, values in self.values.items()}
        return [
            *_head("subject", (heading for heading, _ in _COLUMNS.values())),
            *(
                _line(subject, (_shown(name, by_subject[name][index]) for name in _COLUMNS))
                for index, subject in enumerate(self.subjects)
            ),
            _line("mean", (_shown(name, self.summaries[name].mean) for name in _COLUMNS)),
            _line(f"{CONFIDENCE:.0%} from", (_shown(name, self.summaries[name].low) for name in _COLUMNS)),
            _line(f"{CONFIDENCE:.0%} to", (_shown(name, self.summaries[name].high) for name in _COLUMNS)),
            _line("median", (_shown(name, self.summaries[name].median) for name in _COLUMNS)),
            *(
                _line(_BASELINES[baseline], (_shown(name, of[name].mean) for name in _COLUMNS))
                for baseline, of in self.baselines.items()
            ),
        ]

    def _by_model(self) -> list[str]:
        """Every metric of each model, named with the start of its SHA-256, mean over the subjects."""
        by_model = {name: mean_of_known(values, axis=1) for name, values in self.values.items()}
        return [
            *_head("model", (heading for heading, _ in _COLUMNS.values())),
            *(
                _line(
                    f"{model.name} {(model.sha256 or '')[:8]}",
                    (_shown(name, by_model[name][index]) for name in _COLUMNS),
                )
                for index, model in enumerate(self.models)
            ),
        ]


def _head(first: str, headings: Iterable[str]) -> list[str]:
    """The first two lines of a table."""
    names = [first, *headings]
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]


def _line(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _shown(metric: str, value: float) -> str:
    """A metric's value as people read it; a dash where it has none."""
    return "-" if math.isnan(value) else format(value, _COLUMNS[metric][1])
