"""A claim on the processor: the bridge's client has to answer in time, a simulated controller has to ask in time."""

import os

CLIENT = 50
"""Priority of the bridge's client: above what is not real-time, below the kernel's own threads."""
CONTROLLER = 49
"""Of the simulated controller: below the client that answers it."""


def claim_processor(priority: int) -> str:
    """Ask for SCHED_FIFO for this thread and those that it starts; what came of it, in a line."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"real-time priority: refused ({error.strerror}); beside other work it may be late"
    return f"real-time priority: SCHED_FIFO {priority}"
