"""The shipped models: each loads, is small, and has a card that says what it is and how good."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH
from us_nav_agent.deciders import MsDqnDecider
from us_nav_agent.defaults import DEFAULT_MODEL
from us_nav_agent.policy import list_models, load_policy

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = sorted((REPOSITORY / "models").glob("*.safetensors"))


@pytest.fixture(autouse=True)
def shipped_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the checkout, wherever the caller keeps others."""
    monkeypatch.delenv("USNAV_MODELS_DIR", raising=False)


def front_matter(model: Path) -> dict[str, object]:
    card = model.with_suffix(".md").read_text()
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert match, "a card begins with its front matter"
    content = yaml.safe_load(match[1])
    assert isinstance(content, dict)
    return content


def test_there_is_a_default_model_and_it_is_found_by_name() -> None:
    assert MODELS
    assert list_models() == MODELS
    assert load_policy(DEFAULT_MODEL).name == DEFAULT_MODEL


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_model_is_small_and_decides_on_any_frame(model: Path) -> None:
    assert model.stat().st_size < 10 * 2**20
    policy = load_policy(model)
    noise = np.random.default_rng(0).integers(0, 256, (FRAME_HEIGHT, FRAME_WIDTH), dtype=np.uint8)
    for frame in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        decision = policy.act(frame)
        assert np.isfinite(decision.q_values).all()
        assert 0.0 <= decision.confidence <= 1.0
        assert np.isnan(decision.stop_probability) or 0.0 <= decision.stop_probability <= 1.0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_card_says_how_the_model_was_made_and_how_good_it_is(model: Path) -> None:
    card = front_matter(model)
    assert card["name"] == model.stem
    assert card["split"] == {"train": 25, "validation": 4, "test": 5}
    assert isinstance(card["seed"], int)
    assert str(card["command"]).startswith("usnav train ")
    assert f"usnav evaluate {model.stem} " in str(card["evaluation"])
    assert card["targets"] == list(load_policy(model).targets)
    for metric in ("reachability", "policy_correctness"):
        figures = card[metric]
        assert isinstance(figures, dict)
        low, high = figures["interval_95"]
        assert 0.0 <= low <= figures["mean"] <= high <= 1.0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_card_says_what_the_model_is_not_for(model: Path) -> None:
    text = model.with_suffix(".md").read_text().lower()
    assert "simulated frames only" in text
    assert re.search(r"not for\W+patients", text)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_the_threshold_in_the_card_is_that_of_the_model(model: Path) -> None:
    decider = load_policy(model).decider
    if not isinstance(decider, MsDqnDecider):
        pytest.skip("has no threshold")
    stated = re.search(r"threshold ([\d.]*\d)", model.with_suffix(".md").read_text())
    assert stated
    assert float(stated[1]) == pytest.approx(decider.threshold, abs=5e-5)
