"""PyBullet's window: refused in a line where there is no display; the skin that is drawn is that which is felt."""

from pathlib import Path

import numpy as np
import pytest
from support.arms import ball, gantry_urdf, lying
from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.pybullet_arm import PyBulletArm
from us_grid_sim.world.viewer import mesh_of, require_display


@pytest.mark.parametrize(("display", "said"), [(None, "DISPLAY is not set"), (":987", 'DISPLAY is ":987", which')])
def test_without_a_display_it_is_one_line(monkeypatch: pytest.MonkeyPatch, display: str | None, said: str) -> None:
    if display is None:
        monkeypatch.delenv("DISPLAY", raising=False)
    else:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(UsGridSimError, match=f"viewer: (libX11 is not installed|{said}).*without the viewer"):
        require_display()


def test_an_arm_with_a_window_asks_for_the_display_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UsGridSimError, match="without the viewer"):
        PyBulletArm(gantry_urdf(tmp_path), lying(ball(0.15)), gui=True)


def test_the_surface_lies_on_the_skin() -> None:
    skin = ball(0.15)
    points = skin.surface(every=20)
    assert points.shape == (11, 11, 3)
    for x, y, z in points.reshape(-1, 3):
        assert skin.under(x, y)[0] == pytest.approx(z, abs=1e-12)


def test_each_square_of_the_mesh_is_two_triangles_seen_from_both_sides() -> None:
    points = np.dstack([*np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij"), np.zeros((3, 4))])
    vertices, corners = mesh_of(points)
    triangles = np.array(vertices)[np.array(corners).reshape(-1, 3)]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert len(triangles) == 2 * 2 * (2 * 3)
    assert np.abs(normals[:, 2]).sum() / 2 == pytest.approx(2 * 6.0), "both sides cover the whole of 2 x 3"
    assert normals[:, 2].sum() == pytest.approx(0.0)
