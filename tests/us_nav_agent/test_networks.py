"""The networks: what depends on what, and that a deep net without normalisation starts tame."""

from dataclasses import replace

import pytest
import torch
from us_nav_agent.networks.blocks import ResidualBlock, Trunk, normalised
from us_nav_agent.networks.dueling import MOVES, PRESETS, DuelingNetwork, NetworkConfig, StopClassifier

Networks = tuple[DuelingNetwork, StopClassifier]


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def actions() -> torch.Tensor:
    return torch.eye(4).repeat(1, 5)


def test_q_is_the_state_value_plus_the_centred_advantage(
    tiny_networks: Networks, frames: torch.Tensor, actions: torch.Tensor
) -> None:
    values = tiny_networks[0](frames, actions)
    assert values.q.shape == (4, MOVES)
    assert values.state.shape == (4,)
    torch.testing.assert_close(values.q.mean(dim=1), values.state)


def test_the_state_value_sees_no_actions_but_the_advantage_does(
    tiny_networks: Networks, frames: torch.Tensor, actions: torch.Tensor
) -> None:
    first, second = tiny_networks[0](frames, actions), tiny_networks[0](frames, actions.flip(0))
    assert torch.equal(first.state, second.state)
    assert not torch.allclose(first.q, second.q)


def test_every_remembered_frame_counts(tiny_networks: Networks, frames: torch.Tensor, actions: torch.Tensor) -> None:
    before = tiny_networks[0](frames, actions).q
    for place in range(3):
        changed = frames.clone()
        changed[:, place] = frames[:, place].flip(-1)
        assert not torch.allclose(tiny_networks[0](changed, actions).q, before)


def test_a_batch_gives_what_its_samples_give_alone(
    tiny_networks: Networks, frames: torch.Tensor, actions: torch.Tensor
) -> None:
    batch = tiny_networks[0](frames, actions).q
    alone = torch.cat([tiny_networks[0](frames[i : i + 1], actions[i : i + 1]).q for i in range(4)])
    torch.testing.assert_close(batch, alone, atol=1e-5, rtol=0)


def test_frames_are_normalised_each_by_its_own_range() -> None:
    frames = torch.tensor([[[[10, 20], [30, 50]], [[0, 0], [0, 255]]]], dtype=torch.uint8)
    expected = torch.tensor([[[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.0], [0.0, 1.0]]]])
    torch.testing.assert_close(normalised(frames), expected)


def test_gain_and_offset_of_a_frame_change_nothing(tiny_networks: Networks, actions: torch.Tensor) -> None:
    frames = torch.randint(0, 100, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    brighter = frames * 2 + 20
    torch.testing.assert_close(tiny_networks[0](brighter, actions).q, tiny_networks[0](frames, actions).q)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_flat_frame_gives_finite_values(tiny_networks: Networks, actions: torch.Tensor, grey: int) -> None:
    flat = torch.full((4, 3, 32, 32), grey, dtype=torch.uint8)
    assert normalised(flat).abs().max() == 0
    assert tiny_networks[0](flat, actions).q.isfinite().all()
    assert tiny_networks[1](flat[:, :1]).isfinite().all()


def test_a_new_block_adds_nothing_but_a_small_constant_to_its_shortcut() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 8, 6, 6) + 1.0
    added = (ResidualBlock(8, 8, 1)(x) - x).detach()
    torch.testing.assert_close(added, added[:1, :, :1, :1].expand_as(added), atol=1e-6, rtol=0)
    assert added.abs().max() < 0.2


def test_a_new_full_width_trunk_neither_explodes_nor_dies() -> None:
    torch.manual_seed(0)
    trunk = Trunk(3, 64, 64, PRESETS["paper"].widths)
    with torch.no_grad():
        features = trunk(torch.rand(2, 3, 64, 64))
    assert 0.01 < float(features.std()) < 10.0


def test_every_weight_learns_after_the_first_update(tiny: NetworkConfig, frames: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = DuelingNetwork(tiny)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(frames, torch.ones(4, tiny.actions * MOVES)).q.square().sum().backward()
        optimizer.step()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not still


def test_the_trunk_is_a_resnet_18_without_normalisation_and_final_pooling() -> None:
    trunk = Trunk(3, 64, 64, PRESETS["paper"].widths)
    kinds = [type(module).__name__ for module in trunk.modules()]
    on_the_main_path = [m for m in trunk.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(on_the_main_path) == 17
    assert not any("Norm" in kind for kind in kinds)
    assert trunk.size == 512 * 2 * 2


@pytest.mark.parametrize(("preset", "low", "high"), [("lite", 7e5, 9e5), ("paper", 5e7, 1e8)])
def test_presets_are_of_the_size_their_name_says(preset: str, low: float, high: float) -> None:
    network = DuelingNetwork(PRESETS[preset])
    assert low < sum(parameter.numel() for parameter in network.parameters()) < high


def test_the_stop_classifier_gives_one_logit_a_frame(tiny_networks: Networks, frames: torch.Tensor) -> None:
    assert tiny_networks[1](frames[:, :1]).shape == (4,)


@pytest.mark.parametrize(("memory", "outputs"), [(5, 4), (5, 5), (0, 5)])
def test_both_sides_of_a_mirrored_back_have_the_same_values_with_up_and_down_exchanged(
    tiny: NetworkConfig, frames: torch.Tensor, memory: int, outputs: int
) -> None:
    torch.manual_seed(0)
    network = DuelingNetwork(replace(tiny, actions=memory, outputs=outputs)).eval()
    order = [1, 0, 2, 3, 4][:outputs]
    moves = torch.nn.functional.one_hot(torch.arange(4 * memory).view(4, memory) % outputs, outputs).float()
    with torch.inference_mode():
        here = network.both_sides(frames, moves.flatten(1))
        there = network.both_sides(frames.flip(3), moves[..., order].flatten(1))
        one, other = network(frames, moves.flatten(1)), network(frames.flip(3), moves[..., order].flatten(1))
    torch.testing.assert_close(there.q[:, order], here.q)
    torch.testing.assert_close(there.state, here.state)
    torch.testing.assert_close(here.q, (one.q + other.q[:, order]) / 2)
    torch.testing.assert_close(here.state, (one.state + other.state) / 2)
    assert not torch.allclose(one.q, other.q[:, order])


def test_the_stop_classifier_says_of_both_sides_the_mean(tiny_networks: Networks, frames: torch.Tensor) -> None:
    stop, pictures = tiny_networks[1], frames[:, :1]
    with torch.inference_mode():
        mean = (stop(pictures) + stop(pictures.flip(3))) / 2
        torch.testing.assert_close(stop.both_sides(pictures), mean)
        torch.testing.assert_close(stop.both_sides(pictures.flip(3)), mean)
