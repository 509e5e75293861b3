"""Statistics of pictures, on pictures whose answers are known."""

import numpy as np
import pytest
from scipy import ndimage
from us_grid_sim.bmode.statistics import bone_rows, histogram_distance, measure

PIXEL = 0.1


def speckled(mean: float, deviation: float, width: tuple[float, float], seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((600, 400)), width)
    return np.clip(mean + deviation * noise / noise.std(), 0, 255).astype(np.uint8)


def with_bone(picture: np.ndarray, row: int, columns: slice, rise: int = 1) -> np.ndarray:
    picture = picture.copy()
    picture[row:, columns] = 5
    for step in range(rise + 1):
        picture[row - rise + step, columns] = 100 + (250 - 100) * step // rise
    picture[row : row + 4, columns] = 250
    return picture


def test_equal_sets_have_no_distance_and_a_shift_has_its_own() -> None:
    picture = speckled(100, 10, (2, 3))
    assert histogram_distance([picture], [picture]) == 0.0
    assert histogram_distance([picture], [picture + 30]) == pytest.approx(30.0)


def test_bone_is_found_where_it_is_and_nowhere_else() -> None:
    rows = bone_rows(with_bone(speckled(100, 10, (2, 3)), 300, slice(100, 300)), PIXEL)
    assert np.nanmax(np.abs(rows[110:290] - 302)) <= 6
    assert np.isnan(rows[:90]).all()
    assert np.isnan(rows[310:]).all()
    assert np.isnan(bone_rows(speckled(100, 10, (2, 3)), PIXEL)).all()


def test_speckle_contrast_and_grain_are_measured_back() -> None:
    found = measure([speckled(100, 20, (2, 4), seed) for seed in range(3)], PIXEL)
    assert found.speckle_contrast == pytest.approx(0.2, rel=0.1)
    # The autocorrelation of Gaussian-filtered noise is a Gaussian of sqrt(2) times the width.
    for width, sigma in zip(found.grain, (2, 4), strict=True):
        assert width == pytest.approx(2.355 * np.sqrt(2.0) * sigma * PIXEL, rel=0.15)
    assert found.bone_columns < 0.02


def test_the_edge_and_shadow_of_bone_are_measured_back() -> None:
    sharp, soft = (measure([with_bone(speckled(100, 3, (2, 3)), 300, slice(0, 400), rise)], PIXEL) for rise in (2, 16))
    assert sharp.edge < 0.3
    assert soft.edge == pytest.approx(0.8, abs=0.2)
    assert sharp.shadow == pytest.approx(0.05, abs=0.02)
    assert sharp.bone_columns == 1.0
