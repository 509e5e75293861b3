"""The policy: the same frames give the same decisions anywhere, and a bad model file says what is wrong with it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from us_grid_sim.dataset.grid import PreprocessedGrid
from us_grid_sim.envs.sacrum_nav import SacrumNavEnv
from us_grid_sim.errors import FrameError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, Action
from us_nav_agent.deciders.dqn import DqnDecider, MsDqnDecider, decide
from us_nav_agent.errors import ModelError
from us_nav_agent.networks.batches import one_thread
from us_nav_agent.networks.dueling import MIRRORED, DuelingNetwork, NetworkConfig, StopClassifier
from us_nav_agent.policy import Decision, check_digest, find_model, list_models, load_policy, save_policy

Networks = tuple[DuelingNetwork, StopClassifier]
Frames = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def walk() -> Frames:
    """Eight frames uint8 (8, 600, 800) that differ."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 12, 16), dtype=np.uint8)
    return coarse.repeat(50, axis=1).repeat(50, axis=2)


def as_text(decisions: list[Decision]) -> str:
    """Decisions to the last bit."""
    parts = [
        f"{int(one.action)} {one.q_values.tobytes().hex()} {one.state_value.hex()} {one.stop_probability.hex()} "
        f"{one.confidence.hex()}"
        for one in decisions
    ]
    return "\n".join(parts)


def test_the_same_frames_give_the_same_bits_after_a_reset(tiny_model: Path, walk: Frames) -> None:
    policy = load_policy(tiny_model)
    first = [policy.act(frame) for frame in walk]
    assert policy.decisions == 8
    policy.reset()
    assert policy.decisions == 0
    assert as_text([policy.act(frame) for frame in walk]) == as_text(first)


def test_weights_that_half_precision_holds_take_half_the_room_and_lose_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    decider = load_policy(tiny_model).decider
    networks = decider.networks()
    for weights in networks["q_network"].parameters():
        weights.data = weights.half().float()
    saved = load_policy(save_policy(tmp_path / "halved.safetensors", decider)).decider.networks()
    for name, network in networks.items():
        for (part, before), after in zip(network.state_dict().items(), saved[name].state_dict().values(), strict=True):
            assert after.dtype == before.dtype and torch.equal(after, before), part
    kinds = {name: value.dtype for name, value in load_file(tmp_path / "halved.safetensors").items()}
    assert {kind for name, kind in kinds.items() if name.startswith("q_network.")} == {torch.float16}
    assert torch.float32 in {kind for name, kind in kinds.items() if not name.startswith("q_network.")}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_frames_give_the_same_bits_in_another_process(tiny_model: Path, walk: Frames, threads: int) -> None:
    """Also where that process runs torch on another number of threads."""
    policy = load_policy(tiny_model)
    here = as_text([policy.act(frame) for frame in walk])
    np.save(tiny_model.parent / "walk.npy", walk)
    script = (
        "import sys, numpy, torch; from us_nav_agent.policy import load_policy\n"
        f"torch.set_num_threads({threads})\n"
        "policy = load_policy(sys.argv[1])\n"
        "for frame in numpy.load(sys.argv[2]):\n"
        "    one = policy.act(frame)\n"
        "    print(int(one.action), one.q_values.tobytes().hex(), one.state_value.hex(),"
        " one.stop_probability.hex(), one.confidence.hex())\n"
        f"assert torch.get_num_threads() == {threads}\n"
    )
    arguments = [sys.executable, "-c", script, str(tiny_model), str(tiny_model.parent / "walk.npy")]
    there = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120).stdout
    assert there.strip() == here


