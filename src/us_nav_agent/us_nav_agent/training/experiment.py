"""Experiments: what is trained and how, as a YAML file."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from us_grid_sim.geometry import Action
from us_grid_sim.phantom.target import Target

from us_nav_agent.errors import TrainingError
from us_nav_agent.networks.baselines import SMALLEST_INPUT, DenseNetConfig
from us_nav_agent.networks.dueling import ARRAY_ROI, MOVES, PRESETS, NetworkConfig
from us_nav_agent.networks.locator import LocatorConfig
from us_nav_agent.networks.tracker import TrackerConfig

FOLDER = Path(__file__).resolve().parents[1] / "config" / "experiments"


@dataclass(frozen=True)
class StopSettings:
    """How the stop classifier is trained: epochs over the over-sampled frames, batch size and learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class MemorySettings:
    """What the Q network remembers: frames, the current one included, and actions."""

    frames: int
    actions: int


@dataclass(frozen=True)
class DqnSettings:
    """How the Q network is trained, in the terms of stable-baselines3's DQN.

    Attributes:
        steps: environment steps in all.
        environments: environments that are stepped together.
        gradient_steps: updates after each step of all environments.
        batch_size, learning_rate, buffer_size, gamma: as usual.
        n_steps: steps of a return before the network's estimate takes over.
        learning_starts: environment steps before the first update.
        target_update: environment steps between copies to the target network.
        exploration_fraction, final_epsilon: epsilon falls from 1 to the final one in this fraction of the steps.
        alpha: prioritisation.
        evaluate_every: environment steps between evaluations on the validation subjects.
    """

    steps: int
    environments: int
    gradient_steps: int
    batch_size: int
    learning_rate: float
    buffer_size: int
    gamma: float
    n_steps: int
    learning_starts: int
    target_update: int
    exploration_fraction: float
    final_epsilon: float
    alpha: float
    evaluate_every: int


@dataclass(frozen=True)
class ClassificationSettings:
    """How the supervised baseline is trained.

    Attributes:
        input_size: edge of the square picture that the network sees, at least SMALLEST_INPUT [px].
        epochs: over all frames.
        batch_size: at least so many frames, and fewer than twice as many.
        learning_rate: the highest of its one cycle.
    """

    input_size: int
    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class LocatorSettings:
    """How an ensemble of locators is trained.

    Attributes:
        input_size: edge of the square picture that the networks see, at least SMALLEST_INPUT [px].
        members: networks in the ensemble.
        epochs: over all frames, of each member.
        batch_size: at least so many frames, and fewer than twice as many.
        learning_rate: the highest of its one cycle.
    """

    input_size: int
    members: int
    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class TrackerSettings:
    """How a tracker is trained.

    Attributes:
        updates: batches of walks.
        batch_size: walks in a batch.
        learning_rate: the highest of its one cycle.
    """

    updates: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class DqnExperiment:
    """What the experiment file of a DQN says, and its name.

    With ``stop`` it is an MS-DQN: four moves, and a classifier for the stop. Without, the stop is a fifth action:
    V-DQN where it remembers one frame and no action, M-DQN where more. ``variants`` of each training subject are walked
    on beside it.
    """

    name: str
    variants: int
    preset: str
    memory: MemorySettings
    stop: StopSettings | None
    dqn: DqnSettings

    @property
    def network(self) -> NetworkConfig:
        """Shape of the networks."""
        outputs = len(Action) if self.stop is None else MOVES
        return dataclasses.replace(
            PRESETS[self.preset], frames=self.memory.frames, actions=self.memory.actions, outputs=outputs
        )


@dataclass(frozen=True)
class ClassificationExperiment:
    """What the experiment file of a supervised baseline says, and its name."""

    name: str
    classification: ClassificationSettings

    @property
    def network(self) -> DenseNetConfig:
        """Shape of the network."""
        return DenseNetConfig(self.classification.input_size, self.classification.input_size, ARRAY_ROI)


