"""The simulated controller's claim on the processor, as a real one has its own."""

import os

_PRIORITY = 49
"""Below that of the bridge's client, which has to answer."""


def claim_processor() -> str:
    """Ask for a real-time priority, for this thread and those that it starts; what came of it, in a line."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError as error:
        return f"real-time priority: refused ({error.strerror}); beside other work the robot may be slow or late"
    return f"real-time priority: SCHED_FIFO {_PRIORITY}"
