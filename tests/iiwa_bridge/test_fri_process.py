"""The client in a process of its own, in real time: however it ends, the robot stops."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.fri.client_process import MAX_ORDER, ClientProcess, ClientReport, MakeRespond
from iiwa_bridge.fri.errors import FriProcessError
from iiwa_bridge.fri.shared import SharedPage
from iiwa_bridge.fri.sim_controller import SimAddress, SimController
from iiwa_bridge.robot import SessionState

from .support_fri import LOCALHOST, START, IdealCell, Ordered, config, free_port, make_broken, make_nan, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _child_finds_the_motions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@contextmanager
def connected(make_respond: MakeRespond, period: float) -> Iterator[tuple[SimController, ClientProcess, IdealCell]]:
    cell, client = IdealCell(), (LOCALHOST, free_port())
    with (
        SimController(config(period=period), cell, SimAddress(client, (LOCALHOST, 0))) as controller,
        ClientProcess(ClientConfig(controller.address, client, timeout=0.5), make_respond) as process,
    ):
        yield controller, process, cell


def active(controller: SimController) -> None:
    session = controller.session
    wait_until(
        lambda: session.session is SessionState.COMMANDING_ACTIVE, f"COMMANDING_ACTIVE, {session.transitions[-1]}"
    )


def said(process: ClientProcess) -> ClientReport:
    report = process.read()
    assert report is not None
    return report


def test_at_5_ms_commanding_lasts_and_orders_reach_the_robot() -> None:
    with connected(Ordered, period=0.005) as (controller, process, cell):
        active(controller)
        for step in range(1, 6):
            order = struct.pack("d", 0.005 * step)
            process.order(order)
            wait_until(lambda: said(process).content == order, "the motion's report")  # noqa: B023
        controller_time = controller.session.time
        wait_until(lambda: controller.session.time > controller_time + 2.0, "two more seconds")
        report = said(process)
        assert (controller.session.session, controller.session.fault) == (SessionState.COMMANDING_ACTIVE, "")
        assert cell.positions[-1, 0] == pytest.approx(START[0] + 0.025)
        assert report.status is not None
        assert report.failure == ""
        assert time.monotonic() - report.status.time < 1.0
        assert report.status.counts.answers > 300
        assert report.status.counts.quality_drops == 0
        assert 0.0 < report.status.times.p50 <= report.status.times.p99 <= report.status.times.longest
        assert report.status.state is not None
        assert report.status.state.session is SessionState.COMMANDING_ACTIVE
        assert [line.split(":")[0] for line in report.setup] == [
            "real-time priority",
            "memory lock",
            "garbage collector",
        ]


def test_the_status_that_the_parent_reads_is_never_old() -> None:
    with connected(Ordered, period=0.005) as (controller, process, _):
        active(controller)
        told = []
        begun = time.monotonic()
        while time.monotonic() - begun < 1.0:
            status = said(process).status
            assert status is not None
            told.append(status.time)
            time.sleep(0.002)
        # Each written status is some three cycles after the last; a busy machine makes some of them late.
        assert np.median(np.diff(np.unique(told))) < 0.03


def test_a_client_that_is_killed_stops_the_robot_within_100_ms() -> None:
    with connected(Ordered, period=0.010) as (controller, process, cell):
        active(controller)
        os.kill(process.pid, signal.SIGKILL)
        killed = controller.session.time
        wait_until(lambda: controller.session.fault != "", "a fault")
        stopped = controller.session.transitions[-1].time if not controller.session.commanding else np.inf
        assert controller.session.fault == "connection quality POOR"
        assert stopped - killed <= 0.1
        assert not process.running
        with pytest.raises(FriProcessError, match="takes no order"):
            process.order(b"more")
        wait_until(lambda: len(cell.told) > stopped / 0.010 + 2, "two more cycles")
        assert np.array_equal(cell.positions[-1], cell.positions[-2])


PARENT = """
import sys, time
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.fri.client_process import ClientProcess
from tests.iiwa_bridge.support_fri import Ordered
process = ClientProcess(ClientConfig(("127.0.0.1", int(sys.argv[1])), ("127.0.0.1", int(sys.argv[2]))), Ordered)
print(process.pid, flush=True)
time.sleep(60)
"""


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_parent_that_is_killed_takes_the_client_along_and_the_robot_stops() -> None:
    port = free_port()
    with SimController(config(period=0.005), IdealCell(), SimAddress((LOCALHOST, port), (LOCALHOST, 0))) as controller:
        command = [sys.executable, "-c", PARENT, str(controller.address[1]), str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            active(controller)
            parent.kill()
            killed = controller.session.time
            wait_until(lambda: controller.session.fault != "", "a fault")
            # The client hears of it when the kernel has taken the parent down, for which a busy machine takes its time.
            assert controller.session.transitions[-1].time - killed <= 0.2
            wait_until(lambda: ended(pid), "the client to end")


def test_the_stop_flag_ends_the_client_without_waiting_for_it() -> None:
    with connected(Ordered, period=0.010) as (controller, process, _):
        active(controller)
        began = time.monotonic()
        process.stop()
        assert time.monotonic() - began < 0.01
        wait_until(lambda: not process.running, "the client to end", 2.0)
        assert said(process).failure == ""


def test_a_motion_that_fails_says_why_and_the_robot_stops() -> None:
    with connected(make_nan, period=0.010) as (controller, process, cell):
        wait_until(lambda: not process.running, "the client to end")
        assert said(process).failure.startswith("NotFiniteError: commanded position of [nan")
        assert np.isfinite(cell.positions).all()
        wait_until(lambda: not controller.session.commanding, "the robot to stop")


def test_a_motion_that_cannot_be_made_is_an_error_at_the_start() -> None:
    with pytest.raises(FriProcessError, match="does not start: ValueError: no such motion"):
        ClientProcess(ClientConfig((LOCALHOST, 1), (LOCALHOST, 0)), make_broken)


def test_orders_have_a_length() -> None:
    with connected(Ordered, period=0.010) as (_, process, _):
        for order in (b"", bytes(MAX_ORDER + 1)):
            with pytest.raises(FriProcessError, match=f"order of {len(order)} bytes; expected 1 to 4096"):
                process.order(order)


def test_a_reader_never_sees_half_a_snapshot() -> None:
    page = SharedPage.create()
    writer = SharedPage(os.dup(page.file))
    assert page.read() is None
    interval, ended = sys.getswitchinterval(), threading.Event()
    sys.setswitchinterval(1e-6)

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            writer.write(bytes([number % 256]) * (1 + number * 7919 % 5000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen: set[int] = set()
        wait_until(lambda: page.read() is not None, "the first snapshot")
        for _ in range(3000):
            content = page.read()
            assert content is not None
            assert len(set(content)) == 1
            seen.add(content[0])
        assert len(seen) > 1, "it reads while the other writes"
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)


WRITER = """
import sys
from iiwa_bridge.fri.shared import SharedPage
page = SharedPage(int(sys.argv[1]))
while not page.stopped:
    page.write(b"snapshot")