@dataclass(frozen=True)
class BeliefExperiment:
    """What the experiment file of a belief agent says, and its name; ``variants`` of each training subject are learnt
    from beside it.
    """

    name: str
    variants: int
    locator: LocatorSettings
    tracker: TrackerSettings

    @property
    def network(self) -> LocatorConfig:
        """Shape of the networks."""
        return LocatorConfig(
            self.locator.input_size,
            self.locator.input_size,
            ARRAY_ROI,
            widths=(32, 64, 128, 256),
            features=96,
            dropout=0.1,
            members=self.locator.members,
            targets=tuple(target.value for target in Target),
        )

    @property
    def tracker_network(self) -> TrackerConfig:
        """Shape of the tracker."""
        return TrackerConfig(hidden=256, dropout=0.1)


Experiment = DqnExperiment | ClassificationExperiment | BeliefExperiment


_SHARES = {"gamma", "exploration_fraction", "final_epsilon", "alpha"}
_FROM_0 = {"actions"}


def _wanted(name: str, kind: type[int] | type[float]) -> str:
    """What a setting may be, in words."""
    if name in _SHARES:
        return "a number from 0 to 1"
    if name in _FROM_0:
        return "a whole number from 0 up"
    return "a whole number above 0" if kind is int else "a number above 0"


def _fill(kind: type[Any], values: object, file: Path, place: str) -> Any:
    """An instance of a settings class from a mapping with exactly its fields, of their types."""
    fields: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(kind)}
    if not isinstance(values, dict) or set(values) != set(fields):
        given = sorted(map(str, values)) if isinstance(values, dict) else values
        raise TrainingError(f"{file}: {place} has {given}; expected exactly {sorted(fields)}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int if fields[name] is int else int | float):
            valid = False
        else:
            valid = 0 <= value <= 1 if name in _SHARES else 0 < value < math.inf or (name in _FROM_0 and value == 0)
        if not valid:
            raise TrainingError(f"{file}: {place}.{name} is {value!r}; expected {_wanted(name, fields[name])}")
    return kind(**{name: fields[name](value) for name, value in values.items()})


def _variants(content: dict[str, Any], file: Path) -> int:
    """Variants of each training subject."""
    count: object = content["variants"]
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise TrainingError(f"{file}: variants is {count!r}; expected a whole number from 0 up")
    return count


Sized = TypeVar("Sized", ClassificationSettings, LocatorSettings)


def _sized(kind: type[Sized], content: dict[str, Any], file: Path, place: str) -> Sized:
    """The settings of a section, if the picture is large enough for the network."""
    settings: Sized = _fill(kind, content[place], file, place)
    if settings.input_size < SMALLEST_INPUT:
        raise TrainingError(f"{file}: {place}.input_size is {settings.input_size}; expected {SMALLEST_INPUT} or more")
    return settings


def load_experiment(name_or_path: str | Path) -> Experiment:
    """Read an experiment by its name in config/experiments/ or by its path.

    Raises:
        TrainingError: there is no such file, or it has another content than an experiment.
    """
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = FOLDER / f"{name_or_path}.yaml"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise TrainingError(f"no experiment {str(name_or_path)!r}; there is {known}, or name a .yaml file") from None
    except yaml.YAMLError as error:
        raise TrainingError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    keys = set(content) if isinstance(content, dict) else set()
    if keys == {"classification"}:
        return ClassificationExperiment(path.stem, _sized(ClassificationSettings, content, path, "classification"))
    if keys == {"variants", "locator", "tracker"}:
        return BeliefExperiment(
            path.stem,
            _variants(content, path),
            _sized(LocatorSettings, content, path, "locator"),
            _fill(TrackerSettings, content["tracker"], path, "tracker"),
        )
    if keys | {"stop"} != {"variants", "preset", "memory", "stop", "dqn"}:
        problem = (
            "an experiment has exactly the keys variants, preset, memory, dqn (and stop), or classification, or "
            "variants, locator and tracker"
        )
        raise TrainingError(f"{path}: {problem}")
    if content["preset"] not in PRESETS:
        raise TrainingError(f"{path}: preset {content['preset']!r}; there are {', '.join(PRESETS)}")
    return DqnExperiment(
        path.stem,
        _variants(content, path),
        content["preset"],
        _fill(MemorySettings, content["memory"], path, "memory"),
        _fill(StopSettings, content["stop"], path, "stop") if "stop" in keys else None,
        _fill(DqnSettings, content["dqn"], path, "dqn"),
    )
