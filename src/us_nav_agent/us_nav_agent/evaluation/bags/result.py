"""What the evaluation of a bag found, as JSON for machines."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import Action, Bin

from us_nav_agent.evaluation.bags.recording import Recording, SafetyEvent
from us_nav_agent.evaluation.bags.rerun import Run
from us_nav_agent.evaluation.result import Model
from us_nav_agent.evaluation.stable_json import to_stable_json


@dataclass(frozen=True, eq=False)
class BagResult:
    """What the evaluation of a bag found; nothing of it depends on when or where it was made.

    Attributes:
        name: of the bag.
        model: that decided again.
        recorded_models: that decided then; none where nobody did.
        target, seed: of the evaluation.
        goals: bins that show the target; none where the bag does not know them.
        subject: who was examined; empty where that is not known.
        duration: of the recording [s].
        measures: by name; NaN where there is nothing to measure.
        confusion: (5, 5), recorded action (row) against the one decided now (column).
        runs: frame by frame.
        events: faults of the bridge.
        damage: what of the bag could not be read, or not as it was written.
        notes: what else a reader must know: what is missing, taken in place of another, or left out.
    """

    name: str
    model: Model
    recorded_models: tuple[Model, ...]
    target: str
    seed: int
    goals: tuple[Bin, ...]
    subject: str
    duration: float
    measures: dict[str, float]
    confusion: npt.NDArray[np.int64]
    runs: list[Run]
    events: list[SafetyEvent]
    damage: list[str]
    notes: list[str]

    @property
    def same_model(self) -> bool | None:
        """Whether the model is the one that decided then; None where nobody did."""
        return all(one.sha256 == self.model.sha256 for one in self.recorded_models) if self.recorded_models else None

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes. A missing value is null."""
        content = {
            "bag": self.name,
            "model": asdict(self.model),
            "recorded_models": [asdict(one) for one in self.recorded_models],
            "same_model": self.same_model,
            "target": self.target,
            "seed": self.seed,
            "goal_bins": [[goal.row, goal.column] for goal in self.goals],
            "subject": self.subject,
            "duration_s": self.duration,
            "measures": self.measures,
            "confusion": {"actions": [action.name.lower() for action in Action], "counts": self.confusion.tolist()},
            "runs": [[_look(look) for look in run] for run in self.runs],
            "safety_events": [asdict(event) for event in self.events],
            "damage": self.damage,
            "notes": self.notes,
        }
        return to_stable_json(content)


def _look(look: Any) -> dict[str, Any]:
    """One frame of a run as JSON holds it."""
    place, recorded, decided = look.position, look.recorded, look.decided
    return {
        "stamp_ns": look.stamp_ns,
        "bin": None if place is None else [place.row, place.column],
        "recorded": None if recorded is None else recorded.action.name.lower(),
        "decided": None if decided is None else decided.action.name.lower(),
        "recorded_stop_probability": None if recorded is None else recorded.stop_probability,
        "stop_probability": None if decided is None else decided.stop_probability,
    }


def models_of(recording: Recording) -> tuple[Model, ...]:
    """The models that decided while it was recorded, each once."""
    return tuple(dict.fromkeys(Model(one.model, one.sha256) for one in recording.decisions))
