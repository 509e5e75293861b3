"""Lost datagrams: sampled from a seed, and on the wire just those that the record names."""

import time

import numpy as np
import pytest
from iiwa_bridge.fri.client import ClientConfig
from iiwa_bridge.fri.errors import FriSessionError
from iiwa_bridge.fri.losses import NONE, Losses, sample_losses
from iiwa_bridge.fri.sim_controller import SimAddress, SimController

from .support_fri import LOCALHOST, IdealCell, Sine, config, free_port, thread_client, wait_until


def test_as_many_are_lost_as_asked_each_way_and_the_seed_says_which() -> None:
    losses = sample_losses(0.05, seed=3)
    assert losses.lost.mean(axis=0) == pytest.approx([0.05, 0.05], abs=0.01)
    assert np.array_equal(losses.lost, sample_losses(0.05, seed=3).lost)
    assert not np.array_equal(losses.lost, sample_losses(0.05, seed=4).lost)
    assert losses.of(7) == losses.of(7 + len(losses.lost)) == tuple(losses.lost[7])
    assert not sample_losses(0.0, seed=3).lost.any() and NONE.of(10**6) == (False, False)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_none_to_all(share: float) -> None:
    with pytest.raises(FriSessionError, match="expected 0 to 1"):
        sample_losses(share, seed=0)


def test_what_is_lost_never_comes_and_nobody_waits_for_it() -> None:
    # Each tenth message and, five later, each tenth answer.
    lost = np.zeros((10, 2), dtype=bool)
    lost[3, 0] = lost[8, 1] = True
    patience, port = 5.0, free_port()
    network = SimAddress((LOCALHOST, port), (LOCALHOST, 0), patience, Losses(lost))
    begun = time.monotonic()
    with SimController(config(), IdealCell(), network) as controller:
        client = ClientConfig(controller.address, (LOCALHOST, port), 10.0)
        with thread_client(client, Sine()) as answering:
            wait_until(lambda: controller.session.time > 1.5, "1.5 s of the controller")
            counts, status = controller.session.counts, answering.status
            assert status is not None
            share = counts.unanswered / (counts.unanswered + counts.answers)
            heard = status.counts.missed / (status.counts.missed + status.counts.answers)
    assert share == pytest.approx(0.2, abs=0.02)
    assert heard == pytest.approx(0.1, abs=0.02)
    # Sixty answers did not come; had they been waited for, it would have been five minutes.
    assert time.monotonic() - begun < 30.0
