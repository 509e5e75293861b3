"""The default model on ONNX Runtime and in torch: one picture at a time says what a batch of them says."""

import numpy as np
import pytest
from us_nav_agent.deciders import BeliefDecider
from us_nav_agent.deciders.whereabouts import Ensemble, Sights, look
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.networks.glance import Glance
from us_nav_agent.policy import load_policy


@pytest.fixture(scope="module")
def decider() -> BeliefDecider:
    decider = load_policy(DEFAULT_MODEL).decider
    assert isinstance(decider, BeliefDecider)
    return decider


@pytest.fixture(scope="module")
def glance(decider: BeliefDecider) -> Glance:
    return Glance(Ensemble(decider.locators), decider.config.height, decider.config.width)


def pictures(decider: BeliefDecider) -> np.ndarray:
    """Noise of all contrasts, smooth ones, flat ones."""
    rng, shape = np.random.default_rng(0), (decider.config.height, decider.config.width)
    noise = [rng.integers(low, low + 1 + spread, shape) for low, spread in ((0, 255), (0, 3), (100, 20), (250, 5))]
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = [127 + 120 * np.sin(x / period) * np.cos(y / period) for period in (2.0, 7.0, 30.0)]
    flat = [np.full(shape, value) for value in (0, 255)]
    return np.stack([*noise, *waves, *flat]).astype(np.uint8)


def test_it_agrees_with_torch_to_a_ten_thousandth(decider: BeliefDecider, glance: Glance) -> None:
    frames = pictures(decider)
    batch = look(decider.locators, frames)
    for number, frame in enumerate(frames):
        single = Sights(*glance(frame))
        for name in ("rows", "columns", "shown"):
            assert getattr(single, name)[0] == pytest.approx(getattr(batch, name)[number], abs=1e-4)


def test_the_same_picture_gives_the_same_bits(decider: BeliefDecider, glance: Glance) -> None:
    frame, other = pictures(decider)[:2]
    first = glance(frame)
    glance(other)
    for before, after in zip(first, glance(frame), strict=True):
        assert before.tobytes() == after.tobytes()


def test_runs_towards_all_targets_share_one_export(decider: BeliefDecider) -> None:
    decider.begin()
    session = decider._glance._session
    for target in decider.targets:
        towards = decider.towards(target)
        towards.begin()
        assert towards._glance._session is session