def test_the_callers_number_of_threads_is_restored(tiny_model: Path, walk: Frames) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        load_policy(tiny_model).act(walk[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_is_loaded_on_one_thread(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    monkeypatch.setattr(MsDqnDecider, "begin", lambda self: threads.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        load_policy(tiny_model)
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_what_a_frame_says_by_itself_may_be_asked_before(tiny_model: Path, walk: Frames) -> None:
    policy = load_policy(tiny_model)
    decider, frames = policy.decider, [policy.preprocess(frame) for frame in walk]
    run, again = decider.begin(), decider.begin()
    with one_thread():
        said = [decider.look(frame) for frame in frames]
        assert as_text([again(*seen) for seen in zip(frames, said, strict=True)]) == as_text(list(map(run, frames)))


def test_a_frame_and_its_mirror_image_show_the_target_alike(tiny_networks: Networks) -> None:
    decider = MsDqnDecider(*tiny_networks, 0.9)
    bank = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    mirrored = np.ascontiguousarray(bank[:, :, ::-1])
    one_by_one = [decider.look(frame) for frame in bank]
    assert one_by_one == pytest.approx([decider.look(frame) for frame in mirrored], abs=1e-6)
    assert decider.stop_probabilities(bank) == pytest.approx(decider.stop_probabilities(mirrored), abs=1e-6)
    assert decider.stop_probabilities(bank) == pytest.approx(one_by_one, abs=1e-6)
    assert len(set(np.round(one_by_one, 4))) > 1


@pytest.mark.parametrize("stops", [False, True])
def test_a_mirrored_back_is_walked_with_up_and_down_exchanged(tiny: NetworkConfig, stops: bool) -> None:
    """One by one and many at a time, by the agent that stops by a classifier and by the one that has a fifth action."""
    torch.manual_seed(0)
    network = DuelingNetwork(replace(tiny, outputs=4 if stops else 5))
    for weights in network.parameters():
        weights.data.add_(torch.randn_like(weights) * 0.05)
    network.advantage[2].bias.data[:2] += 2.0  # a walk up and down, by what the frames show
    decider = MsDqnDecider(network, StopClassifier(tiny), 1.0) if stops else DqnDecider(network)
    bank = np.random.default_rng(6).integers(0, 256, (8, 32, 32), dtype=np.uint8)
    mirrored, order = np.ascontiguousarray(bank[:, :, ::-1]), MIRRORED[: network.config.outputs]
    here, there = (
        [run(frame) for frame in frames]
        for run, frames in zip((decider.begin(), decider.begin()), (bank, mirrored), strict=True)
    )
    assert [one.action for one in there] == [MIRRORED[one.action] for one in here]
    for one, other in zip(here, there, strict=True):
        assert other.q_values[order] == pytest.approx(one.q_values, abs=1e-6)
        assert other.state_value == pytest.approx(one.state_value, abs=1e-6)
    every = np.arange(len(bank))
    steps, mirrored_steps = (decider.walkers(frames, len(bank)) for frames in (bank, mirrored))
    for shift in range(3):
        seen = np.roll(every, shift)
        assert mirrored_steps(every, seen).tolist() == [MIRRORED[action] for action in steps(every, seen)]
    assert decider.state_values(mirrored) == pytest.approx(decider.state_values(bank), abs=1e-6)
    assert {one.action for one in here} == {Action.UP, Action.DOWN}


def test_the_memory_matters(tiny_model: Path, walk: Frames) -> None:
    policy = load_policy(tiny_model)
    alone = policy.act(walk[1])
    policy.reset()
    policy.act(walk[0])
    after_another = policy.act(walk[1])
    assert not np.array_equal(alone.q_values, after_another.q_values)
    assert alone.stop_probability == after_another.stop_probability


def test_the_policy_sees_what_the_environment_shows(
    tiny_networks: Networks, toy_grid: Callable[..., PreprocessedGrid], tmp_path: Path
) -> None:
    """Frame by frame, from pixels and by hand from the environment's observation: the same Q-values to the bit."""
    config = NetworkConfig(FRAME_HEIGHT, FRAME_WIDTH, (0, 0, FRAME_WIDTH, FRAME_HEIGHT), (2, 2, 2, 2), 4)
    torch.manual_seed(3)
    decider = MsDqnDecider(DuelingNetwork(config), StopClassifier(config), 1.0)
    policy = load_policy(save_policy(tmp_path / "full.safetensors", decider))
    toy = toy_grid()
    frames = toy.frames.repeat(19, axis=1)[:, :FRAME_HEIGHT].repeat(25, axis=2)
    large = PreprocessedGrid(toy.name, toy.goals, toy.bins, frames, toy.indices, config.preprocess)
    env = SacrumNavEnv(subjects=[large], stop=False)
    seen, _ = env.reset(seed=0)
    for _ in range(4):
        decision = policy.act(seen["frames"][0])
        with one_thread(), torch.inference_mode():
            values = decider.q_network.both_sides(
                torch.from_numpy(seen["frames"])[None], torch.from_numpy(seen["actions"])[None]
            ).q[0]
        np.testing.assert_array_equal(decision.q_values, values.numpy())
        seen, *_ = env.step(decision.action)


def test_a_frame_of_another_size_is_refused_and_forgotten(tiny_model: Path, walk: Frames) -> None:
    policy = load_policy(tiny_model)
    with pytest.raises(FrameError, match=r"640x480 uint8; expected 800x600"):
        policy.act(np.zeros((480, 640), np.uint8))
    assert policy.decisions == 0
    assert as_text([policy.act(walk[0])]) == as_text([load_policy(tiny_model).act(walk[0])])


Q = np.array([0.1, 0.3, -0.2, 0.3], dtype=np.float32)


def test_the_stop_classifier_is_asked_first() -> None:
    decision = decide(Q, 0.1, 0.6, threshold=0.6)
    assert decision.action is Action.STOP
    assert decision.confidence == 0.6


def test_below_the_threshold_the_best_move_is_taken() -> None:
    decision = decide(Q, 0.1, 0.59, threshold=0.6)
    assert decision.action is Action.DOWN, "of equal moves the first"
    share = 1 / (2 + np.exp(-0.2 / 0.05) + np.exp(-0.5 / 0.05))
    assert decision.confidence == pytest.approx(0.41 * share, rel=1e-6)


def test_confidence_stays_a_probability_for_any_values() -> None:
    for scale in (0.0, 1.0, 1e4, 1e30):
        assert 0.0 <= decide(Q * np.float32(scale), 0.0, 0.0, threshold=0.5).confidence <= 1.0


def test_a_loaded_policy_is_the_saved_one(tiny_model: Path, tiny: NetworkConfig, tiny_networks: Networks) -> None:
    policy = load_policy(str(tiny_model))
    decider = policy.decider
    assert isinstance(decider, MsDqnDecider)
    assert (policy.name, decider.threshold, decider.config, policy.targets) == ("tiny", 0.9, tiny, ("sacrum",))
    assert policy.preprocess == tiny.preprocess
    assert policy.sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    for saved, loaded in zip(tiny_networks, (decider.q_network, decider.stop_classifier), strict=True):
        assert not loaded.training
        for name, value in saved.state_dict().items():
            assert torch.equal(value, loaded.state_dict()[name])


def test_the_same_weights_are_the_same_file(tiny: NetworkConfig, tiny_networks: Networks, tmp_path: Path) -> None:
    files = [save_policy(tmp_path / f"{number}.safetensors", MsDqnDecider(*tiny_networks, 0.9)) for number in range(8)]
    assert len({file.read_bytes() for file in files}) == 1


def test_sha256sum_can_check_the_digest_file(tiny_model: Path) -> None:
    digest, name = tiny_model.with_suffix(".sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(tiny_model.read_bytes()).hexdigest(), "tiny.safetensors")


def test_a_file_that_cannot_be_written_is_reported_and_leaves_nothing(
    tiny: NetworkConfig, tiny_networks: Networks, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot write the model .*free space or choose another folder"):
        save_policy(tmp_path / "file" / "m.safetensors", MsDqnDecider(*tiny_networks, 0.5))


def test_a_disk_that_fills_up_keeps_the_model_that_was_there(
    tiny: NetworkConfig, tiny_networks: Networks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(file: Path, content: bytes) -> int:
        write(file, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ModelError, match="No space left"):
        save_policy(tiny_model, MsDqnDecider(*tiny_networks, 0.5))
    load_policy(tiny_model)
    assert sorted(file.name for file in tiny_model.parent.iterdir()) == ["tiny.safetensors", "tiny.sha256"]


def sealed(path: Path) -> Path:
    """Write the right SHA-256 beside a file that a test has tampered with."""
    path.with_suffix(".sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    return path


def rewritten(path: Path, metadata: dict[str, str] | None, drop: str = "") -> Path:
    """The same weights, less those that begin with ``drop``, under other metadata."""
    weights = {name: value for name, value in load_file(path).items() if not (drop and name.startswith(drop))}
    save_file(weights, path, metadata)
    return sealed(path)


def described(**changes: Any) -> dict[str, str]:
    """Metadata of a tiny model with changes in its configuration."""
    network = {"height": 32, "width": 32, "roi": [0, 0, 800, 600], "widths": [4, 4, 8, 8], "hidden": 16}
    content = {"network": network | {k: v for k, v in changes.items() if k != "threshold"}, "threshold": 0.5}
    content |= {k: v for k, v in changes.items() if k == "threshold"}
    return {"kind": "usnav-ms-dqn-2", "config": json.dumps(content)}


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit flipped": (
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
        r"corrupt, its SHA-256 is .* and should be .*; copy it again",
    ),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:1000]), "corrupt, its SHA-256"),
    "empty": (lambda path: path.write_bytes(b""), "corrupt, its SHA-256"),
    "no digest": (lambda path: path.with_suffix(".sha256").unlink(), r"no SHA-256 in tiny\.sha256 beside it"),
    "empty digest": (lambda path: path.with_suffix(".sha256").write_text(""), "no SHA-256 in"),
    "digest not text": (lambda path: path.with_suffix(".sha256").write_bytes(b"\xff\xfe\x80"), "no SHA-256 in"),
    "not safetensors": (lambda path: sealed(path.write_bytes(b"PK\3\4" * 50) and path), "not a safetensors file"),
    "truncated, resealed": (
        lambda path: sealed(path.write_bytes(path.read_bytes()[:1000]) and path),
        "not a safetensors file",
    ),
    "another kind": (lambda path: rewritten(path, {"kind": "landmark"}), "holds 'landmark'; expected a model of kind"),
    "no metadata": (lambda path: rewritten(path, None), "holds None; expected a model of kind"),
    "no configuration": (lambda path: rewritten(path, {"kind": "usnav-ms-dqn-2"}), "its configuration cannot be read"),
    "configuration not JSON": (
        lambda path: rewritten(path, {"kind": "usnav-ms-dqn-2", "config": "{"}),
        "its configuration cannot be read",
    ),
    "unknown setting": (lambda path: rewritten(path, described(depth=3)), "its configuration cannot be read"),
    "threshold 0": (lambda path: rewritten(path, described(threshold=0)), "stop threshold 0.0; expected"),
    "threshold NaN": (lambda path: rewritten(path, described(threshold=float("nan"))), "stop threshold nan; expected"),
    "other widths": (
        lambda path: rewritten(path, described(widths=[4, 4, 8, 16])),
        "weights do not fit the networks it names",
    ),
    "impossible widths": (lambda path: rewritten(path, described(widths=[])), "no network has the shape it names"),
    "impossible size": (lambda path: rewritten(path, described(height="tall")), "no network has the shape it names"),
    "no stop classifier": (
        lambda path: rewritten(path, described(), drop="stop_classifier."),
        "weights do not fit the networks it names",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_model_file_is_named_with_its_fault(tiny_model: Path, fault: str) -> None:
    inject, message = FAULTS[fault]
    inject(tiny_model)
    with pytest.raises(ModelError, match=message) as caught:
        load_policy(tiny_model)
    assert str(tiny_model) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_digest_is_checked_before_anything_is_parsed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model.write_bytes(tiny_model.read_bytes() + b"x")
    monkeypatch.setattr("us_nav_agent.policy.safe_open", lambda *_, **__: pytest.fail("was parsed"))
    with pytest.raises(ModelError, match="corrupt"):
        load_policy(tiny_model)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_a_file_that_may_not_be_read_is_reported(tiny_model: Path) -> None:
    tiny_model.chmod(0)
    with pytest.raises(ModelError, match="cannot be read"):
        check_digest(tiny_model)


def test_models_are_found_by_name_in_the_models_folder(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USNAV_MODELS_DIR", str(tiny_model.parent))
    assert list_models() == [tiny_model]
    assert find_model("tiny") == tiny_model
    assert find_model(tiny_model) == tiny_model


@pytest.mark.parametrize("wanted", ["tinny", "sub/tiny", ""])
def test_a_model_that_is_not_there_is_told_from_those_that_are(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("USNAV_MODELS_DIR", str(tiny_model.parent))
    with pytest.raises(ModelError, match=r"no model .* there is tiny"):
        find_model(wanted)


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.safetensors: no such model file"):
        find_model(tmp_path / "gone.safetensors")


def test_a_model_in_a_run_folder_has_the_folders_name(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vdqn-seed1"
    folder.mkdir()
    save_policy(folder / "model.safetensors", load_policy(tiny_model).decider)
    assert load_policy(folder / "model.safetensors").name == "vdqn-seed1"
