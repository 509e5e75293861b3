"""A virtual subject under the simulated robot's probe: frames of where it truly stands, and the subject's goal bins."""

import sys
import threading

import numpy as np
import numpy.typing as npt
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from us_nav_interfaces.msg import ProbeState

from us_grid_sim.dataset.synth import subject_name
from us_grid_sim.dataset.virtual import virtual_targets
from us_grid_sim.errors import FrameError, SourceEndedError, SourceError, UsGridSimError
from us_grid_sim.ros.image_outlet import ImageOutlet
from us_grid_sim.ros.target_bins import TargetBinsPublisher
from us_grid_sim.sources.base import Frame
from us_grid_sim.sources.config import ImageSourceConfig
from us_grid_sim.sources.live import LiveFrames
from us_grid_sim.sources.supervision import Supervisor

TRUE_PROBE = "/simulation/probe"
"""Where the plant's probe truly is relative to the patient's body, as that lies now, and what it truly feels."""
BODY = "patient_body"


def true_look(state: ProbeState) -> tuple[npt.NDArray[np.float64], float]:
    """Pose (4, 4) of us_probe in the patient's body [m] and contact force [N], 0 where nothing is touched.

    Raises:
        SourceError: the pose is given in another frame, or is none.
    """
    if state.header.frame_id != BODY:
        raise SourceError(f'{TRUE_PROBE} gives the pose in "{state.header.frame_id}"; expected "{BODY}"')
    place, turn = state.pose.position, state.pose.orientation
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    origin = np.array([place.x, place.y, place.z])
    if not np.isfinite(origin).all() or not abs(np.linalg.norm(quaternion) - 1.0) < 1e-3:
        raise SourceError(f"{TRUE_PROBE} gives a pose that is none; expected finite metres and a unit quaternion")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    pose[:3, 3] = origin
    force = float(state.wrench.force.z)
    return pose, force if state.contact and force > 0.0 else 0.0


class PhantomPlayer:
    """Renders a virtual subject ``rate`` times a second; where rendering is slower, moments are left out.

    Args:
        node: that subscribes to the true probe.
        config: of the node.
        supervisor: is told what happens.
        outlet: where frames go.
    """

    def __init__(self, node: Node, config: ImageSourceConfig, supervisor: Supervisor, outlet: ImageOutlet) -> None:
        self.finished, self.exit_code = False, 0
        self._node, self._supervisor, self._outlet = node, supervisor, outlet
        self._picture = config.picture()
        # Its processes get ready while the source builds the subject.
        self._live = LiveFrames(self._show, self._report)
        try:
            self._source = config.make_phantom()
            self._live.show(self._source.phantom)
        except BaseException:
            self._live.close()
            raise
        outlet.describe(self._picture.described(self._source.info))
        supervisor.opened()
        self._goals = TargetBinsPublisher(node)
        self._subject = subject_name(config.subject)
        # After the first frame, which it would delay.
        self._judge = threading.Thread(target=self._publish_goals, name="goal bins", daemon=True)
        node.create_subscription(ProbeState, TRUE_PROBE, self._follow, 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(1.0 / config.rate, self._ask, clock=steady)

    def _follow(self, state: ProbeState) -> None:
        """Look from where the plant's probe is."""
        try:
            self._source.look_from(*true_look(state))
        except SourceError as error:
            self._report(error)

    def _ask(self) -> None:
        """Begin the next frame."""
        # Stamped before it is rendered: the frame shows no later place than its stamp says.
        stamp = self._outlet.now()
        try:
            if not self._live.ask(self._source.look, stamp):
                self._supervisor.dropped()
        except SourceEndedError as error:
            self._report(error)

    def _show(self, pixels: npt.NDArray[np.uint8], stamp: int) -> None:
        try:
            frame = Frame(self._picture(pixels))
        except FrameError as error:
            self._report(SourceError(str(error)))
            return
        self._outlet.show(frame, stamp)
        self._supervisor.delivered()
        if self._judge.ident is None:
            self._judge.start()

    def _report(self, error: SourceError) -> None:
        """Say why there is no frame; where none will come any more the node ends."""
        if not isinstance(error, SourceEndedError):
            self._supervisor.refused(str(error))
            self._node.get_logger().error(str(error), throttle_duration_sec=1.0)
        elif not self.finished:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.finished, self.exit_code = True, 1

    def _publish_goals(self) -> None:
        try:
            self._goals.publish(self._subject, virtual_targets(self._source.phantom))
        except UsGridSimError as error:
            self._node.get_logger().warning(f"no goal bins of {self._subject}: {error}")

    def close(self) -> None:
        """End the processes."""
        self._live.close()
        self._source.close()
