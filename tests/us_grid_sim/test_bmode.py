"""B-mode frames: what lies where, how the contact darkens it, and that the same pose gives the same frame.
frame.
"""

import dataclasses

import cv2
import numpy as np
import pytest
from us_grid_sim.bmode.display import Display
from us_grid_sim.bmode.render import Renderer
from us_grid_sim.bmode.transducer import Transducer
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.geometry import FRAME_HEIGHT, FRAME_WIDTH, PIXEL_SIZE, PROBE_WIDTH, probe_pose
from us_grid_sim.phantom.goal import frame_truth, pixel_labels
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.phantom.subject import JUNCTION_X, contact_pose
from us_grid_sim.phantom.tissue import Tissue

WIDTH = round(PROBE_WIDTH / PIXEL_SIZE)
LEFT = (FRAME_WIDTH - WIDTH) // 2


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(
        dataclasses.replace(
            sample_subject(0),
            shift_x=0.0,
            shift_y=0.0,
            rotation=0.0,
            curve=0.0,
            gain=0.0,
            fat=0.009,
            contact=1.0,
            haze=-7.0,
            attenuation=1.0,
            roll=0.0,
        )
    )


@pytest.fixture(scope="module")
def sacrum(renderer: Renderer) -> np.ndarray:
    return renderer.render(contact_pose(renderer.phantom, JUNCTION_X - 0.032, 0.0, 1.0), 1.0)[0]


def test_a_frame_is_800_by_600_grey_and_black_beside_the_array(sacrum: np.ndarray) -> None:
    assert sacrum.shape == (FRAME_HEIGHT, FRAME_WIDTH)
    assert sacrum.dtype == np.uint8
    assert sacrum[:, :LEFT].max() == 0
    assert sacrum[:, LEFT + WIDTH :].max() == 0
    assert sacrum[:, LEFT : LEFT + WIDTH].mean() > 20


def test_the_same_pose_gives_the_same_bytes_alone_and_in_a_batch(renderer: Renderer) -> None:
    poses = np.stack([contact_pose(renderer.phantom, x, 0.01, 1.0) for x in (-0.05, 0.0, 0.05)])
    batch = renderer.render(poses, number=[3, 4, 5])
    alone = Renderer(renderer.record).render(poses[1], number=4)
    # Sums in another order may differ in the last bit of a float, and so by one grey level.
    assert np.abs(batch[1].astype(int) - alone[0]).max() <= 1
    assert (batch[1] == renderer.render(poses, number=[3, 4, 5])[1]).all()
    assert (batch[0] != batch[1]).any()


def test_another_number_changes_the_electronic_noise_and_nothing_else(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.05, 0.05, 1.0)
    one, two = renderer.render(np.stack([pose, pose]), number=[0, 1])[:, :, LEFT : LEFT + WIDTH].astype(float)
    assert 0 < np.abs(one - two)[100:300].mean() < 5
    assert np.corrcoef(one[100:300].ravel(), two[100:300].ravel())[0, 1] > 0.97


def test_bone_lies_where_the_ground_truth_says_with_shadow_behind(renderer: Renderer, sacrum: np.ndarray) -> None:
    pose = contact_pose(renderer.phantom, JUNCTION_X - 0.032, 0.0, 1.0)
    truth = frame_truth(renderer.phantom, pose, lines=WIDTH)
    picture = sacrum[:, LEFT : LEFT + WIDTH].astype(float)
    found = 0
    for column in range(40, WIDTH - 40, 20):
        row = round(truth.depth[column] / PIXEL_SIZE)
        near = picture[row - 15 : row + 16, column - 2 : column + 3].mean(axis=1)
        found += abs(int(near.argmax()) - 15) <= 8 and near.max() > 1.1 * picture[row - 40 : row - 20, column].mean()
        assert picture[row + 60 : row + 160, column].mean() < 0.4 * picture[row - 60 : row - 10, column].mean()
    assert found >= 0.6 * len(range(40, WIDTH - 40, 20)), "steep parts may be dim, but most of the surface is bright"


