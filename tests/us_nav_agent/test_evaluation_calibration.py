"""Stated probabilities: known answers of accuracy and calibration error, and what each architecture states."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.geometry import BINS, FRAMES_PER_BIN
from us_nav_agent.deciders import DqnDecider, MsDqnDecider
from us_nav_agent.evaluation.calibration import draw_reliability, reliability, stop_reliability
from us_nav_agent.networks.dueling import DuelingNetwork, StopClassifier

MakeGrid = Callable[..., PreprocessedGrid]


def test_a_probability_that_comes_true_as_often_as_stated_has_no_error() -> None:
    stated = np.repeat([0.1, 0.5, 0.9], 10)
    true = np.concatenate([np.arange(10) < 1, np.arange(10) < 5, np.arange(10) < 9])
    assert reliability(stated, true).error == pytest.approx(0.0, abs=1e-12)


def test_the_error_is_the_mean_gap_weighed_by_how_often_it_was_stated() -> None:
    """30 of 40 say 0.9 and 20 of them are right; 10 say 0.2 and 5 are: (30 * (0.9 - 2/3) + 10 * (0.5 - 0.2)) / 40."""
    stated = np.repeat([0.9, 0.2], [30, 10])
    true = np.concatenate([np.arange(30) < 20, np.arange(10) < 5])
    found = reliability(stated, true)
    assert found.error == pytest.approx((30 * (0.9 - 2 / 3) + 10 * 0.3) / 40)
    assert found.accuracy == pytest.approx((20 + 5) / 40)
    assert found.count.sum() == 40


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_error_and_accuracy_are_shares(samples: list[tuple[float, bool]]) -> None:
    stated, true = map(np.array, zip(*samples, strict=True))
    found = reliability(stated, true)
    assert 0.0 <= found.error <= 1.0
    assert 0.0 <= found.accuracy <= 1.0
    assert found.count.sum() == len(samples)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="not within 0 and 1"):
        reliability(np.array([0.5, 1.2]), np.array([True, False]))
    with pytest.raises(ValueError, match="at least one sample"):
        reliability(np.array([]), np.array([], dtype=bool))


def test_all_frames_of_all_bins_are_asked_about(
    toy_grid: MakeGrid, tiny_networks: tuple[DuelingNetwork, StopClassifier], tmp_path: Path
) -> None:
    grids = [toy_grid(), toy_grid()]
    found = stop_reliability(MsDqnDecider(*tiny_networks, threshold=0.9), grids)
    assert found is not None
    assert found.count.sum() == 2 * BINS * FRAMES_PER_BIN
    shares = np.nansum(found.count * found.found)
    assert shares == pytest.approx(2 * len(grids[0].goals) * FRAMES_PER_BIN)
    assert draw_reliability(found, "toy", tmp_path / "reliability.png").stat().st_size > 10_000


def test_an_agent_that_states_no_probability_has_no_reliability(
    toy_grid: MakeGrid, tiny_networks: tuple[DuelingNetwork, StopClassifier]
) -> None:
    assert stop_reliability(DqnDecider(tiny_networks[0]), [toy_grid()]) is None
