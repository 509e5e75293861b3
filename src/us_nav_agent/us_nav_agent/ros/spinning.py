"""An executor that spins in a thread of its own until it is told to end."""

import threading

from rclpy.executors import Executor

_LOOK = 0.1
"""Between two looks whether to end [s]."""
_END = 2.0


class Spinner:
    """Spins ``executor`` from now on, in a thread of this name."""

    def __init__(self, executor: Executor, name: str) -> None:
        self._executor, self._ended = executor, threading.Event()
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=_LOOK)

    def close(self) -> None:
        """Spin no more."""
        self._ended.set()
        self._thread.join(_END)
        self._executor.shutdown(timeout_sec=_END)
