"""The options that ``reset`` of an environment takes: which subject, and where to start."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from us_grid_sim.geometry import BINS

_NAMES = ("subject", "start")


def choose_episode(options: Mapping[str, Any] | None, subjects: int, rng: np.random.Generator) -> tuple[int, int]:
    """Index of the subject (0 to ``subjects`` - 1) and state of the first bin, drawn where an option is missing.

    Raises:
        ValueError: an option is unknown or out of range.
    """
    given = options or {}
    if unknown := set(given) - set(_NAMES):
        raise ValueError(f"unknown reset options {sorted(unknown)}; there are {' and '.join(_NAMES)}")
    subject, start = (_chosen(name, count, given, rng) for name, count in zip(_NAMES, (subjects, BINS), strict=True))
    return subject, start


def _chosen(option: str, count: int, given: Mapping[str, Any], rng: np.random.Generator) -> int:
    if option not in given:
        return int(rng.integers(count))
    value = int(given[option])
    if not 0 <= value < count:
        raise ValueError(f"reset option {option} is {value}; it goes from 0 to {count - 1}")
    return value
