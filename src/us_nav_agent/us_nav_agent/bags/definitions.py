"""The message definitions that a bag needs: ROS 2's own, and ours as they are installed."""

import os
import sys
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from us_nav_agent.errors import BagError

PACKAGE = "us_nav_interfaces"


def interfaces_folder() -> Path:
    """Where the installed .msg files of us_nav_interfaces lie.

    Raises:
        BagError: the package is not built.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        folder = Path(prefix) / "share" / PACKAGE / "msg"
        if folder.is_dir():
            return folder
    raise BagError(f"{PACKAGE} is not built: run `make setup`, or source the workspace's install/setup.bash")


def make_typestore() -> Typestore:
    """ROS 2 Kilted's messages and ours.

    Raises:
        BagError: us_nav_interfaces is not built.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    for file in sorted(interfaces_folder().glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(), f"{PACKAGE}/msg/{file.stem}"))
    return store
