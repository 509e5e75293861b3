"""The evaluation with the robot in the loop: which runs, what is kept, what is measured, and the command's default."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from us_grid_sim.envs.loop_run import Disturbances
from us_grid_sim.geometry import BINS, Bin
from us_nav_agent.cli import evaluate as command
from us_nav_agent.errors import UsNavAgentError
from us_nav_agent.evaluation.closed_loop import run as running
from us_nav_agent.evaluation.closed_loop.draw import draw_all
from us_nav_agent.evaluation.closed_loop.measure import GridRecord, RunRecord
from us_nav_agent.evaluation.closed_loop.plan import Job, Settings, sample_jobs
from us_nav_agent.evaluation.closed_loop.result import ClosedLoopResult
from us_nav_agent.evaluation.closed_loop.run import evaluate_closed_loop
from us_nav_agent.evaluation.result import Model

SETTINGS = Settings(29, 2, 2, 0, "sacrum", "mock", Disturbances())
GOAL = Bin(5, 1)


def run_of(job: Job, **changes: Any) -> RunRecord:
    """A run of two moves and a stop in the goal."""
    record = RunRecord(
        subject=job.subject,
        start=job.start.state,
        path=[job.start.state, job.start.state + 1, GOAL.state],
        track=[(0.0, 0.0), (0.02, 0.0), (-0.12, 0.0)],
        actions=3,
        correct=2,
        stopped=True,
        reached=True,
        reason="",
        seconds=9.0,
        contact_seconds=6.0,
        force_rmse_step=0.2,
        force_rmse_rest=0.1,
        force_peak=1.4,
        contact_losses=0,
        air_time=0.0,
        faults=0,
        guard_cuts=0,
        missed_messages=0,
        force_times=[6.0, 6.05],
        forces=[1.0, 1.1],
    )
    return replace(record, **changes)


def grid_of(job: Job) -> GridRecord:
    """All is reached, with two of two actions correct."""
    states = list(range(BINS))
    return GridRecord(job.subject, [GOAL.state], [True] * BINS, [2] * BINS, [2] * BINS, [[state] for state in states])


def result_of(*changes: dict[str, Any]) -> ClosedLoopResult:
    """Two subjects by two starts, the first runs changed."""
    jobs = sample_jobs(SETTINGS)
    runs = [run_of(job, **(changes[n] if n < len(changes) else {})) for n, job in enumerate(jobs)]
    return ClosedLoopResult(Model("toy", "ab" * 32), SETTINGS, tuple(runs), (grid_of(jobs[0]), grid_of(jobs[2])))


def test_the_runs_are_the_seeds_and_more_of_them_leave_the_first_ones_alone() -> None:
    jobs = sample_jobs(SETTINGS)
    assert jobs == sample_jobs(SETTINGS) != sample_jobs(replace(SETTINGS, seed=1))
    more = sample_jobs(replace(SETTINGS, starts=5, subjects=3))
    assert jobs == [*more[:2], *more[5:7]]
    every = sample_jobs(replace(SETTINGS, starts=BINS, subjects=1))
    assert len({job.start for job in every}) == len({job.name for job in every}) == BINS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": 0}, "0 starts a subject; expected 1 to 165"),
        ({"starts": 166}, "166 starts"),
        ({"subjects": 0}, "0 sub"),
    ],
)
def test_an_evaluation_of_nothing_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(UsNavAgentError, match=message):
        replace(SETTINGS, **changes)


def test_what_is_lost_is_the_difference_on_the_same_starts() -> None:
    result = result_of({"reached": False, "correct": 0})
    assert result.values["reachability"].tolist() == [0.5, 1.0]
    assert result.values["lost_points"].tolist() == [50.0, 0.0]
    assert result.summaries["lost_points"].mean == 25.0
    assert result.values["policy_correctness"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert result.values["grid_policy_correctness"].tolist() == [1.0, 1.0]
    assert "| Virtual029 |" in result.to_markdown() and "missed" in result.to_markdown()


def test_time_is_a_run_and_the_step_without_the_first_contact() -> None:
    result = result_of()
    assert result.values["seconds"].tolist() == [9.0, 9.0]
    assert result.values["seconds_a_step"].tolist() == [1.5, 1.5]
    alone = result_of({"actions": 1}, {"actions": 1})
    assert json.loads(alone.to_json())["metrics"]["seconds_a_step"]["values"] == [None, 1.5], "no step, no time of one"


@pytest.mark.parametrize(
    ("changes", "events"),
    [({}, 0), ({"faults": 2, "reason": "force"}, 2), ({"reason": "probe step failed: contact lost"}, 1)],
)
def test_a_safety_event_is_a_fault_or_a_run_that_could_not_go_on(changes: dict[str, Any], events: int) -> None:
    assert result_of(changes).safety_events == events
    assert (changes.get("reason") or "ended as on the grid") in result_of(changes).to_markdown()


def test_the_peak_is_the_highest_of_all_runs() -> None:
    result = result_of({}, {"force_peak": 2.6})
    assert result.force_peak == 2.6
    assert result.values["force_peak_n"].tolist() == [2.6, 1.4]
    assert json.loads(result.to_json())["runs_over_peak"] == 1
    assert "| runs whose force rose above 2.5 N | 0 | 1 (highest 2.60 N) |" in result.to_markdown()


def test_the_pictures_are_drawn(tmp_path: Path) -> None:
    files = draw_all(result_of({"reached": False}), tmp_path)
    assert [file.name for file in files] == ["force.png", "paths.png", "reachability.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


# ---------------------------------------------------------------- what is kept


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was measured, by a measurer that needs no robot."""
    done: list[str] = []

    def measurer(model: Path, settings: Settings) -> Any:
        def measure(piece: tuple[str, Job]) -> str:
            kind, job = piece
            done.append(f"{kind} {job.name}")
            return json.dumps(asdict(run_of(job) if kind == "loop" else grid_of(job)))

        return measure

    monkeypatch.setattr(running, "_measurer", measurer)
    return done


