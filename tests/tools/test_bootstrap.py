"""Set-up: what it refuses, what it repeats, and what it does to the wheels' CMake files."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
assert _spec and _spec.loader
bootstrap = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bootstrap)


@pytest.mark.parametrize("version", [(3, 9), (3, 14), (2, 7)])
def test_a_python_without_wheels_is_refused_in_one_line_that_names_the_cure(version: tuple[int, int]) -> None:
    with pytest.raises(bootstrap.SetupError, match=r"usnav needs 3\.10 to 3\.13.*make PYTHON=") as error:
        bootstrap.check_python(version)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_the_pythons_with_wheels_pass(version: tuple[int, int]) -> None:
    bootstrap.check_python(version)


def test_missing_build_tools_are_all_named_with_the_command_that_installs_them() -> None:
    with pytest.raises(bootstrap.SetupError, match=r"sudo apt install g\+\+ cmake"):
        bootstrap.check_tools(which=lambda name: None if name in {"c++", "g++", "clang++", "cmake"} else f"/bin/{name}")


def test_clang_is_a_compiler_too() -> None:
    bootstrap.check_tools(which=lambda name: f"/bin/{name}" if name in {"clang", "clang++", "cmake", "make"} else None)


def test_missing_headers_name_the_package(tmp_path: Path) -> None:
    with pytest.raises(bootstrap.SetupError, match=r"no Python\.h in .*sudo apt install python3\.\d+-dev"):
        bootstrap.check_headers(str(tmp_path))


def test_a_full_disk_is_refused_before_anything_is_installed() -> None:
    with pytest.raises(bootstrap.SetupError, match=r"1\.0 GiB free"):
        bootstrap.check_space(2**30)


def test_the_wheels_cmake_files_are_pointed_here_and_a_second_time_changes_nothing() -> None:
    original = (
        'set(A "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include")'
        'set(B "/usr/include")'
    )
    once = bootstrap.rewrite_includes(original, "/here/include", "/here/numpy")
    assert once == 'set(A "/here/include;/here/numpy")set(B "/usr/include")'
    assert bootstrap.rewrite_includes(once, "/here/include", "/here/numpy") == once


def test_a_stage_is_done_once_until_what_it_was_made_from_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / "stamps")
    calls: list[str] = []
    assert bootstrap.once("stage", "a", lambda: calls.append("a"))
    assert not bootstrap.once("stage", "a", lambda: calls.append("again"))
    assert bootstrap.once("stage", "b", lambda: calls.append("b"))
    assert calls == ["a", "b"]


def test_a_stage_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / "stamps")

    def fail() -> None:
        raise bootstrap.SetupError("no network")

    with pytest.raises(bootstrap.SetupError):
        bootstrap.once("stage", "a", fail)
    assert bootstrap.once("stage", "a", lambda: None)


def test_a_failing_command_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path)
    with pytest.raises(bootstrap.SetupError, match="the cause"):
        bootstrap.run(sys.executable, "-c", "print('the cause'); raise SystemExit(3)", log="stage")


def test_what_another_environment_left_does_not_reach_the_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1")
    monkeypatch.setenv("PYTHONPATH", "/opt/ros/jazzy")
    assert not {"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONPATH"} & bootstrap.clean_environment().keys()


def test_the_digest_follows_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    file = tmp_path / "folder" / "a.msg"
    file.parent.mkdir()
    file.write_text("float64 x")
    first = bootstrap.digest([tmp_path / "folder"])
    file.write_text("float64 y")
    second = bootstrap.digest([tmp_path / "folder"])
    file.rename(file.with_name("b.msg"))
    assert len({first, second, bootstrap.digest([tmp_path / "folder"])}) == 3


def test_help_teaches() -> None:
    shown = subprocess.run([sys.executable, ROOT / "tools" / "bootstrap.py", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "make demo" in shown.stdout


def test_usnav_is_where_the_makefile_and_the_readme_call_it() -> None:
    assert (Path(sys.executable).parent / "usnav").exists()


def test_our_packages_are_installed_as_wheels_whatever_pip_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12's pip, 23.0, would run `setup.py develop`, which leaves usnav in lib/us_nav_agent (setup.cfg)."""
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    commands: dict[str, tuple[str | Path, ...]] = {}
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "run", lambda *command, log: commands.update({log: command}))
    monkeypatch.setattr(bootstrap, "fix_cmake_files", lambda: 0)
    bootstrap.install_packages()
    assert "--use-pep517" in commands["own_packages"]
    assert commands["own_packages"][-2:] == ("-e", "src/us_nav_agent")
