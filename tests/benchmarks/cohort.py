"""Time `usnav dataset synth` for the whole default cohort: 34 subjects, 74 800 frames, on all cores.

    python tests/benchmarks/cohort.py

The cohort stays in data/cohort, for the training of the agents. The last line is a JSON object for tools/figures.py.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Make the cohort and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/cohort"))
    out = parser.parse_args().out
    if out.exists():
        raise SystemExit(f"{out} is already there; move it away or give another --out, so that all of it is timed")
    started = time.monotonic()
    subprocess.run(["usnav", "dataset", "synth", "--out", str(out)], stdout=sys.stderr, check=True)
    print(json.dumps({"cohort_minutes": round((time.monotonic() - started) / 60.0, 1)}))


if __name__ == "__main__":
    main()
