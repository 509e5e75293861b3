"""PyBullet's window: whether it can be opened, and the skin in it, which is no body of PyBullet's."""

import ctypes
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from us_grid_sim.errors import UsGridSimError
from us_grid_sim.world.skin import Patient

_EVERY = 8
"""Each so manieth place of the skin's maps is a corner of the mesh: 8 mm."""
_COLOUR = (0.87, 0.68, 0.57, 1.0)
_DISTANCE, _YAW, _PITCH = 0.75, 35.0, -35.0
"""Of the camera from the patient [m], and its angles [degrees]."""


def require_display() -> None:
    """Make sure that there is an X display: PyBullet would end the process without one.

    Raises:
        UsGridSimError: there is none.
    """
    named = os.environ.get("DISPLAY", "")
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        raise UsGridSimError("viewer: libX11 is not installed; install libx11-6, or go without the viewer") from None
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        found = f'DISPLAY is "{named}", which cannot be opened' if named else "DISPLAY is not set"
        raise UsGridSimError(f"viewer: {found}; start it in a desktop session, or go without the viewer")
    x11.XCloseDisplay(ctypes.c_void_p(display))


def mesh_of(points: npt.NDArray[np.float64]) -> tuple[list[list[float]], list[int]]:
    """Vertices and the corners of triangles, three each, of a surface (n, m, 3), seen from both sides."""
    rows, columns = points.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]
    front = np.stack([a, b, c, b, d, c], axis=-1).reshape(-1, 3)
    corners = np.concatenate([front, front[:, ::-1]])
    return points.reshape(-1, 3).tolist(), corners.ravel().tolist()


def show_patient(bullet: Any, client: int, patient: Patient) -> None:
    """Draw the skin where the patient lies when nobody breathes, and look at it; nothing is felt of what is drawn."""
    vertices, corners = mesh_of(patient.skin.surface(_EVERY))
    shape = bullet.createVisualShape(
        bullet.GEOM_MESH, vertices=vertices, indices=corners, rgbaColor=_COLOUR, physicsClientId=client
    )
    place = patient.pose[:3, 3].tolist()
    turn = Rotation.from_matrix(patient.pose[:3, :3]).as_quat().tolist()
    bullet.createMultiBody(0.0, -1, shape, place, turn, physicsClientId=client)
    bullet.resetDebugVisualizerCamera(_DISTANCE, _YAW, _PITCH, place, physicsClientId=client)
    bullet.configureDebugVisualizer(bullet.COV_ENABLE_GUI, 0, physicsClientId=client)
