"""A claim on processor and memory: the bridge's client has to answer in time, a simulated controller to ask in time."""

import ctypes
import os

CLIENT = 50
"""Priority of the bridge's client: above what is not real-time, below the kernel's own threads."""
CONTROLLER = 49
"""Of the simulated controller: below the client that answers it."""

_LOCK_CURRENT = 1
"""MCL_CURRENT alone: with MCL_FUTURE an allocation beyond the limit of locked memory would fail."""


def claim_processor(priority: int) -> str:
    """Ask for SCHED_FIFO for this thread and those that it starts; what came of it, in a line."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"real-time priority: refused ({error.strerror}); beside other work it may be late"
    return f"real-time priority: SCHED_FIFO {priority}"


def lock_memory() -> str:
    """Keep all that this process has in memory, to be called when it has all; what came of it, in a line.

    The code of a first contact has not run before: where the kernel takes away what lies idle, it would be read from
    the disk in that very cycle.
    """
    if ctypes.CDLL(None, use_errno=True).mlockall(_LOCK_CURRENT) != 0:
        return f"memory lock: refused ({os.strerror(ctypes.get_errno())})"
    return "memory lock: done"
