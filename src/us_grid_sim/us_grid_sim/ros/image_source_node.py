"""Publishes the frames of a source: a recorded tracked sequence, or a virtual subject seen by the probe."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image
from us_nav_interfaces.msg import ProbeState, UltrasoundInfo

from us_grid_sim.errors import SourceEndedError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.ros.conversions import LATCHED_QOS, OFFERED_IMAGE_QOS, image_message, info_message, tracked_state
from us_grid_sim.ros.running import run
from us_grid_sim.sources.base import Frame
from us_grid_sim.sources.live import LiveFrames
from us_grid_sim.sources.metaimage import MetaImageSource
from us_grid_sim.sources.phantom import PhantomSource

SOURCES = ("metaimage", "phantom")
_LINGER = 1.0
"""After the last frame of a sequence, so that it is still delivered [s]."""


@dataclass(frozen=True)
class ImageSourceConfig:
    """Parameters of the node.

    Attributes:
        source: one of SOURCES.
        file: metaimage: the sequence.
        roi: metaimage: left column and top row of the 800 x 600 region, "x,y"; empty: the middle.
        calibration: metaimage: pixels to probe marker [mm], 16 numbers row by row; empty: none.
        seed, subject: phantom: the cohort and the subject's index.
        rate: frames a second; 0: the recorded pace.
        wait_for_subscribers: a sequence begins when so many subscribe to /us/image_raw.
        wait_timeout: longest wait for them [s].
    """

    source: str
    file: str
    roi: str
    calibration: tuple[float, ...]
    seed: int
    subject: int
    rate: float
    wait_for_subscribers: int
    wait_timeout: float

    def make_source(self) -> MetaImageSource | PhantomSource:
        """The source.

        Raises:
            SourceError: a parameter is wrong, or the file cannot be read.
        """
        if self.source == "phantom":
            return PhantomSource(sample_subject(self.seed, self.subject))
        if self.source != "metaimage":
            raise SourceError(f'parameter source is "{self.source}"; expected one of {", ".join(SOURCES)}')
        if not self.file:
            raise SourceError("parameter file is empty; name a tracked MetaImage sequence (.mha)")
        calibration = None
        if self.calibration:
            if len(self.calibration) != 16:
                raise SourceError(f"parameter calibration has {len(self.calibration)} numbers; expected 16, row by row")
            calibration = [self.calibration[row : row + 4] for row in range(0, 16, 4)]
        return MetaImageSource(Path(self.file), self._region(), calibration)

    def _region(self) -> tuple[int, int, int, int] | None:
        if not self.roi:
            return None
        try:
            x, y = (int(part) for part in self.roi.split(","))
        except ValueError:
            raise SourceError(f'parameter roi is "{self.roi}"; expected "x,y" of the region\'s corner') from None
        return x, y, FRAME_WIDTH, FRAME_HEIGHT


class ImageSourceNode(Node):
    """Publishes frames with their capture times; a sequence ends the node, a virtual subject goes on."""

    def __init__(self) -> None:
        super().__init__("image_source")
        self.finished = False
        self.exit_code = 0
        self.config = self._declare()
        # Its processes get ready while the source builds the subject.
        self._live = self._start_live() if self.config.source == "phantom" else None
        self._source = self.config.make_source()
        self._images = self.create_publisher(Image, "/us/image_raw", OFFERED_IMAGE_QOS)
        self._infos = self.create_publisher(UltrasoundInfo, "/us/image_info", LATCHED_QOS)
        self._infos.publish(info_message(self._source.info, self._now()))
        self._started = time.monotonic()
        self._due = self._ends_at = 0.0
        self._first_stamp: int | None = None
        self._next: Frame | None = None
        period = 1.0 / self.config.rate if self.config.rate > 0 else 0.002
        if self._live is not None:
            assert isinstance(self._source, PhantomSource)
            self._live.show(self._source.phantom)
            self.create_subscription(ProbeState, "/probe/state", self._follow, 10)
            self.create_timer(period, self._ask, MutuallyExclusiveCallbackGroup())
        else:
            self._states = self.create_publisher(ProbeState, "/probe/state", LATCHED_QOS)
            self._next = self._source.read()
            self.create_timer(period, self._play, MutuallyExclusiveCallbackGroup())
        self.get_logger().info(f"{self._source.info.source}: {self._source.info.detail}")

    def _declare(self) -> ImageSourceConfig:
        def described(words: str, **limits: object) -> ParameterDescriptor:
            return ParameterDescriptor(description=words, read_only=True, **limits)

        def whole(high: int) -> list[IntegerRange]:
            return [IntegerRange(from_value=0, to_value=high, step=1)]

        def number(high: float) -> list[FloatingPointRange]:
            return [FloatingPointRange(from_value=0.0, to_value=high, step=0.0)]

        declare = self.declare_parameter
        return ImageSourceConfig(
            source=declare("source", "metaimage", described(f"one of {', '.join(SOURCES)}")).value,
            file=declare("file", "", described("metaimage: the sequence")).value,
            roi=declare("roi", "", described('metaimage: corner "x,y" of the 800 x 600 region; empty: middle')).value,
            calibration=_numbers(
                declare("calibration", "", described("metaimage: pixels to marker [mm], 16 numbers by blanks")).value
            ),
            seed=declare("seed", 0, described("phantom: cohort", integer_range=whole(2**31 - 1))).value,
            subject=declare("subject", 0, described("phantom: index", integer_range=whole(10**6))).value,
            rate=declare("rate", 0.0, described("frames/s; 0: recorded", floating_point_range=number(120.0))).value,
            wait_for_subscribers=declare(
                "wait_for_subscribers", 1, described("a sequence waits for them", integer_range=whole(100))
            ).value,
            wait_timeout=declare(
                "wait_timeout", 20.0, described("wait for subscribers [s]", floating_point_range=number(600.0))
            ).value,
        )

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _follow(self, state: ProbeState) -> None:
        """Look from where the bridge's probe is."""
        assert isinstance(self._source, PhantomSource)
        position, force = state.pose.position, state.wrench.force.z
        self._source.rest_at(position.x, position.y, max(force, 0.0) if state.contact else 0.0)

    def _start_live(self) -> LiveFrames:
        if self.config.rate <= 0:
            raise SourceError("parameter rate is 0, the recorded pace; a virtual subject needs a rate above 0")
        return LiveFrames(self._publish, self._report)

    def _ask(self) -> None:
        """Begin the next frame of a virtual subject; where rendering is slower than the rate, one is left out."""
        assert self._live is not None
        assert isinstance(self._source, PhantomSource)
        # Stamped before it is rendered: the frame shows no later place than its stamp says.
        stamp = self._now()
        try:
            self._live.ask(self._source.look, stamp)
        except SourceEndedError as error:
            self._report(error)

    def _publish(self, pixels: npt.NDArray[np.uint8], stamp: int) -> None:
        if rclpy.ok():
            self._images.publish(image_message(pixels, stamp))

    def _report(self, error: SourceError) -> None:
        """Say why there is no frame; where none will come any more the node ends."""
        if not isinstance(error, SourceEndedError):
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
        elif not self.finished:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.finished, self.exit_code = True, 1

    def _play(self) -> None:
        """Publish the next frame of a sequence when its time has come."""
        now = time.monotonic()
        if self._next is None:
            self._ends_at = self._ends_at or now + _LINGER
            self.finished = now >= self._ends_at
            return
        if self._first_stamp is None and not self._may_begin(now):
            return
        stamp = self._next.stamp_ns if self._next.stamp_ns is not None else self._now()
        if self._first_stamp is None:
            self._first_stamp, self._due = stamp, now
        if self.config.rate <= 0 and now < self._due + (stamp - self._first_stamp) * 1e-9:
            return
        if self._next.pose is not None:
            self._states.publish(tracked_state(self._next.pose, self._next.pose_frame, stamp))
        self._images.publish(image_message(self._next.pixels, stamp))
        self._next = self._source.read()

    def _may_begin(self, now: float) -> bool:
        """Whether enough subscribers are there; ends the node where they do not come."""
        here, wanted = self._images.get_subscription_count(), self.config.wait_for_subscribers
        if here >= wanted:
            return True
        if now - self._started > self.config.wait_timeout:
            message = f"{here} of {wanted} subscribers on /us/image_raw after {self.config.wait_timeout:g} s"
            print(f"error: {message}; start them, or lower wait_for_subscribers", file=sys.stderr, flush=True)
            self.finished, self.exit_code = True, 1
        return False

    def close(self) -> None:
        """Give back what the node holds."""
        if self._live is not None:
            self._live.close()
        self._source.close()


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers in a text, separated by blanks.

    Raises:
        SourceError: one is no number.
    """
    try:
        return tuple(float(part) for part in text.split())
    except ValueError as error:
        raise SourceError(f"parameter calibration: {error}") from None


def main() -> None:
    """Run the node."""
    sys.exit(run(ImageSourceNode))


if __name__ == "__main__":
    main()
