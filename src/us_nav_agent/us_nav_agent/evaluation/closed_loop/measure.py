"""One run with the robot in the loop, and one subject on the grid alone, as records that JSON can hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.dataset.virtual import grid_of
from us_grid_sim.envs.closed_loop import ProbeStep
from us_grid_sim.envs.loop_run import CONTACT_FORCE, LoopRun, VirtualPatient, virtual_patient
from us_grid_sim.envs.robots import Moment
from us_grid_sim.geometry import BINS, Action, Bin
from us_grid_sim.phantom.subject import contact_pose
from us_grid_sim.phantom.target import Target
from us_grid_sim.preprocess import Preprocess

from us_nav_agent.evaluation.closed_loop.plan import Job, Settings
from us_nav_agent.policy import Policy
from us_nav_agent.rollout import MAX_ACTIONS, run_all

_TRACE = 10
"""Cycles of 5 ms between two samples of the force that are kept."""
_AT_ONCE = 3
"""Frames rendered in one call."""


@dataclass(frozen=True)
class RunRecord:
    """A run with the robot; a value of which there is none is None.

    Attributes:
        subject: index in the cohort.
        start: state of the bin that was asked for.
        path: states of the bins that the probe was truly in, from the first contact on, one more for each move.
        track: the same places (x, y) in the patient frame [m].
        actions: that were taken, the stop included.
        correct: how many of them moved closer to the goal, or stopped in a goal bin.
        stopped: whether the run ended with a stop decision.
        reached: whether it did so in a goal bin.
        reason: why it could not go on; empty where it could.
        seconds: simulated, from the start of the robot on.
        contact_seconds: of those before the first contact had settled.
        force_rmse_step, force_rmse_rest, force_peak: true forces [N].
        contact_losses, air_time: times without force, and how long [s].
        faults, guard_cuts, missed_messages: of the bridge.
        force_times, forces: true force along the beam at 20 Hz [s, N].
    """

    subject: int
    start: int
    path: list[int]
    track: list[tuple[float, float]]
    actions: int
    correct: int
    stopped: bool
    reached: bool
    reason: str
    seconds: float
    contact_seconds: float
    force_rmse_step: float | None
    force_rmse_rest: float | None
    force_peak: float
    contact_losses: int
    air_time: float
    faults: int
    guard_cuts: int
    missed_messages: int
    force_times: list[float]
    forces: list[float]

    @property
    def safety_events(self) -> int:
        """Faults of the bridge; a run that could not go on is one in any case."""
        return max(self.faults, int(bool(self.reason)))

    @property
    def moves(self) -> int:
        """Steps that were asked of the robot."""
        return self.actions - self.stopped


@dataclass(frozen=True)
class GridRecord:
    """A subject on the grid alone, from each of the 165 bins; lists by state.

    Attributes:
        subject: index in the cohort.
        goals: states of its goal bins.
        reached: whether the run from there ended with a stop in a goal bin.
        actions: of it.
        correct: how many of them.
        paths: states of the bins one after the other.
    """

    subject: int
    goals: list[int]
    reached: list[bool]
    actions: list[int]
    correct: list[int]
    paths: list[list[int]]


def measure_run(policy: Policy, settings: Settings, job: Job) -> RunRecord:
    """Walk once with the robot: at most 20 actions, as on the grid."""
    patient = virtual_patient(job.record)
    goals = patient.targets[Target(settings.target)]
    run = LoopRun(patient, settings.plant, settings.disturbances, job.start, job.seed)
    try:
        return _walk(policy, settings.target, goals, run, job)
    finally:
        run.close()


def _walk(policy: Policy, target: str, goals: tuple[Bin, ...], run: LoopRun, job: Job) -> RunRecord:
    policy.reset(target)
    positions, track, contact_seconds = [run.position], [_place(run)], run.robot.statistics.time
    actions = correct = 0
    stopped = False
    while actions < MAX_ACTIONS and not stopped and not run.reason:
        action = policy.act(run.frame).action
        run.step(action)
        step = ProbeStep(positions[-1], action, goals, run.position)
        actions, correct, stopped = actions + 1, correct + step.correct, action is Action.STOP
        if not stopped:
            positions.append(run.position)
            track.append(_place(run))
    told = run.robot.statistics
    times, forces = _trace(run.robot.moments)
    return RunRecord(
        subject=job.subject,
        start=job.start.state,
        path=[position.state for position in positions],
        track=track,
        actions=actions,
        correct=correct,
        stopped=stopped,
        reached=stopped and positions[-1] in goals,
        reason=run.reason,
        seconds=round(told.time, 3),
        contact_seconds=round(contact_seconds, 3),
        force_rmse_step=_known(told.force_rmse_step),
        force_rmse_rest=_known(told.force_rmse_rest),
        force_peak=round(told.force_peak, 4),
        contact_losses=told.contact_losses,
        air_time=round(told.air_time, 3),
        faults=told.safety_events,
        guard_cuts=told.guard_cuts,
        missed_messages=told.missed_messages,
        force_times=times,
        forces=forces,
    )


def measure_grid(policy: Policy, settings: Settings, job: Job) -> GridRecord:
    """Walk from all bins of a job's subject on frames at the bins' centres, pressed by the robot's force, and no robot.

    The frames come from the renderer of the closed loop, so that the difference is the loop's alone.
    """
    patient = virtual_patient(job.record)
    grid = centre_grid(patient, policy.preprocess).towards(settings.target)
    runs = run_all(policy.decider.towards(settings.target), [grid], settings.seed)
    return GridRecord(
        subject=job.subject,
        goals=[goal.state for goal in grid.goals],
        reached=runs.reached[0].tolist(),
        actions=runs.actions[0].tolist(),
        correct=runs.correct[0].tolist(),
        paths=[[int(state) for state in path if state >= 0] for path in runs.path[0]],
    )


def centre_grid(patient: VirtualPatient, preprocess: Preprocess) -> PreprocessedGrid:
    """One frame a bin, from a probe that rests on the skin of its centre with the robot's force."""
    phantom = patient.source.phantom
    renderer = Renderer(phantom)
    poses = np.stack([contact_pose(phantom, *Bin.from_state(state).center, CONTACT_FORCE) for state in range(BINS)])
    frames = [
        preprocess(frame)
        for first in range(0, BINS, _AT_ONCE)
        for frame in renderer.render(poses[first : first + _AT_ONCE], CONTACT_FORCE)
    ]
    return grid_of(patient.name, np.stack(frames), patient.targets, preprocess)


def _place(run: LoopRun) -> tuple[float, float]:
    x, y = run.robot.pose[:2, 3]
    return round(float(x), 5), round(float(y), 5)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _trace(moments: Sequence[Moment]) -> tuple[list[float], list[float]]:
    """Times and forces of some of the moments."""
    kept = moments[::_TRACE]
    return [round(one.time, 3) for one in kept], [round(one.force, 3) for one in kept]
