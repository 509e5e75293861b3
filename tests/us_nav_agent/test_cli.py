"""The command line: quick to ask for help, errors in one line with the cure, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from us_grid_sim.dataset.synth import synthesize
from us_nav_agent.cli.demo import _fresh_folder
from us_nav_agent.errors import UsNavAgentError


def usnav(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "us_nav_agent.cli.main", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200", **environment}, timeout=120
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    synthesize(root, subjects=[0], frames_per_sweep=15, workers=1)
    return root


def test_help_lists_the_commands() -> None:
    shown = usnav("--help")
    assert shown.returncode == 0
    commands = "doctor dataset train evaluate models launch navigate demo console bag calibrate robot robustness"
    for command in commands.split():
        assert command in shown.stdout


def test_help_imports_neither_torch_nor_ros() -> None:
    program = (
        "import sys, us_nav_agent.cli.main\n"
        "heavy = {'torch', 'rclpy', 'stable_baselines3', 'matplotlib'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dataset", "info", "/nowhere"), "/nowhere"),
        (("dataset", "view", "/nowhere/x.txt"), "/nowhere/x.txt"),
        (("evaluate", "nothing"), "no model 'nothing' in "),
        (("evaluate", "msdqn-lite", "random"), "random is a baseline; evaluate it alone"),
        (("evaluate", "msdqn-lite", "msdqn-lite"), "stands twice; name each seed once"),
        (("evaluate", "oracle", "--data", "/nowhere"), "/nowhere"),
        (("train", "nothing"), "no experiment 'nothing'; there is belief, densenet, mdqn_lite"),
        (("launch", "nothing.yaml"), "nothing.yaml: no such launch file"),
        (("launch", "grid", "word"), "argument 'word'; expected name:=value"),
        (("launch", "grid", "x:=1"), "no argument x; there are bag, model, patient_file"),
        (("launch", "grid"), "argument patient_file (patient file of the subject"),
    ],
)
def test_an_error_is_one_line_that_says_what_would_be_right(words: tuple[str, ...], message: str) -> None:
    if words[0] == "launch" and words[1] == "grid":
        pytest.importorskip("us_nav_interfaces", reason="the launch package is not built: run `make setup`")
    done = usnav(*words)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_debug_shows_the_traceback() -> None:
    done = usnav("--debug", "train", "nothing")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_ctrl_c_says_that_nothing_finished_is_lost() -> None:
    program = (
        "import sys, us_nav_agent.cli.main as cli\n"
        "def interrupted(): raise KeyboardInterrupt\n"
        "cli.app.command('wait')(interrupted)\n"
        "sys.argv = ['usnav', 'wait']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "the same command goes on from there" in " ".join(done.stderr.split())


def test_wrong_usage_has_a_status_of_its_own() -> None:
    assert usnav("dataset", "synth", "--subjects", "0").returncode == 2


def test_info_says_what_a_data_set_holds(data: Path) -> None:
    shown = usnav("dataset", "info", data)
    assert shown.returncode == 0
    assert "Virtual000" in shown.stdout
    assert "train" in shown.stdout
    assert "165" in shown.stdout


def test_view_draws_a_subject(data: Path, tmp_path: Path) -> None:
    import cv2

    file = tmp_path / "subject.png"
    assert usnav("dataset", "view", data / "Patient_files" / "Virtual000.txt", "--out", file).returncode == 0
    picture = cv2.imread(str(file))
    assert picture.shape[0] > 500
    assert picture.std() > 30


def test_evaluate_leaves_the_result_and_its_pictures(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    done = usnav("evaluate", tiny_model, "--data", data, "--split", "train", "--out", tmp_path / "out")
    assert done.returncode == 0
    written = {"evaluation.json", "evaluation.md", "reachability.png", "reliability.png", "run.png", "values.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == written
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (content["models"][0]["name"], content["subjects"]) == ("tiny", ["Virtual000"])
    for words in ("MS-DQN, Hase et al. 2020", "tiny (mean, 95%", "Virtual000"):
        assert words in done.stdout


def test_evaluate_measures_a_baseline_that_looks_at_no_frame(data: Path, tmp_path: Path) -> None:
    assert usnav("evaluate", "oracle", "--data", data, "--split", "train", "--out", tmp_path).returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"evaluation.json", "evaluation.md", "reachability.png"}
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["metrics"]["path_efficiency"]["mean"] == 1.0


def test_models_are_listed_and_a_corrupt_one_is_said(tmp_path: Path) -> None:
    from us_nav_agent.policy import models_folder

    for file in models_folder().glob("msdqn-lite.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    good = usnav("models", USNAV_MODELS_DIR=str(tmp_path))
    assert good.returncode == 0
    assert "msdqn-lite" in good.stdout
    weights = tmp_path / "msdqn-lite.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    bad = usnav("models", USNAV_MODELS_DIR=str(tmp_path))
    assert bad.returncode == 1
    assert "corrupt" in bad.stdout


def test_doctor_says_what_is_found() -> None:
    shown = usnav("doctor")
    assert "Python" in shown.stdout
    assert "torch" in shown.stdout


def test_the_demo_replaces_an_earlier_demo_and_touches_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert _fresh_folder(out) == out
    (out / "run.png").write_text("old")
    _fresh_folder(out)
    assert list(out.iterdir()) == []
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UsNavAgentError, match="holds other things than an earlier demo"):
        _fresh_folder(out)
    assert (out / "thesis.txt").read_text() == "mine"
