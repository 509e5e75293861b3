"""Where a recording comes from: version, commit, model and parameters, as texts that go into the bag.

They are rosbag2's ``custom_data``: in metadata.yaml, and in an MCAP file as its metadata record ``rosbag2``.
"""

import json
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ABOUT_FILE = "about.json"
"""Written beside the bag's files while it is recorded, so that a recorder that is killed leaves it behind too."""
VERSION, COMMIT, MODEL, SHA256 = "usnav.version", "usnav.git_commit", "usnav.model", "usnav.model_sha256"
PARAMETERS, PARAMETERS_AT_END = "usnav.parameters", "usnav.parameters_at_end"
_GIT_PATIENCE = 5.0
_UNKNOWN = "unknown"

Parameters = Mapping[str, Mapping[str, Any]]
"""By node and by name."""


def software() -> dict[str, str]:
    """Version and git commit of usnav; the commit ends in -dirty where files differ from it."""
    try:
        number = version("us_nav_agent")
    except PackageNotFoundError:
        number = _UNKNOWN
    return {VERSION: number, COMMIT: _commit()}


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=_GIT_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return _UNKNOWN
    return done.stdout.strip() or _UNKNOWN


def parameter_text(parameters: Parameters) -> str:
    """Parameters as JSON, sorted; arrays as lists."""
    return json.dumps(parameters, sort_keys=True, default=list)


def parameters_of(about: Mapping[str, str], key: str = PARAMETERS) -> dict[str, dict[str, Any]]:
    """The parameters that a bag holds; empty where it holds none that can be read."""
    try:
        content = json.loads(about.get(key, "{}"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
