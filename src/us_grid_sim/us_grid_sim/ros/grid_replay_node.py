"""Replays a grid data set as if it were a patient: serves the frames of the bin and answers /probe/step."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.action import ActionServer
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image
from us_nav_interfaces.action import StepProbe
from us_nav_interfaces.msg import ProbeState, UltrasoundInfo

from us_grid_sim.dataset.layout import GridSubject, read_subject
from us_grid_sim.dataset.targets import Targets
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import COLUMN_PITCH, COLUMNS, ROW_PITCH, ROWS, Bin
from us_grid_sim.ros.conversions import (
    LATCHED_QOS,
    OFFERED_IMAGE_QOS,
    health,
    image_message,
    info_message,
    pose_message,
    time_message,
    tracked_state,
)
from us_grid_sim.ros.running import run
from us_grid_sim.ros.shutdown import leave
from us_grid_sim.ros.target_bins import TargetBinsPublisher
from us_grid_sim.sources.goals import dataset_goals
from us_grid_sim.sources.grid import GridSource


@dataclass(frozen=True)
class GridReplayConfig:
    """Parameters of the node: patient file, first bin "row,column", seed of the frames drawn, frames a second."""

    patient_file: str
    start: str
    seed: int
    rate: float

    def start_bin(self) -> Bin:
        """The first bin.

        Raises:
            UsGridSimError: it is not written as "row,column", or off the grid.
        """
        try:
            row, column = (int(part) for part in self.start.split(","))
            return Bin(row, column)
        except ValueError as error:
            raise UsGridSimError(f'parameter start is "{self.start}" ({error}); expected "row,column"') from None

    def make_source(self) -> GridSource:
        """The frames.

        Raises:
            UsGridSimError: the patient file is missing or malformed.
        """
        if not self.patient_file:
            raise UsGridSimError("parameter patient_file is empty; name a subject's .txt file in Patient_files/")
        return GridSource(read_subject(Path(self.patient_file)), self.start_bin(), self.seed)

    def goals(self, subject: GridSubject) -> Targets:
        """The goal bins of the subject of ``make_source``.

        Raises:
            UsGridSimError: its targets are malformed.
        """
        return dataset_goals(Path(self.patient_file), subject)


def stepped(position: Bin, dx: float, dy: float) -> tuple[Bin, str]:
    """The bin that a displacement [m] in the patient frame leads to, and why it is not the one asked for (or "")."""
    columns, rows = round(dx / COLUMN_PITCH), round(dy / ROW_PITCH)
    row = min(max(position.row + rows, 0), ROWS - 1)
    column = min(max(position.column + columns, 0), COLUMNS - 1)
    held = (row, column) != (position.row + rows, position.column + columns)
    return Bin(row, column), "held back by the border of the grid" if held else ""


class GridReplayNode(Node):
    """Publishes the frame of the bin at a steady rate; a step shows another bin at once."""

    finished = False
    exit_code = 0

    def __init__(self) -> None:
        super().__init__("grid_replay")
        self.config = self._declare()
        self._source = self.config.make_source()
        self._steps = 0
        self._images = self.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        self._infos = self.create_publisher(UltrasoundInfo, "/us/image_info", LATCHED_QOS)
        self._states = self.create_publisher(ProbeState, "/probe/state", LATCHED_QOS)
        self._infos.publish(info_message(self._source.info, self._now()))
        TargetBinsPublisher(self).publish(self._source.subject.name, self.config.goals(self._source.subject))
        # On the steady clock: with use_sim_time only the stamps follow /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / self.config.rate, self._publish, clock=steady)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._report, clock=steady)
        self._server = ActionServer(self, StepProbe, "/probe/step", self._step)
        self.get_logger().info(f"{self._source.info.detail}, bin {self.config.start}, {self.config.rate:g} frames/s")

    def _declare(self) -> GridReplayConfig:
        def described(words: str, **limits: object) -> ParameterDescriptor:
            return ParameterDescriptor(description=words, read_only=True, **limits)

        seeds = [IntegerRange(from_value=0, to_value=2**31 - 1, step=1)]
        rates = [FloatingPointRange(from_value=0.5, to_value=120.0, step=0.0)]
        file = self.declare_parameter("patient_file", "", described("patient file of the subject that is replayed"))
        start = self.declare_parameter("start", "0,14", described('first bin as "row,column"'))
        seed = self.declare_parameter("seed", 0, described("seed of the frames drawn", integer_range=seeds))
        rate = self.declare_parameter("rate", 30.0, described("frames a second", floating_point_range=rates))
        return GridReplayConfig(file.value, start.value, seed.value, rate.value)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _publish(self) -> None:
        frame, stamp = self._source.read(), self._now()
        assert frame.pose is not None
        self._states.publish(tracked_state(frame.pose, "patient", stamp, self._steps))
        self._images.publish(image_message(frame.pixels, stamp))

    def _report(self) -> None:
        place = self._source.position
        values = {"bin": f"{place.row},{place.column}", "steps": self._steps, "rate": self.config.rate}
        self._diagnostics.publish(health("grid_replay", self._source.subject.name, "replaying", values, self._now()))

    def _step(self, handle: Any) -> StepProbe.Result:
        goal = handle.request
        result = StepProbe.Result()
        if not (math.isfinite(goal.dx) and math.isfinite(goal.dy)):
            result.reason = f"step ({goal.dx}, {goal.dy}) m is not finite"
            handle.abort()
            return result
        try:
            position, result.reason = stepped(self._source.position, goal.dx, goal.dy)
            self._source.move_to(position)
            self._steps += 1
            # On the executor's one thread: a frame stamped later shows the new bin.
            result.pose.header.stamp = time_message(self._now())
        except UsGridSimError as error:
            result.reason = str(error)
            handle.abort()
            return result
        frame = self._source.read()
        assert frame.pose is not None
        result.pose.header.frame_id = "patient"
        result.pose.pose = pose_message(frame.pose)
        result.reached = not result.reason
        handle.succeed()
        return result

    def close(self) -> None:
        """Give back what the node holds."""
        self._source.close()


def main() -> None:
    """Run the node."""
    leave(run(GridReplayNode))


if __name__ == "__main__":
    main()
