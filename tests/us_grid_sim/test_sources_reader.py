"""A device in the hands of the reader: its newest frame, drops counted, faults survived; scripted, and a server."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pyigtl import ImageMessage, OpenIGTLinkServer
from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.openigtlink import OpenIgtLinkDevice
from us_grid_sim.sources.picture import Picture
from us_grid_sim.sources.reader import LiveReader
from us_grid_sim.sources.supervision import State, Supervisor
from us_grid_sim.sources.video import VideoDevice

PATIENCE = 10.0


def grey(value: int) -> np.ndarray:
    return np.full((600, 800), value, np.uint8)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


class Scripted:
    """A device that does what the script says: a frame's grey, an error to raise, or silence (None)."""

    info = SourceInfo(1.0, 1.0, 1.0, 1.0, "scripted", "")

    def __init__(self, *script: int | Exception | None) -> None:
        self.script = list(script)
        self.opened = self.closed = 0

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Frame | None:
        event = self.script.pop(0) if self.script else None
        if isinstance(event, Exception):
            raise event
        if event is None:
            time.sleep(0.002)
            return None
        return Frame(grey(event))

    def close(self) -> None:
        self.closed += 1


class Reading:
    """A reader of a device, what it has logged, and stamps that count up by a second."""

    def __init__(self, device: object, delay: float = 0.0, stall_after: float = 60.0) -> None:
        self.log: list[str] = []
        self.supervisor = Supervisor(stall_after, first_pause=0.01, longest_pause=0.05)
        self.reader = LiveReader(device, self.supervisor, lambda: 5_000_000_000, delay, self.log.append)  # type: ignore[arg-type]
        self.reader.start()

    @property
    def state(self) -> State:
        return self.supervisor.status().state

    def frame(self) -> Frame:
        taken = self.reader.take(PATIENCE)
        assert taken is not None, self.supervisor.status()
        return taken


@pytest.fixture
def read() -> Iterator[Callable[..., Reading]]:
    readings: list[Reading] = []

    def begin(device: object, **settings: float) -> Reading:
        readings.append(Reading(device, **settings))
        return readings[-1]

    yield begin
    for reading in readings:
        reading.reader.close()


def test_the_newest_frame_is_handed_over_and_older_ones_are_counted(read: Callable[..., Reading]) -> None:
    reading = read(Scripted(1, 2, 3))
    until(lambda: reading.supervisor.status().frames == 3, "three frames")
    assert reading.frame().pixels[0, 0] == 3
    assert reading.supervisor.status().dropped == 2
    assert reading.reader.take(0.0) is None


def test_a_frame_is_stamped_with_its_capture(read: Callable[..., Reading]) -> None:
    assert read(Scripted(1), delay=0.175).frame().stamp_ns == 4_825_000_000


def test_a_device_that_goes_is_opened_again_and_the_reason_is_said_once(read: Callable[..., Reading]) -> None:
    gone = SourceError("/dev/video0: gone")
    device = Scripted(1, gone, gone, gone, 2)
    reading = read(device)
    until(lambda: reading.supervisor.status().frames == 2, "the second frame")
    assert (device.opened, device.closed) == (4, 3)
    assert reading.log == ["/dev/video0: gone"]
    assert reading.supervisor.status().reconnects == 3
    assert reading.state is State.RUNNING


def test_an_error_of_a_driver_that_nobody_foresaw_is_told_and_the_device_opened_again(
    read: Callable[..., Reading],
) -> None:
    device = Scripted(1, OSError("no such ioctl"), 2)
    reading = read(device)
    until(lambda: reading.supervisor.status().frames == 2, "the second frame")
    assert reading.log == ["OSError: no such ioctl"]
    assert (device.opened, reading.state) == (2, State.RUNNING)


def test_frames_of_the_wrong_size_are_told_and_the_next_good_one_is_taken(read: Callable[..., Reading]) -> None:
    wrong = FrameError("image is 640x480; expected 800x600")
    device = Scripted(wrong, wrong, 7)
    reading = read(device)
    assert reading.frame().pixels[0, 0] == 7
    assert reading.log == ["image is 640x480; expected 800x600"]
    assert device.opened == 1


def test_a_silent_device_is_opened_again(read: Callable[..., Reading]) -> None:
    device = Scripted(1)
    reading = read(device, stall_after=0.03)
    until(lambda: device.opened >= 3, "reopened")
    assert reading.state is State.STALLED
    assert reading.log == ["no frame for 0.03 s; opening the source again"]