def test_pixel_labels_agree_with_the_bone_of_the_ground_truth(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, JUNCTION_X + 0.05, 0.01, 1.5)
    labels = pixel_labels(renderer.phantom, pose)[:, LEFT : LEFT + WIDTH]
    truth = frame_truth(renderer.phantom, pose, lines=WIDTH, samples=FRAME_HEIGHT)
    bone = labels == Tissue.BONE
    assert (bone.any(axis=0) == np.isfinite(truth.depth)).all()
    hit = np.isfinite(truth.depth)
    assert np.abs(bone.argmax(axis=0)[hit] * PIXEL_SIZE - truth.depth[hit]).max() < 2 * PIXEL_SIZE
    order = [int(value) for value in labels[:200, WIDTH // 2]]
    assert order.index(Tissue.SKIN) < order.index(Tissue.FAT) < order.index(Tissue.FASCIA)


def test_frames_along_a_path_look_like_a_moving_scan(renderer: Renderer) -> None:
    poses = np.stack([contact_pose(renderer.phantom, JUNCTION_X + 0.09, 0.06, 1.0)] * 4)
    poses[:, 0, 3] += [0.0, 0.0001, 0.0003, 0.006]
    frames = renderer.render(poses, number=[0, 1, 2, 3])[:, 150:400, LEFT + 20 : LEFT + WIDTH - 20].astype(float)
    alike = [np.corrcoef(frames[0].ravel(), frame.ravel())[0, 1] for frame in frames[1:]]
    assert alike[0] > 0.9
    assert alike[1] > 0.7
    assert alike == sorted(alike, reverse=True)
    assert alike[-1] < 0.4


def test_frames_along_the_slope_of_the_skin_do_not_flicker(renderer: Renderer) -> None:
    # The probe follows the skin, so it moves along its beam too.
    for x, y in ((0.0, 0.0), (0.09, 0.06), (-0.08, 0.03)):
        poses = np.stack([contact_pose(renderer.phantom, x, y + step, 1.0) for step in (0.0, 0.0001)])
        one, two = renderer.render(poses, number=[0, 1])[:, 150:400, LEFT + 20 : LEFT + WIDTH - 20].astype(float)
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.93


def test_lifting_the_probe_or_one_edge_of_it_darkens_those_lines(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.05, 0.05, 1.0)
    lifted = pose.copy()
    lifted[2, 3] -= 0.02
    tilted = contact_pose(renderer.phantom, 0.05, 0.05, 1.0, tilt=0.35)
    full, nothing, part = renderer.render(np.stack([pose, lifted, tilted]))[:, 120:400, LEFT : LEFT + WIDTH]
    assert nothing.mean() < 0.15 * full.mean()
    edges = part[:, :30].mean(), part[:, -30:].mean()
    assert min(edges) < 0.3 * max(edges)


def test_a_weak_contact_force_darkens_the_frame(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.05, 0.05, 1.0)
    means = [renderer.render(pose, force)[0, 80:].mean() for force in (0.0, 0.1, 2.0)]
    assert means == sorted(means)
    assert means[0] < 0.5 * means[2]


def test_pressing_harder_brings_bone_nearer(renderer: Renderer) -> None:
    depths = []
    for force in (0.5, 2.0, 5.0):
        pose = contact_pose(renderer.phantom, JUNCTION_X - 0.04, 0.0, force)
        depths.append(float(np.nanmedian(frame_truth(renderer.phantom, pose).depth)))
    assert depths == sorted(depths, reverse=True)
    assert depths[0] - depths[-1] > 0.0015


def test_a_deeper_setting_shows_the_same_tissue_smaller(renderer: Renderer, sacrum: np.ndarray) -> None:
    """Square pixels: at 90 mm the array and its first 70 mm take 7/9 of the rows and columns of the usual setting."""
    pose = contact_pose(renderer.phantom, JUNCTION_X - 0.032, 0.0, 1.0)
    deep = Renderer(renderer.phantom, dataclasses.replace(renderer.transducer, depth=0.09)).render(pose)[0]
    rows, columns = round(FRAME_HEIGHT * 7 / 9), round(FRAME_HEIGHT * PROBE_WIDTH / 0.09)
    left = (FRAME_WIDTH - columns) // 2
    assert deep[:, :left].max() == deep[:, left + columns :].max() == 0
    assert deep[:, left : left + columns].mean(axis=0).min() > 0
    small = cv2.resize(sacrum[:, LEFT : LEFT + WIDTH], (columns, rows), interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(picture, (0, 0), 6).ravel() for picture in (small, deep[:rows, left : left + columns])]
    assert np.corrcoef(*blurred)[0, 1] > 0.97


def test_below_white_a_pixel_lies_by_its_level_over_the_dynamic_range(renderer: Renderer, sacrum: np.ndarray) -> None:
    """White stays white: a pixel that lies at 30 of 60 dB below it lies at 30 of 80."""
    pose = contact_pose(renderer.phantom, JUNCTION_X - 0.032, 0.0, 1.0)
    wide = Renderer(renderer.phantom, display=Display(dynamic_range=80.0)).render(pose)[0]
    part = np.s_[:, LEFT + 1 : LEFT + WIDTH - 1]
    lit = sacrum[part] > 20
    below = [255.0 - picture[part][lit] for picture in (sacrum, wide)]
    # Where a line beside was black, the columns between the lines are not by the law.
    assert np.quantile(np.abs(60.0 * below[0] - 80.0 * below[1]) / 80.0, 0.9) < 2.0


def test_a_depth_at_which_the_array_is_wider_than_the_frame_is_refused() -> None:
    with pytest.raises(UsGridSimError, match=r"depth is 30\.0 mm; expected at least 37\.5 mm"):
        Transducer(depth=0.03)


def test_more_gain_is_brighter(renderer: Renderer) -> None:
    pose = contact_pose(renderer.phantom, 0.0, 0.0, 1.0)
    louder = Renderer(dataclasses.replace(renderer.phantom, record=dataclasses.replace(renderer.record, gain=6.0)))
    assert louder.render(pose).mean() > renderer.render(pose).mean() + 5


@pytest.mark.parametrize(
    ("pose", "force", "message"),
    [
        (np.full((4, 4), np.nan), 1.0, "not finite"),
        (probe_pose(0.0, 0.0), np.nan, "not finite"),
        (probe_pose(0.0, 0.0), -0.5, r"-0\.500 N is negative"),
        (probe_pose(0.5, 0.0), 1.0, r"x 0\.500, y 0\.000 m is beyond the subject's back"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), 1.0, "no rigid motion"),
        (probe_pose(0.0, 0.0, 0.08), 1.0, "face lies 20 mm or more below the skin"),
        (np.eye(3), 1.0, r"poses of shape \(3, 3\); expected \(4, 4\) or \(n, 4, 4\)"),
    ],
)
def test_wrong_input_is_refused(renderer: Renderer, pose: np.ndarray, force: float, message: str) -> None:
    with pytest.raises(UsGridSimError, match=message):
        renderer.render(pose, force)
