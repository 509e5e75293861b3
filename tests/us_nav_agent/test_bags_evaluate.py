"""Evaluation of bags: known answers, the same bytes each time, and what others' bags and bad ones come to."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")

from support.bags import MS, Messages, bag_of
from us_grid_sim.geometry import Action, Bin
from us_grid_sim.preprocess import Frame8, Preprocess
from us_nav_agent.deciders.base import Decision
from us_nav_agent.errors import BagError, ModelError
from us_nav_agent.evaluation.bags import BagResult, bag_name, evaluate_bag, evaluate_folder, find_bags
from us_nav_agent.evaluation.bags.measures import frame_measures, is_correct
from us_nav_agent.evaluation.bags.page import bag_page, folder_page, shown
from us_nav_agent.policy import Policy

FRAME = (600, 800)
PATH = [(Bin(5, 6), Action.RIGHT), (Bin(5, 7), Action.RIGHT), (Bin(5, 8), Action.STOP)]
GOALS = [Bin(5, 8), Bin(5, 9)]


class Reader:
    """A decider that finds its actions written in the frames: the grey level is ten times the action."""

    targets = ("sacrum", "l5")
    preprocess = Preprocess(3, 4)

    def towards(self, target: str) -> "Reader":
        if target not in self.targets:
            raise ModelError(f"finds no {target}")
        return self

    def begin(self):  # type: ignore[no-untyped-def]
        def run(frame: Frame8, said: None = None) -> Decision:
            action = Action(int(frame[0, 0]) // 10)
            return Decision(action, np.zeros(4, np.float32), 0.0, float(action is Action.STOP), 1.0)

        return run

    def look(self, frame: Frame8) -> None:
        return None


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("us_nav_agent.evaluation.bags.evaluate._loaded", lambda name: Policy("m", "0" * 64, Reader()))


def walk(messages: Messages, decided: list[Action], frame: tuple[int, int] = FRAME, encoding: str = "mono8") -> None:
    """The recorded run of PATH, 40 ms a frame; a policy that reads the frames decides ``decided``."""
    messages.targets(1, "sacrum", GOALS)
    for number, ((position, action), now) in enumerate(zip(PATH, decided, strict=True)):
        stamp = (number + 1) * 40 * MS
        messages.state(stamp, position, force=1.0 + number)
        messages.frame(stamp, 10 * now, frame, encoding)
        messages.decision(stamp, number, action, latency=0.010 * (number + 1))


def evaluated(path: Path) -> BagResult:
    return evaluate_bag(path, path.name)[0]


def test_the_model_that_decided_agrees_with_itself_and_the_measures_are_those_of_the_run(tmp_path: Path) -> None:
    result = evaluated(bag_of(tmp_path / "bag", lambda messages: walk(messages, [a for _, a in PATH])))
    found = result.measures
    assert result.same_model and result.damage == [] and result.subject == "Virtual029"
    assert [found[name] for name in ("agreement", "reachability", "recorded_reachability")] == [1.0, 1.0, 1.0]
    assert [found[name] for name in ("policy_correctness", "recorded_policy_correctness")] == [1.0, 1.0]
    assert (found["latency_p50_ms"], found["frames"]) == (pytest.approx(20.0), 3)
    assert found["frame_rate"] == pytest.approx(25.0)
    assert found["force_rmse_n"] == pytest.approx(math.sqrt((0 + 1 + 4) / 3))
    assert (found["force_peak_n"], found["contact_ends"]) == (3.0, 0)
    assert found["time_in_contact_s"] == pytest.approx(0.08)
    assert math.isnan(found["true_force_peak_n"])


def test_another_model_of_the_same_name_is_a_word_to_the_reader_and_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Policy("m", "1" * 64, Reader())
    monkeypatch.setattr("us_nav_agent.evaluation.bags.evaluate._loaded", lambda name: other)
    result = evaluated(bag_of(tmp_path / "bag", lambda messages: walk(messages, [a for _, a in PATH])))
    assert result.notes == ["the model m here is not the one that decided then: another SHA-256"]
    assert result.damage == [] and result.same_model is False


def test_another_policy_is_judged_up_to_its_own_stop_and_its_differences_are_counted(tmp_path: Path) -> None:
    result = evaluated(
        bag_of(tmp_path / "bag", lambda messages: walk(messages, [Action.RIGHT, Action.STOP, Action.LEFT]))
    )
    found = result.measures
    # It moves closer, then stops beside the goal: one of two right, not reached; of the three actions one agrees.
    assert (found["policy_correctness"], found["reachability"]) == (0.5, 0.0)
    assert (found["recorded_policy_correctness"], found["recorded_reachability"]) == (1.0, 1.0)
    assert found["agreement"] == pytest.approx(1 / 3)
    assert result.confusion[Action.RIGHT].tolist() == [0, 0, 0, 1, 1]
    assert result.confusion[Action.STOP].tolist() == [0, 0, 1, 0, 0]


def test_the_same_bag_model_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    path = bag_of(tmp_path / "bag", lambda messages: walk(messages, [a for _, a in PATH]))
    first, second = (evaluate_bag(path, "bag", seed=3) for _ in range(2))
    assert first[0].to_json() == second[0].to_json()
    assert bag_page(*first) == bag_page(*second)
    assert json.loads(first[0].to_json())["measures"]["true_force_peak_n"] is None


def test_the_page_holds_its_pictures_and_asks_for_nothing(tmp_path: Path) -> None:
    page = bag_page(*evaluate_bag(bag_of(tmp_path / "b", lambda m: walk(m, [a for _, a in PATH])), "<b>"))
    assert page.count('src="data:image/png;base64,') == 3
    assert "http" not in page and "<script" not in page and "&lt;b&gt;" in page


@pytest.mark.parametrize(("shape", "encoding"), [(FRAME, "bgr8"), (FRAME, "rgb8"), ((480, 640), "mono8")])
def test_frames_that_no_policy_takes_are_named_and_the_rest_is_measured(
    tmp_path: Path, shape: tuple[int, int], encoding: str
) -> None:
    result = evaluated(bag_of(tmp_path / "bag", lambda m: walk(m, [a for _, a in PATH], shape, encoding)))
    assert any("3 frames cannot be decided on" in line for line in result.notes)
    assert math.isnan(result.measures["agreement"])
    assert result.measures["recorded_reachability"] == 1.0


def test_faults_of_the_bridge_are_events_with_all_their_reasons(tmp_path: Path) -> None:
    def fill(messages: Messages) -> None:
        walk(messages, [a for _, a in PATH])
        for number, (machine, reasons, level) in enumerate(
            [
                ("stepping", "", 0),
                ("retracting to fault", "force 9.1 N", 2),
                ("fault", "force 9.1 N; stop", 2),
                ("idle", "", 1),
                ("fault", "stop", 2),
            ]
        ):
            messages.bridge((number + 10) * 100 * MS, machine, reasons, level)

    result = evaluated(bag_of(tmp_path / "bag", fill))
    assert [(event.at, event.reason) for event in result.events] == [
        (pytest.approx(1.1), "force 9.1 N; stop"),
        (pytest.approx(1.4), "stop"),
    ]


def test_the_place_that_the_simulation_knows_goes_before_the_measured_one(tmp_path: Path) -> None:
    def fill(messages: Messages) -> None:
        walk(messages, [a for _, a in PATH])
        for number in range(3):
            stamp = (number + 1) * 40 * MS
            messages.state(stamp, Bin(0, 0), 5.0, topic="/simulation/probe", frame_id="patient_body")

    found = evaluated(bag_of(tmp_path / "bag", fill)).measures
    assert (found["recorded_reachability"], found["true_force_peak_n"], found["force_peak_n"]) == (0.0, 5.0, 3.0)


@pytest.mark.parametrize(
    ("named", "asked", "taken"), [(["", "l5", ""], None, "l5"), (["l5"], "sacrum", "sacrum"), ([], None, "sacrum")]
)
def test_the_target_is_the_one_that_is_asked_for_else_the_one_that_the_bag_names(
    tmp_path: Path, named: list[str], asked: str | None, taken: str
) -> None:
    def fill(messages: Messages) -> None:
        walk(messages, [a for _, a in PATH])
        messages.targets(2, "l5", [Bin(0, 0)])
        for number, target in enumerate(named):
            messages.policy(200 * MS + number, target)

    result = evaluate_bag(bag_of(tmp_path / "bag", fill), "bag", target=asked)[0]
    assert result.target == taken
    assert result.goals == {"sacrum": tuple(GOALS), "l5": (Bin(0, 0),)}[taken]
    assert result.measures["reachability"] == (taken == "sacrum")


def test_a_clock_that_jumps_is_said_and_counts_as_no_drop(tmp_path: Path) -> None:
    def fill(messages: Messages) -> None:
        write = messages._write
        for number in range(10):
            stamp = number * 40 * MS + (3600 * 10**9 if number >= 5 else 0)
            messages._write = lambda topic, _, data, at=number * 40 * MS: write(topic, at, data)
            messages.frame(stamp, 0, FRAME)

    result = evaluated(bag_of(tmp_path / "bag", fill))
    assert any(
        line.startswith("/us/image_raw: stamps and receive times move apart by more than 1 s 1 times")
        for line in result.notes
    )
    assert (result.measures["frames_dropped"], result.measures["frame_rate"]) == (0, pytest.approx(25.0))


def test_gaps_between_frames_are_frames_that_were_dropped() -> None:
    stamps = np.array([0, 40, 80, 200, 240], dtype=np.int64) * MS
    assert frame_measures(stamps, stamps)["frames_dropped"] == 2


@pytest.mark.parametrize(
    ("place", "action", "right"),
    [
        (Bin(5, 8), Action.STOP, True),
        (Bin(5, 7), Action.STOP, False),
        (Bin(5, 7), Action.RIGHT, True),
        (Bin(5, 7), Action.LEFT, False),
        (Bin(0, 8), Action.UP, False),
    ],
)
def test_an_action_is_correct_where_it_leads_closer_or_stops_at_the_goal(
    place: Bin, action: Action, right: bool
) -> None:
    assert is_correct(place, action, tuple(GOALS)) is right


def test_over_a_folder_a_bad_bag_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.mcap").write_bytes(b"nothing of a bag")
    for name, decided in (("a", [Action.RIGHT, Action.RIGHT, Action.STOP]), ("b", [Action.STOP] * 3)):
        bag_of(tmp_path / name / "bag", lambda m, decided=decided: walk(m, decided))
    found = {bag_name(path, tmp_path): path for path in find_bags(tmp_path)}
    assert list(found) == ["a-bag", "b-bag", "broken"]
    result = evaluate_folder(found, lambda name, path: evaluate_bag(path, name)[0], 0)
    assert [bag.name for bag in result.bags] == ["a-bag", "b-bag"]
    assert "no MCAP file" in result.failed["broken"]
    reached = result.summaries["reachability"]
    assert (reached.mean, reached.low, reached.high) == (0.5, 0.0, 1.0)
    page = folder_page(result)
    assert "no MCAP file" in page and 'href="a-bag.html"' in page
    with pytest.raises(BagError, match="no MCAP file"):
        evaluate_folder({"broken": found["broken"]}, lambda name, path: evaluate_bag(path, name)[0], 0)


def test_half_a_safety_event_a_bag_is_not_shown_as_none() -> None:
    assert [shown("safety_events", count) for count in (0.0, 0.5, 2.0, math.nan)] == ["0", "0.50", "2", "-"]


def test_the_files_of_a_split_bag_are_one_and_others_are_one_each(tmp_path: Path) -> None:
    for name in ("split/x_0.mcap", "split/x_1.mcap", "loose/one.mcap", "loose/two.db3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_bags(tmp_path)]
    assert found == ["loose/one.mcap", "loose/two.db3", "split"]
