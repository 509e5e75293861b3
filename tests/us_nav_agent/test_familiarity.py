"""Familiarity: high of frames like those learnt from, low of dark ones, of other organs and of noise."""

import numpy as np
import pytest
from support.organs import organ_frame
from us_grid_sim.dataset.virtual import render_subject
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.preprocess import Preprocess
from us_nav_agent.familiarity import STATISTICS, Familiarity, Frames, texture

SEEN = Preprocess(48, 48, (186, 0, 428, 600))


@pytest.fixture(scope="module")
def backs() -> list[Frames]:
    """Every second frame of two virtual subjects, and all others: what is learnt from, and what is like it."""
    frames = np.concatenate([render_subject(sample_subject(3, index), "Back", SEEN).frames for index in (0, 1)])
    return [frames[::2], frames[1::2]]


@pytest.fixture(scope="module")
def familiarity(backs: list[Frames]) -> Familiarity:
    return Familiarity.learnt(backs[0], backs[0])


def test_the_statistics_are_those_of_each_band_of_depth() -> None:
    """The deepest eighth is a chequerboard of 100 and 0, all else is grey."""
    frame = np.full((32, 32), 50, np.uint8)
    frame[28:] = 100 * (np.indices((4, 32)).sum(axis=0) % 2)
    found = texture(frame[None])[0].reshape(-1, 6)
    assert found.shape == (STATISTICS // 6, 6)
    assert found[0] == pytest.approx([50, 0, 0, 0, 0, 0], abs=1e-3)
    assert found[7, :4] == pytest.approx([50, 50, 100, 100])
    assert found[7, 5] == 0.5


def test_most_known_frames_are_familiar(familiarity: Familiarity, backs: list[Frames]) -> None:
    said = familiarity(backs[0])
    assert said.shape == (165,)
    assert ((said >= 0) & (said <= 1)).all()
    assert (said > 0.5).mean() == pytest.approx(0.995, abs=0.01)
    assert np.median(said) > 0.8


def test_strange_frames_are_less_familiar_than_others_of_the_same_backs(
    familiarity: Familiarity, backs: list[Frames]
) -> None:
    rng = np.random.default_rng(0)
    strange = {
        "dark": (backs[1] * 0.08).astype(np.uint8),
        "black": np.zeros((3, 48, 48), np.uint8),
        "noise": rng.integers(0, 256, (20, 48, 48), dtype=np.uint8),
        "organs": np.stack([SEEN(organ_frame(rng)) for _ in range(40)]),
    }
    known = np.quantile(familiarity(backs[1]), 0.2)
    for name, frames in strange.items():
        assert np.quantile(familiarity(frames), 0.8) < known, name


def test_it_is_the_same_after_its_weights_were_stored(familiarity: Familiarity, backs: list[Frames]) -> None:
    stored = Familiarity()
    stored.load_state_dict(familiarity.state_dict())
    np.testing.assert_array_equal(stored(backs[1]), familiarity(backs[1]))