def names(jobs: Sequence[Job]) -> set[str]:
    return {f"loop {job.name}" for job in jobs}


def evaluated(model: Path, folder: Path, settings: Settings = SETTINGS) -> ClosedLoopResult:
    return evaluate_closed_loop(model, settings, folder, workers=1)


def test_what_is_finished_is_kept_and_more_starts_join(tiny_model: Path, tmp_path: Path, measured: list[str]) -> None:
    first = evaluated(tiny_model, tmp_path)
    assert len(measured) == 6, "four runs and two grids"
    missing = sample_jobs(SETTINGS)[1]
    (tmp_path / "runs" / f"{missing.name}.json").unlink()
    measured.clear()
    assert evaluated(tiny_model, tmp_path).to_json() == first.to_json()
    assert measured == [f"loop {missing.name}"]
    measured.clear()
    more = replace(SETTINGS, starts=3)
    evaluated(tiny_model, tmp_path, more)
    assert set(measured) == names(sample_jobs(more)) - names(sample_jobs(SETTINGS))


def test_another_world_is_not_mixed_in(tiny_model: Path, tmp_path: Path, measured: list[str]) -> None:
    evaluated(tiny_model, tmp_path)
    with pytest.raises(UsNavAgentError, match="another model, seed or world is here; name another folder with --out"):
        evaluated(tiny_model, tmp_path, replace(SETTINGS, disturbances=Disturbances(movement=True)))


def test_a_run_that_was_cut_off_on_disk_is_named(tiny_model: Path, tmp_path: Path, measured: list[str]) -> None:
    evaluated(tiny_model, tmp_path)
    file = tmp_path / "runs" / f"{sample_jobs(SETTINGS)[0].name}.json"
    file.write_text("{")
    with pytest.raises(UsNavAgentError, match="remove it to have it measured again"):
        evaluated(tiny_model, tmp_path)


def test_progress_counts_what_is_there_already(tiny_model: Path, tmp_path: Path, measured: list[str]) -> None:
    evaluated(tiny_model, tmp_path)
    (tmp_path / "runs" / f"{sample_jobs(SETTINGS)[0].name}.json").unlink()
    told: list[tuple[int, int]] = []
    evaluate_closed_loop(tiny_model, SETTINGS, tmp_path, 1, lambda done, total: told.append((done, total)))
    assert told == [(5, 6), (6, 6)]


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["grid"]),
        (["belief"], ["grid", "belief"]),
        (["--seed", "3"], ["grid", "--seed", "3"]),
        (["grid", "oracle"], ["grid", "oracle"]),
        (["closed-loop", "--starts", "2"], ["closed-loop", "--starts", "2"]),
    ],
)
def test_the_grid_is_meant_where_no_command_is_named(
    words: list[str], meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(command.TyperGroup, "parse_args", lambda self, ctx, args: seen.append(args) or args)
    monkeypatch.setattr(command.TyperGroup, "invoke", lambda self, ctx: None)
    CliRunner().invoke(command.app, words)
    assert seen == [meant]


def test_the_help_teaches_both() -> None:
    shown = CliRunner().invoke(command.app, ["--help"]).stdout
    for word in ("closed-loop", "grid", "usnav evaluate oracle"):
        assert word in " ".join(shown.split())
