"""Worker processes end with the process that started them, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

POOL = """
import sys, time
from us_grid_sim.processes import worker_pool

def start(folder):
    global where
    where = folder

def work(number):
    import os
    open(f"{where}/{os.getpid()}", "w").close()
    time.sleep(WORK)

if __name__ == "__main__":
    with worker_pool(2, start, sys.argv[1]) as pool:
        list(pool.map(work, range(6)))
"""
SYNTH = """
import sys
from pathlib import Path
from us_grid_sim.dataset.synth import synthesize

if __name__ == "__main__":
    synthesize(Path(sys.argv[1]), subjects=range(2), workers=2)
"""


def descendants(pid: int) -> list[int]:
    """All processes below one, by what the kernel says now."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    """Whether a process is there, and no mere entry that nobody has asked after yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(condition, seconds: float) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.parametrize("work", [60.0, 0.0], ids=["working", "waiting for work"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_is_left_of_a_process_that_was_killed(tmp_path: Path, number: int, work: float) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL.replace("WORK", str(work)).replace("range(6)", "range(6)" if work else "range(2)"))
    if not work:  # the pool stays open with nothing to do
        script.write_text(script.read_text() + "        time.sleep(60)\n")
    marks = tmp_path / "marks"
    marks.mkdir()
    parent = subprocess.Popen([sys.executable, script, marks], env=os.environ)
    try:
        assert wait_until(lambda: any(marks.iterdir()), 60.0)
        below = descendants(parent.pid)
        assert below
    finally:
        parent.send_signal(number)
        parent.wait(10.0)
    assert wait_until(lambda: not any(map(alive, below)), 10.0), "a worker outlived its parent"


def test_no_process_is_left_of_a_synthesis_that_was_killed(tmp_path: Path) -> None:
    script, out = tmp_path / "synth.py", tmp_path / "cohort"
    script.write_text(SYNTH)
    parent = subprocess.Popen([sys.executable, script, out], env=os.environ)
    try:
        assert wait_until(lambda: any(out.glob("Sacrum_*/sacrum_sweep_frames/*")), 60.0)
        below = descendants(parent.pid)
        assert len(below) >= 3  # the workers, and the process that carries their reports
    finally:
        parent.kill()
        parent.wait(10.0)
    assert wait_until(lambda: not any(map(alive, below)), 10.0), "a process outlived the synthesis"
