"""The launcher: nodes are found, ended in order, and none outlives it, whatever happens."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from us_nav_agent.cli.launch_file import LaunchDescription, NodeDescription
from us_nav_agent.cli.launcher import Launcher, command_of, find_launch_file, node_arguments
from us_nav_agent.errors import LaunchError

Make = Callable[..., NodeDescription]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a fake node: a small program in an ament prefix."""
    folder = tmp_path / "prefix" / "lib" / "fake"
    folder.mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))

    def make(name: str, program: str, **more: object) -> NodeDescription:
        file = folder / name
        file.write_text(f"#!{sys.executable}\n" + textwrap.dedent(program))
        file.chmod(0o755)
        return NodeDescription("fake", name, name, **more)  # type: ignore[arg-type]

    return make


WAITS = (
    "import time\nprint('up', flush=True)\n"
    "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('bye', flush=True)\n"
)
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(60)\n"
)


def launcher(lines: list[str], *nodes: NodeDescription) -> Launcher:
    return Launcher(LaunchDescription(Path("x"), nodes), lines.append)


def until(ready: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_carries_the_nodes_name_and_sigint_ends_them(node: Make) -> None:
    lines: list[str] = []
    with launcher(lines, node("one", WAITS), node("two", WAITS)) as running:
        until(lambda: len(lines) == 2)
        assert running.check() is None
    assert sorted(lines) == ["[one] bye", "[one] up", "[two] bye", "[two] up"]
    assert not running.failed


def test_a_node_that_hears_no_signal_is_killed_in_time(node: Make) -> None:
    lines: list[str] = []
    begun = time.monotonic()
    with launcher(lines, node("deaf", DEAF)) as running:
        until(lambda: bool(lines))
    assert time.monotonic() - begun < 10.0
    assert running.failed == {"deaf": -signal.SIGKILL}


def test_a_node_that_fails_ends_the_launch_with_its_status(node: Make) -> None:
    lines: list[str] = []
    with launcher(lines, node("good", WAITS), node("bad", "raise SystemExit(3)")) as running:
        assert running.wait() == "bad failed with exit status 3"
    assert running.failed == {"bad": 3}


def test_a_node_that_is_killed_is_named_with_its_signal(node: Make) -> None:
    lines: list[str] = []
    dies = node("dies", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with launcher(lines, node("good", WAITS), dies) as running:
        assert running.wait() == "dies was killed by SIGKILL"


def test_on_exit_shutdown_ends_the_launch_and_another_end_does_not(node: Make) -> None:
    lines: list[str] = []
    short = node("short", "print('done')")
    last = node("last", "import time; time.sleep(0.5)", shutdown_on_exit=True)
    with launcher(lines, short, last, node("other", WAITS)) as running:
        assert running.wait() == "last has ended"
    assert not running.failed


def test_a_missing_executable_starts_none(node: Make) -> None:
    lines: list[str] = []
    missing = NodeDescription("fake", "nothing", "nothing")
    with (
        pytest.raises(LaunchError, match="no executable nothing in package fake"),
        launcher(lines, node("a", WAITS), missing),
    ):
        pass
    assert lines == []


def test_parameters_keep_their_types_through_a_file(tmp_path: Path) -> None:
    described = NodeDescription(
        "p", "e", "n", parameters=(("start", "0,14"), ("rate", 30.0)), remappings=(("/a", "/b"),)
    )
    words = node_arguments(described, tmp_path)
    assert words[:5] == ["--ros-args", "-r", "__node:=n", "-r", "/a:=/b"]
    text = Path(words[-1]).read_text()
    assert "start: 0,14" in text
    assert "rate: 30.0" in text


def test_our_nodes_are_found_by_their_entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert command_of("us_nav_agent", "policy_node") == [sys.executable, "-m", "us_nav_agent.ros.policy_node"]
    with pytest.raises(LaunchError, match="no executable policy_node in package us_grid_sim"):
        command_of("us_grid_sim", "policy_node")


def test_an_unknown_launch_file_names_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "share" / "us_nav_bringup"
    folder.mkdir(parents=True)
    (folder / "grid.launch.yaml").write_text("launch: []\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert find_launch_file("grid") == folder / "grid.launch.yaml"
    with pytest.raises(LaunchError, match="no launch file 'robot'; there is grid"):
        find_launch_file("robot")


def test_no_node_outlives_a_launcher_that_is_killed(node: Make, tmp_path: Path) -> None:
    node("orphan", f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n")
    program = (
        "import time\nfrom pathlib import Path\n"
        "from us_nav_agent.cli.launch_file import LaunchDescription, NodeDescription\n"
        "from us_nav_agent.cli.launcher import Launcher\n"
        "with Launcher(LaunchDescription(Path('x'), (NodeDescription('fake', 'orphan', 'orphan'),)), print):\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ))
    file = tmp_path / "pid"
    until(lambda: file.exists() and bool(file.read_text()))
    child = int(file.read_text())
    parent.kill()
    parent.wait(5)

    def gone() -> bool:
        status = Path(f"/proc/{child}/stat")
        return not status.exists() or status.read_text().split()[2] == "Z"

    until(gone, 2.0)
