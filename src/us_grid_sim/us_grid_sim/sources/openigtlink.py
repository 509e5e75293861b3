"""Frames that PLUS, a scanner or 3D Slicer sends over OpenIGTLink: the client of a server's IMAGE messages."""

import math
import socket
import time

import numpy as np
from pyigtl import ImageMessage, OpenIGTLinkClient

from us_grid_sim.errors import FrameError, SourceError
from us_grid_sim.geometry import FRAME_HEIGHT
from us_grid_sim.sources.base import Frame, SourceInfo
from us_grid_sim.sources.picture import Image, Picture

_CONNECT = 2.0
"""A server that has not answered after so long is not there [s]."""
_WAIT = 0.2
"""Longest wait for one message [s]."""
_LOOK = 0.002
"""Between two looks for a message [s]; pyigtl has no event to wait for."""
_BODY = 1.0
"""A message that stops in its middle for so long ends the connection [s]."""


class OpenIgtLinkDevice:
    """IMAGE messages of an OpenIGTLink server. A :class:`us_grid_sim.sources.reader.Device`.

    Frames are stamped when they arrive: the server's clock is not ours. The size of a pixel is that of the message's
    matrix, unless the picture says another one; a matrix without scale (1 mm) is what servers send that do not know.

    Args:
        host, port: of the server.
        name: the device name whose images are taken; empty: any.
        picture: how its images become frames.
    """

    def __init__(self, host: str, port: int, name: str, picture: Picture) -> None:
        self._host, self._port, self._name, self._picture = host, port, name, picture
        self._client: OpenIGTLinkClient | None = None
        self._spacing = (math.nan, math.nan)

    @property
    def _place(self) -> str:
        return f"openigtlink {self._host}:{self._port}"

    @property
    def info(self) -> SourceInfo:
        """How the frames are acquired; the size of a pixel is known from the first frame on."""
        detail = f"{self._host}:{self._port}" + (f" {self._name}" if self._name else "")
        x, y = self._spacing
        return self._picture.described(SourceInfo(x, y, FRAME_HEIGHT * y * 1e-3, math.nan, "openigtlink", detail))

    def open(self) -> None:
        """Connect to the server.

        Raises:
            SourceError: nobody answers.
        """
        self._client = OpenIGTLinkClient(self._host, self._port, body_receive_timeout_sec=_BODY)
        deadline = time.monotonic() + _CONNECT
        while not self._client.is_connected():
            if time.monotonic() > deadline:
                raise SourceError(f"{self._place}: nobody answers; expected an OpenIGTLink server")
            time.sleep(_LOOK)

    def read(self) -> Frame | None:
        """The newest image, or None where none has come within 0.2 s.

        Raises:
            FrameError: it has the wrong size or type.
            SourceError: the connection is lost.
        """
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline:
            if (message := self._newest()) is not None:
                return self._frame(message)
            self._check_connected()
            time.sleep(_LOOK)
        return None

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.stop()
            self._client = None

    def _newest(self) -> ImageMessage | None:
        assert self._client is not None
        images = [message for message in self._client.get_latest_messages() if isinstance(message, ImageMessage)]
        wanted = [image for image in images if self._name in ("", image.device_name)]
        return wanted[-1] if wanted else None

    def _check_connected(self) -> None:
        """Raise SourceError where the server has closed the connection: pyigtl takes that for silence."""
        assert self._client is not None
        try:
            line = self._client.socket
            closed = line is not None and line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            closed = True
        if closed or not self._client.is_connected():
            raise SourceError(f"{self._place}: the server has closed the connection")

    def _frame(self, message: ImageMessage) -> Frame:
        spacing = np.linalg.norm(message.ijk_to_world_matrix[:3, :2], axis=0)
        self._spacing = (math.nan, math.nan) if np.allclose(spacing, 1.0) else (float(spacing[0]), float(spacing[1]))
        image: Image = message.image
        try:
            if image.shape[0] != 1:
                raise FrameError(f"image has {image.shape[0]} slices; expected 1")
            return Frame(self._picture(image[0], "rgb"))
        except FrameError as error:
            raise FrameError(f"{self._place}: {error}") from None
