"""Functions of plain numbers and small arrays that are machine code: for what runs in every cycle.

A function is compiled for one signature when its module is imported, and kept on disk beside the module, so that no
cycle ever waits for a compiler. It does as Python would, in the order that is written: no fast mathematics. What is
kept is made anew when the function's own file changes, so a compiled function calls none of another file.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(signature: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function that numba understands.

    Args:
        signature: of the function in numba's words, such as ``float64(float64[::1], float64)``; ``[::1]`` is an array
            whose numbers lie side by side, and a call with anything else is refused (TypeError).
    """

    def compile_it(function: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", numba.njit(signature, cache=True)(function))

    return compile_it
