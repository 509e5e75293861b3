"""Experiments: files that are read to the last key, and refused with what would be right."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from us_nav_agent.errors import TrainingError
from us_nav_agent.training import load_experiment
from us_nav_agent.training.experiment import FOLDER


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_experiment_is_valid(file: Path) -> None:
    experiment = load_experiment(file.stem)
    assert experiment == load_experiment(file)
    assert experiment.name == file.stem


def write(folder: Path, **changes: object) -> Path:
    """The shipped experiment with changes, as ``section__key`` or ``key``; None takes a key out."""
    content = yaml.safe_load((FOLDER / "msdqn_lite.yaml").read_text())
    for name, value in changes.items():
        *section, key = name.split("__")
        place = content[section[0]] if section else content
        if value is None:
            del place[key]
        else:
            place[key] = value
    file = folder / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dqn__stepz": 5}, r"dqn has .*'stepz'.*; expected exactly"),
        ({"dqn__steps": None}, "dqn has .*; expected exactly .*'steps'"),
        ({"variants": -1}, "variants is -1; expected a whole number from 0 up"),
        ({"variants": True}, "variants is True; expected a whole number"),
        ({"variants": None}, "an experiment has exactly the keys variants"),
        ({"extra": 1}, "an experiment has exactly the keys"),
        ({"memory": None}, "an experiment has exactly the keys"),
        ({"memory__frames": 0}, r"memory\.frames is 0; expected a whole number above 0"),
        ({"memory__actions": -1}, r"memory\.actions is -1; expected a whole number from 0 up"),
        ({"stop": 5}, "stop has 5; expected exactly"),
        ({"preset": "huge"}, "preset 'huge'; there are lite, paper"),
        ({"dqn__steps": 1.5}, r"dqn\.steps is 1\.5; expected a whole number above 0"),
        ({"dqn__steps": True}, r"dqn\.steps is True; expected a whole number"),
        ({"dqn__batch_size": 0}, r"dqn\.batch_size is 0; expected a whole number above 0"),
        ({"dqn__learning_rate": -1e-3}, r"dqn\.learning_rate is -0\.001; expected a number above 0"),
        ({"dqn__learning_rate": "fast"}, r"dqn\.learning_rate is 'fast'; expected a number"),
        ({"dqn__learning_rate": float("inf")}, r"dqn\.learning_rate is inf; expected a number above 0"),
        ({"dqn__gamma": 1.5}, r"dqn\.gamma is 1\.5; expected a number from 0 to 1"),
        ({"dqn__gamma": float("nan")}, r"dqn\.gamma is nan; expected a number from 0 to 1"),
    ],
)
def test_a_wrong_experiment_is_named_with_what_would_be_right(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(TrainingError, match=message) as caught:
        load_experiment(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("dqn: [")
    with pytest.raises(TrainingError, match="not YAML"):
        load_experiment(file)


def test_an_unknown_experiment_is_told_from_those_that_there_are() -> None:
    with pytest.raises(TrainingError, match=r"no experiment 'msdqn'; there is .*msdqn_lite"):
        load_experiment("msdqn")


def test_whole_numbers_do_for_numbers(tmp_path: Path) -> None:
    assert asdict(load_experiment(write(tmp_path, dqn__alpha=1)))["dqn"]["alpha"] == 1.0