class FakeCapture:
    """OpenCV's capture of a grabber of one size; gives ``images`` of them and then none."""

    def __init__(self, size: tuple[int, int], images: int = 10**6) -> None:
        self.size, self.images, self.asked = size, images, {}
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, number: int, value: float) -> bool:
        self.asked[number] = value
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.images -= 1
        width, height = self.size
        return (True, np.full((height, width, 3), 90, np.uint8)) if self.images >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_grabber_is_asked_for_800_by_600_unless_a_region_is_chosen() -> None:
    captures = [FakeCapture((800, 600)), FakeCapture((1920, 1080))]
    for capture, picture in zip(captures, (Picture(), Picture((560, 240))), strict=True):
        device = VideoDevice("0", picture, lambda name, one=capture: one)  # type: ignore[misc]
        device.open()
        frame = device.read()
        assert frame is not None and (frame.pixels == 90).all()
        device.close()
        assert capture.released
    assert sorted(captures[0].asked.values()) == [600, 800]
    assert not captures[1].asked


def test_an_unplugged_grabber_and_one_of_the_wrong_size_say_so() -> None:
    device = VideoDevice("/dev/video3", Picture(), lambda name: FakeCapture((800, 600), images=0))  # type: ignore[arg-type,return-value]
    device.open()
    with pytest.raises(SourceError, match="/dev/video3: the device gives no more images"):
        device.read()
    device = VideoDevice("/dev/video3", Picture(), lambda name: FakeCapture((640, 480)))  # type: ignore[arg-type,return-value]
    device.open()
    with pytest.raises(FrameError, match="/dev/video3: image is 640x480; expected 800x600"):
        device.read()


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match="/dev/no-such-video: there is no such device; expected "):
        VideoDevice("/dev/no-such-video", Picture()).open()
    with pytest.raises(SourceError, match="/dev/null: cannot be opened; expected a V4L2 device that no other program"):
        VideoDevice("/dev/null", Picture()).open()


# ---------------------------------------------------------------- OpenIGTLink, a real server


class Server:
    """A pyigtl server that sends images as long as it lives."""

    def __init__(self, port: int, shape: tuple[int, ...] = (600, 800), name: str = "Image_Reference") -> None:
        self._server = OpenIGTLinkServer(port=port)
        self._ending = threading.Event()
        matrix = np.diag([0.1, 0.2, 1.0, 1.0])
        picture = np.full((1, *shape), 77, np.uint8)
        self._message = ImageMessage(picture, matrix, device_name=name)
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        while not self._ending.wait(0.01):
            if self._server.is_connected():
                self._server.send_message(self._message, wait=False)

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()
        self._server.stop()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_frames_come_from_a_server_that_is_killed_and_started_again(read: Callable[..., Reading], port: int) -> None:
    device = OpenIgtLinkDevice("127.0.0.1", port, "", Picture())
    server = Server(port)
    reading = read(device)
    assert (reading.frame().pixels == 77).all()
    assert (device.info.mm_per_pixel_x, device.info.mm_per_pixel_y) == pytest.approx((0.1, 0.2))
    assert device.info.depth == pytest.approx(0.12)
    server.stop()
    until(lambda: reading.state is State.GONE, "the end is seen")
    assert f"openigtlink 127.0.0.1:{port}: the server has closed the connection" in reading.log
    frames = reading.supervisor.status().frames
    server = Server(port, shape=(600, 800, 3))
    until(lambda: reading.supervisor.status().frames > frames, "frames again")
    assert reading.state is State.RUNNING
    reading.reader.close()
    server.stop()


def test_a_server_that_sends_another_size_is_refused_with_it(read: Callable[..., Reading], port: int) -> None:
    server = Server(port, shape=(480, 640))
    reading = read(OpenIgtLinkDevice("127.0.0.1", port, "Image_Reference", Picture()))
    until(lambda: reading.state is State.UNUSABLE, "refused")
    assert reading.log == [f"openigtlink 127.0.0.1:{port}: image is 640x480; expected 800x600"]
    reading.reader.close()
    server.stop()


def test_without_a_server_the_place_is_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("us_grid_sim.sources.openigtlink._CONNECT", 0.05)
    device = OpenIgtLinkDevice("127.0.0.1", port, "", Picture())
    try:
        with pytest.raises(SourceError, match=f"127.0.0.1:{port}: nobody answers; expected an OpenIGTLink server"):
            device.open()
    finally:
        device.close()