"""


def test_another_process_that_writes_without_a_pause_never_makes_the_page_look_unwritten() -> None:
    page = SharedPage.create()
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(page.file)], pass_fds=(page.file,))
    try:
        wait_until(lambda: page.read() is not None, "the first snapshot")
        assert {page.read() for _ in range(100_000)} == {b"snapshot"}
    finally:
        page.stop()
        process.wait(20.0)
        page.close()


def test_a_writer_that_dies_in_the_midst_of_writing_leaves_the_snapshot_before() -> None:
    page = SharedPage.create()
    page.write(b"whole")
    assert page.read() == b"whole"
    memory = memoryview(page._memory)
    memory[8:16] = struct.pack("=Q", 3)
    memory.release()
    assert page.read() == b"whole"
    page.close()


def test_a_snapshot_whose_bytes_arrive_after_its_number_is_not_taken() -> None:
    """What a processor that reorders writes would show."""
    page = SharedPage.create()
    page.write(b"whole")
    assert page.read() == b"whole"
    page._memory[24:26] = b"ah"
    assert page.read() == b"whole"
    page.close()


def test_a_snapshot_of_any_length_up_to_the_page_s() -> None:
    page = SharedPage.create()
    for length in (0, 1, 200_000):
        page.write(bytes(length))
        assert page.read() == bytes(length)
    with pytest.raises(FriProcessError, match="status of 300000 bytes; at most"):
        page.write(bytes(300_000))
    assert not page.stopped
    page.stop()
    assert page.stopped
    page.close()
