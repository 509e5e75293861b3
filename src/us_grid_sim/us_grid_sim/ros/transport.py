"""How messages travel between the processes of one machine."""

import os
from pathlib import Path

_PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"


def make_room_for_frames() -> None:
    """Give Fast DDS shared memory for more than one frame; to be called before ``rclpy.init`` by who publishes frames.

    Its own is 512 kB a process, a frame has 480: the next frame overwrites the one that a reader has not taken yet, be
    it held up for 33 ms (rmw_fastrtps issue 739). Profiles that the user has named stay; other middleware reads none.
    """
    os.environ.setdefault(_PROFILES, str(Path(__file__).with_name("fastdds.xml")))
