"""Short videos: of a sweep, and of a run with what the policy made of each frame, beside the path over the grid."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise, repeat
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import COLUMNS, DEPTH, FRAME_HEIGHT, PIXEL_SIZE, ROWS, Bin

from us_nav_agent.bags.run import RunStep
from us_nav_agent.errors import UsNavAgentError

Image = npt.NDArray[np.uint8]

_SIZE = (600, 1240)
_CELL = 28
_GOAL, _PATH, _HERE = (61, 163, 232), (208, 127, 47), (255, 255, 255)
_NAMES = ("up", "down", "left", "right")
FPS = 12
SECONDS_A_STEP = 0.75


def draw_step(steps: Sequence[RunStep], number: int, goals: Sequence[Bin]) -> Image:
    """The picture (600, 1240, 3), BGR, of step ``number``."""
    step = steps[number]
    canvas = np.full((*_SIZE, 3), 28, np.uint8)
    canvas[:, :800] = cv2.cvtColor(step.frame, cv2.COLOR_GRAY2BGR)
    _draw_path(canvas, steps[: number + 1], goals, left=810, top=20)
    _write(canvas, f"step {number}   bin {step.position.row},{step.position.column}", (812, 375))
    _write(canvas, f"action {step.action.name.lower()}", (812, 405), scale=0.7)
    _draw_q(canvas, step, left=812, top=425)
    _write(canvas, "p(stop)", (812, 572))
    right = 900 + round(300 * float(np.nan_to_num(step.stop_probability)))
    cv2.rectangle(canvas, (900, 558), (1200, 576), (80, 80, 80), 1)
    cv2.rectangle(canvas, (900, 558), (right, 576), _GOAL, -1)
    return canvas


def _write(canvas: Image, words: str, place: tuple[int, int], scale: float = 0.55) -> None:
    cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (235, 235, 235), 1, cv2.LINE_AA)


def _draw_path(canvas: Image, steps: Sequence[RunStep], goals: Sequence[Bin], left: int, top: int) -> None:
    def corner(position: Bin) -> tuple[int, int]:
        return left + position.column * _CELL, top + position.row * _CELL

    for row in range(ROWS):
        for column in range(COLUMNS):
            x, y = corner(Bin(row, column))
            cv2.rectangle(canvas, (x, y), (x + _CELL - 2, y + _CELL - 2), (60, 60, 60), -1)
    for goal in goals:
        x, y = corner(goal)
        cv2.rectangle(canvas, (x, y), (x + _CELL - 3, y + _CELL - 3), _GOAL, 2)
    centers = [(x + _CELL // 2 - 1, y + _CELL // 2 - 1) for x, y in (corner(step.position) for step in steps)]
    for before, after in pairwise(centers):
        cv2.line(canvas, before, after, _PATH, 3, cv2.LINE_AA)
    cv2.circle(canvas, centers[-1], 8, _HERE, -1, cv2.LINE_AA)


def _draw_q(canvas: Image, step: RunStep, left: int, top: int) -> None:
    """Bars of the Q-values, the least at zero."""
    low, high = float(step.q_values.min()), float(step.q_values.max())
    for index, value in enumerate(step.q_values[:4]):
        y = top + 26 * index
        length = round(220 * (float(value) - low) / max(high - low, 1e-6))
        colour = _PATH if index == int(step.q_values.argmax()) else (110, 110, 110)
        _write(canvas, _NAMES[index], (left, y + 15))
        cv2.rectangle(canvas, (left + 88, y + 2), (left + 88 + length, y + 18), colour, -1)
        _write(canvas, f"{value:+.3f}", (left + 322, y + 15), 0.5)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep FFmpeg's remark that WebM has no four-letter code for VP8, which is of no consequence, off the screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nothing)
        os.close(kept)


def write_pictures(pictures: Iterable[Image], size: tuple[int, int], file: Path, fps: int = FPS) -> Path:
    """Write pictures, BGR, as a VP8 video (.webm), which browsers and players show; returns ``file``.

    Args:
        pictures: uint8 (rows, columns, 3) each.
        size: rows and columns.
        file: to write.
        fps: pictures a second.

    Raises:
        UsNavAgentError: this OpenCV cannot write it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    with _silence():
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"VP80"), fps, (width, height))
    if not writer.isOpened():
        raise UsNavAgentError(f"{file}: this OpenCV cannot write VP8 video; install opencv-python-headless from PyPI")
    try:
        for picture in pictures:
            writer.write(picture)
    finally:
        writer.release()
    return file


def write_video(steps: Sequence[RunStep], goals: Sequence[Bin], file: Path) -> Path:
    """Write the run as a video; returns ``file``. Raises as ``write_pictures``."""

    def pictures() -> Iterator[Image]:
        for number in range(len(steps)):
            last = number == len(steps) - 1
            yield from repeat(draw_step(steps, number, goals), round(FPS * SECONDS_A_STEP * (3 if last else 1)))

    return write_pictures(pictures(), _SIZE, file)


def draw_frame(frame: Image, words: str) -> Image:
    """The picture (600, 800, 3), BGR, of a frame with words under it and a ruler of 10 mm ticks at its left."""
    canvas = np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)
    for tick in range(1, int(DEPTH / 0.010)):
        y = round(tick * 0.010 / PIXEL_SIZE)
        cv2.line(canvas, (0, y), (12, y), _GOAL, 2)
        _write(canvas, f"{tick * 10} mm", (18, y + 5), 0.45)
    _write(canvas, words, (120, FRAME_HEIGHT - 10))
    return canvas
