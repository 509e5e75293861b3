"""What the console keeps of what it sees, and what of it goes to the page. No ROS, no server."""

import json
import math
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.console_feed import decision, probe
from us_grid_sim.geometry import Action, Bin
from us_nav_agent.console.model import LONGEST_PATH, ConsoleModel, Marks
from us_nav_agent.console.records import DiagnosticSeen, FrameSeen, GoalsSeen, JointsSeen, Level, Phase, RunSeen
from us_nav_agent.console.series import SPACING, WINDOW, Series
from us_nav_agent.console.wire import jpeg, turn_message

FRAME = FrameSeen(np.zeros((600, 800), np.uint8), 5)


def told(model: ConsoleModel, now: float) -> dict:  # type: ignore[type-arg]
    """The turn that the page gets at ``now``."""
    message = turn_message(model.snapshot(now)[0], None)
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length])


def test_nothing_seen_is_nothing_known() -> None:
    turn = told(ConsoleModel(), 3.0)
    assert turn["age"] is None
    assert [turn[name] for name in ("frame", "decision", "probe", "joints")] == [None] * 4
    assert turn["run"]["phase"] == "idle"


def test_each_datum_ages_by_itself() -> None:
    model = ConsoleModel()
    model.take(probe(Bin(1, 2), 0), 10.0)
    model.take(FRAME, 12.0)
    turn = told(model, 12.5)
    assert (turn["probe"]["age"], turn["frame"]["age"], turn["age"]) == (2.5, 0.5, 0.5)


def test_what_the_console_says_itself_is_no_sign_of_life() -> None:
    model = ConsoleModel()
    model.take(RunSeen(Phase.ASKED, "sacrum"), 1.0)
    assert told(model, 2.0)["age"] is None


def test_a_decision_stands_where_its_frame_was_taken_not_where_the_probe_has_gone_since() -> None:
    model = ConsoleModel()
    model.take(probe(Bin(3, 6), 100), 1.0)
    model.take(probe(Bin(4, 6), 200), 1.1)
    model.take(decision(0, Action.DOWN, 150, value=0.7), 1.2)
    model.take(decision(1, Action.DOWN, 250, value=0.8), 1.3)
    turn = told(model, 1.4)
    assert turn["grid"]["path"] == [[3, 6], [4, 6]]
    assert turn["grid"]["values"] == [[3, 6, 0.7], [4, 6, 0.8]]
    assert turn["probe"]["bin"] == [4, 6]


def test_a_new_run_begins_a_new_path_and_map() -> None:
    model = ConsoleModel()
    for step, place in enumerate([Bin(0, 0), Bin(0, 1)]):
        model.take(probe(place, step), step)
        model.take(decision(step, Action.RIGHT, step), step)
    model.take(decision(0, Action.LEFT, 2), 2.0)
    assert told(model, 3.0)["grid"]["path"] == [[0, 1]]
    assert len(told(model, 3.0)["grid"]["values"]) == 1


def test_a_pose_in_another_frame_is_no_place_on_the_grid() -> None:
    model = ConsoleModel()
    model.take(probe(Bin(3, 6), 1, frame_id="tracker"), 1.0)
    model.take(decision(0, Action.UP, 2), 1.0)
    turn = told(model, 1.0)
    assert turn["probe"]["bin"] is None and turn["grid"]["path"] == []


def test_goals_of_another_subject_replace_all_of_the_one_before() -> None:
    model = ConsoleModel()
    model.take(GoalsSeen("A", "sacrum", (Bin(1, 1),)), 0.0)
    model.take(GoalsSeen("A", "l5", (Bin(2, 2),)), 0.0)
    assert told(model, 0.0)["grid"]["goals"] == {"sacrum": [[1, 1]], "l5": [[2, 2]]}
    model.take(GoalsSeen("B", "l5", (Bin(3, 3),)), 1.0)
    assert told(model, 1.0)["grid"]["goals"] == {"l5": [[3, 3]]}


def test_what_is_not_a_number_is_null_and_units_are_those_that_people_read() -> None:
    model = ConsoleModel()
    model.take(decision(0, Action.UP, 1, value=math.nan), 0.0)
    model.take(JointsSeen(("A1",), (math.pi,)), 0.0)
    model.take(probe(Bin(0, 0), 1), 0.0)
    turn = told(model, 0.0)
    assert turn["decision"]["value"] is None
    assert turn["joints"]["degrees"] == [180.0]
    assert turn["joint_angles"] == [[0.0, 180.0]]
    assert turn["probe"]["position_mm"] == [-140.0, -100.0, 0.0]
    assert turn["force"] == [[0.0, 1.02, 1.0]]


def test_a_node_is_listed_once_with_what_it_said_last() -> None:
    model = ConsoleModel()
    model.take(DiagnosticSeen("bridge", Level.OK, "in contact", "", ()), 0.0)
    model.take(DiagnosticSeen("bridge", Level.ERROR, "force above 5 N", "", (("machine", "fault"),)), 1.0)
    (said,) = told(model, 1.5)["diagnostics"]
    assert (said["level"], said["message"], said["values"], said["age"]) == (
        "error",
        "force above 5 N",
        [["machine", "fault"]],
        0.5,
    )


def test_memory_stays_flat() -> None:
    model = ConsoleModel()
    for step in range(3 * LONGEST_PATH):
        model.take(probe(Bin(step % 2, 0), step), step / 30)
        model.take(decision(step + 1, Action.UP, step), step / 30)
    snapshot, _ = model.snapshot(3 * LONGEST_PATH / 30)
    assert len(snapshot.path) == LONGEST_PATH
    assert len(snapshot.force) <= WINDOW / SPACING + 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 5.0), max_size=40), st.integers(1, 9))
def test_pieces_of_a_curve_are_the_curve(gaps: list[float], every: int) -> None:
    series, whole, time, number = Series(), [], 0.0, 0
    for index, gap in enumerate(gaps):
        time += gap
        series.add(time, index)
        if index % every == 0:
            whole += series.since(number)
            number = series.count
    whole += series.since(number)
    kept = series.since(0)
    assert whole[len(whole) - len(kept) :] == kept
    times = [sample[0] for sample in kept]
    assert all(later - earlier >= SPACING for earlier, later in pairwise(times))
    assert not times or times[-1] - times[0] <= WINDOW


def test_a_viewer_gets_of_the_curves_what_it_has_not() -> None:
    model = ConsoleModel()
    model.take(probe(Bin(0, 0), 1), 0.0)
    first, marks = model.snapshot(0.0, Marks())
    model.take(probe(Bin(0, 0), 2), 1.0)
    second, marks = model.snapshot(1.0, marks)
    assert [sample[0] for sample in first.force] == [0.0] and [sample[0] for sample in second.force] == [1.0]
    assert model.snapshot(1.0, marks)[0].force == []


def test_the_picture_comes_behind_the_words() -> None:
    model = ConsoleModel()
    model.take(FRAME, 0.0)
    picture = jpeg(FRAME.pixels)
    message = turn_message(model.snapshot(0.0)[0], None, picture)
    (length,) = struct.unpack_from("<I", message)
    assert message[4 + length :] == picture and picture.startswith(b"\xff\xd8")


def test_the_rate_of_frames_is_that_of_the_last_two_seconds() -> None:
    model = ConsoleModel()
    for index in range(60):
        model.take(FRAME, index / 20)
    assert told(model, 3.0)["frame"]["rate"] == pytest.approx(20.0)
    assert told(model, 9.0)["frame"]["rate"] == 0.0
