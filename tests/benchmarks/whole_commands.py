"""Time the commands that a newcomer types, on a fresh clone of the committed state.

    python tests/benchmarks/whole_commands.py setup|demo|test

setup and demo start from nothing (demo_seconds includes the set-up); test is timed once its clone is set up, as the
issue's limit is on the tests. The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def clone(folder: Path) -> Path:
    """A fresh clone of the checkout, with the folder `shared` beside it where the checkout has one."""
    checkout = folder / "usnav"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    shared = ROOT.parent / "shared"
    if shared.exists():
        (folder / "shared").symlink_to(shared)
    return checkout


def make(checkout: Path, target: str) -> float:
    """Seconds that `make TARGET` takes in a checkout; its output goes to stderr.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    drop = {"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    venv = Path(sys.executable).parent
    environment["PATH"] = os.pathsep.join(p for p in environment["PATH"].split(os.pathsep) if Path(p) != venv)
    started = time.monotonic()
    subprocess.run(["make", target], cwd=checkout, env=environment, stdout=sys.stderr, check=True)
    return time.monotonic() - started


def main() -> None:
    """Time one command and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["setup", "demo", "test"])
    target = parser.parse_args().target
    with tempfile.TemporaryDirectory() as folder:
        checkout = clone(Path(folder))
        if target == "test":
            make(checkout, "setup")
        seconds = make(checkout, target)
    print(json.dumps({f"{target}_seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
