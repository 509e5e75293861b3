"""NavigateToTarget as a state machine: every transition, on a clock that the test turns."""

import math

import numpy as np
import pytest
from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import COLUMN_PITCH, ROW_PITCH, Action
from us_nav_agent.navigator import End, Navigator, NavigatorConfig, Step, Wait
from us_nav_agent.policy import Decision

FRAME = np.zeros((600, 800), np.uint8)
CONFIG = NavigatorConfig(target="l4", max_steps=3, first_frame_timeout=10.0, frame_timeout=2.0, step_timeout=5.0)


class Script:
    """A policy that decides as it is told."""

    def __init__(self, *actions: Action | FrameError) -> None:
        self.actions = list(actions)
        self.sent_to: list[str | None] = []

    def reset(self, target: str | None = None) -> None:
        self.sent_to.append(target)

    def act(self, frame: np.ndarray) -> Decision:
        action = self.actions.pop(0)
        if isinstance(action, FrameError):
            raise action
        return Decision(action, np.zeros(4, np.float32), 0.0, 0.1, 0.5)


def begin(*actions: Action | FrameError, now: float = 0.0, after: int = 0) -> Navigator:
    return Navigator(Script(*actions), CONFIG, now, after)


def stepping(*actions: Action | FrameError) -> Navigator:
    """A run whose first step is under way since t = 1 s, asked for on the frame stamped 100."""
    run = begin(Action.LEFT, *actions)
    assert isinstance(run.on_frame(FRAME, 100, 1.0), Step)
    return run


def reason(order: object) -> str:
    assert isinstance(order, End)
    assert not order.reached
    return order.reason


def test_a_run_forgets_the_last_one_and_sets_out_for_its_target() -> None:
    policy = Script()
    Navigator(policy, CONFIG, 0.0)
    assert policy.sent_to == ["l4"]


@pytest.mark.parametrize(
    ("action", "dx", "dy"),
    [
        (Action.UP, 0.0, -ROW_PITCH),
        (Action.DOWN, 0.0, ROW_PITCH),
        (Action.LEFT, -COLUMN_PITCH, 0.0),
        (Action.RIGHT, COLUMN_PITCH, 0.0),
    ],
)
def test_a_frame_leads_to_the_step_that_the_policy_wants(action: Action, dx: float, dy: float) -> None:
    run = begin(action)
    order = run.on_frame(FRAME, 1, 0.0)
    assert isinstance(order, Step)
    assert (order.dx, order.dy) == (dx, dy)
    assert run.waits_for is Wait.STEP


def test_a_stop_ends_the_run_reached() -> None:
    order = begin(Action.STOP).on_frame(FRAME, 1, 0.0)
    assert isinstance(order, End)
    assert (order.reached, order.steps, order.reason) == (True, 0, "target in view")
    assert order.decision is not None


def test_frames_from_before_the_step_ended_are_passed_over() -> None:
    run = stepping(Action.STOP)
    assert run.on_frame(FRAME, 150, 1.5) is None, "a step is under way"
    assert run.on_step_done(200, 2.0) is None
    assert run.on_frame(FRAME, 200, 2.1) is None, "stamped no later than the step's end"
    assert isinstance(run.on_frame(FRAME, 201, 2.2), End)


def test_the_first_frame_is_stamped_after_the_run_began() -> None:
    run = begin(Action.STOP, after=500)
    assert run.on_frame(FRAME, 500, 0.1) is None
    assert isinstance(run.on_frame(FRAME, 501, 0.2), End)


def test_the_run_ends_when_its_steps_are_used_up_and_counts_them() -> None:
    run = begin(*[Action.UP] * 4)
    for number in range(3):
        assert isinstance(run.on_frame(FRAME, 10 * number + 1, number), Step)
        assert run.on_step_done(10 * number + 5, number + 0.5) is None
    order = run.on_frame(FRAME, 100, 4.0)
    assert reason(order) == "target not in view after 3 steps"
    assert run.steps == 3


def test_the_first_frame_has_its_own_deadline_and_later_ones_a_shorter_one() -> None:
    assert begin().tick(9.9) is None
    assert reason(begin().tick(10.0)) == "no frame for 10 s"
    run = stepping()
    run.on_step_done(200, 3.0)
    assert run.tick(4.9) is None
    assert reason(run.tick(5.0)) == "no frame for 2 s"


def test_stale_frames_do_not_put_the_deadline_off() -> None:
    run = stepping()
    run.on_step_done(200, 3.0)
    run.on_frame(FRAME, 150, 4.9)
    assert reason(run.tick(5.0)) == "no frame for 2 s"


def test_a_step_has_a_deadline() -> None:
    run = stepping()
    assert run.tick(5.9) is None
    assert reason(run.tick(6.0)) == "no result of the probe step for 5 s"


def test_a_failed_step_ends_the_run_with_its_reason() -> None:
    assert reason(stepping().on_step_failed("force 6.0 N above 5 N")) == "probe step failed: force 6.0 N above 5 N"


def test_a_frame_that_is_none_ends_the_run_and_says_what_is_right() -> None:
    error = FrameError("frame is 640x480 uint8; expected 800x600 uint8 (mono8)")
    assert reason(begin(error).on_frame(FRAME, 1, 0.0)) == str(error)
    assert reason(begin().on_bad_frame("frame is rgb8")) == "frame is rgb8"
    assert stepping().on_bad_frame("frame is rgb8") is None, "nobody looks at frames during a step"


def test_a_cancel_is_honoured_at_once_while_waiting_for_a_frame() -> None:
    assert reason(begin().cancel()) == "cancelled"


def test_a_cancel_during_a_step_ends_the_run_with_that_step() -> None:
    run = stepping()
    assert run.cancel() is None
    order = run.on_step_done(200, 2.0)
    assert reason(order) == "cancelled"
    assert run.steps == 1


def test_after_its_end_nothing_moves_a_run() -> None:
    run = begin(Action.STOP)
    run.on_frame(FRAME, 1, 0.0)
    assert run.waits_for is Wait.NOTHING
    later = [
        run.on_frame(FRAME, 2, 1.0),
        run.on_bad_frame("x"),
        run.on_step_done(3, 1.0),
        run.on_step_failed("x"),
        run.tick(math.inf),
    ]
    assert later == [None] * 5
