"""Functions that are compiled, for what a simulated arm does a thousand times a second."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")

VECTOR = "UniTuple(f8, 3)"
"""Numba's name of ``vectors.Vector``."""
MATRIX = f"UniTuple({VECTOR}, 3)"
"""Numba's name of ``vectors.Matrix``."""


def compiled(signature: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function for the types of a signature when its module is imported, and keep that on disk.

    So nothing is ever compiled in the middle of a run. The arithmetic is IEEE's, in the order in which it is written.
    What is kept is made anew when the function's own file changes: a compiled function calls none of another file.
    What runs in every tick writes into arrays that it is given: one that it returns takes a microsecond more.
    """

    def compile_it(function: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", numba.njit(signature, cache=True)(function))

    return compile_it
