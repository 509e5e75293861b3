"""B-mode frames: what lies where in the picture, and that the same pose gives the same frame."""

import dataclasses

import numpy as np
import pytest
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH, probe_pose
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import JUNCTION_X, contact_pose, sample

WIDTH = round(PROBE_WIDTH / PIXEL_SIZE)
LEFT = (FRAME_WIDTH - WIDTH) // 2


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(
        dataclasses.replace(sample_subject(0), shift_x=0.0, shift_y=0.0, rotation=0.0, curve=0.0, gain=0.0, fat=0.009)
    )


@pytest.fixture(scope="module")
def sacrum(renderer: Renderer) -> np.ndarray:
    return renderer.render(contact_pose(renderer.phantom, JUNCTION_X - 0.03, 0.0, 1.0))[0]


def test_a_frame_is_800_by_600_grey_and_black_beside_the_array(sacrum: np.ndarray) -> None:
    assert sacrum.shape == (FRAME_HEIGHT, FRAME_WIDTH)
    assert sacrum.dtype == np.uint8
    assert sacrum[:, :LEFT].max() == 0
    assert sacrum[:, LEFT + WIDTH :].max() == 0
    assert sacrum[:, LEFT : LEFT + WIDTH].mean() > 20


def test_the_same_pose_gives_the_same_bytes_alone_and_in_a_batch(renderer: Renderer) -> None:
    poses = np.stack([contact_pose(renderer.phantom, x, 0.01, 1.0) for x in (-0.05, 0.0, 0.05)])
    batch = renderer.render(poses)
    alone = Renderer(renderer.record).render(poses[1])
    assert (batch[1] == alone[0]).all()
    assert (batch[0] != batch[1]).any()


def test_the_bone_lies_at_its_depth_with_shadow_behind(renderer: Renderer, sacrum: np.ndarray) -> None:
    pose = contact_pose(renderer.phantom, JUNCTION_X - 0.03, 0.0, 1.0)
    pressed = pose[2, 3] - sample(renderer.phantom.skin, pose[0:1, 3], pose[1:2, 3])[0]
    depth = sample(renderer.phantom.bone, pose[0:1, 3], pose[1:2, 3])[0] - pressed
    column = sacrum[:, FRAME_WIDTH // 2 - 3 : FRAME_WIDTH // 2 + 3].mean(axis=1)
    row = int(column[80:].argmax()) + 80
    assert row * PIXEL_SIZE == pytest.approx(depth, abs=0.0012)
    assert column[row + 40 : row + 100].mean() < 0.25 * column[row - 60 : row - 20].mean()


def test_neighbouring_frames_look_alike_and_distant_ones_do_not(renderer: Renderer) -> None:
    frames = renderer.render(
        np.stack([contact_pose(renderer.phantom, JUNCTION_X + 0.09 + dx, 0.06, 1.0) for dx in (0.0, 0.0003, 0.004)])
    )[:, 150:400, LEFT + 20 : LEFT + WIDTH - 20].astype(float)
    near, far = (np.corrcoef(frames[0].ravel(), frame.ravel())[0, 1] for frame in frames[1:])
    assert near > 0.8
    assert far < 0.7


def test_lifting_the_probe_or_one_edge_of_it_darkens_those_lines(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.05, 0.05, 1.0)
    lifted = pose.copy()
    lifted[2, 3] -= 0.02
    tilted = contact_pose(renderer.phantom, 0.05, 0.05, 1.0, tilt=0.35)
    full, nothing, part = renderer.render(np.stack([pose, lifted, tilted]))[:, 80:300, LEFT : LEFT + WIDTH]
    assert nothing.mean() < 0.15 * full.mean()
    edges = part[:, :30].mean(), part[:, -30:].mean()
    assert min(edges) < 0.3 * max(edges)


def test_a_weak_contact_force_darkens_the_frame(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.05, 0.05, 1.0)
    means = [renderer.render(pose, force)[0, 80:].mean() for force in (0.0, 0.2, 2.0)]
    assert means == sorted(means)
    assert means[0] < 0.8 * means[2]


def test_more_gain_is_brighter(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.0, 0.0, 1.0)
    louder = Renderer(dataclasses.replace(renderer.record, gain=6.0))
    assert louder.render(pose).mean() > renderer.render(pose).mean() + 10


@pytest.mark.parametrize(
    ("pose", "force", "message"),
    [
        (np.full((4, 4), np.nan), 1.0, "not finite"),
        (probe_pose(0.0, 0.0), np.nan, "not finite"),
        (probe_pose(0.0, 0.0), -0.5, r"-0\.500 N is negative"),
        (probe_pose(0.5, 0.0), 1.0, r"x 0\.500, y 0\.000 m is beyond the subject's back"),
    ],
)
def test_wrong_input_is_refused(renderer: Renderer, pose: np.ndarray, force: float, message: str) -> None:
    with pytest.raises(UsGridSimError, match=message):
        renderer.render(pose, force)
