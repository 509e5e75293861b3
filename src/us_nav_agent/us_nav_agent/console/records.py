"""What a feed hands to the console's model: one record a message, free of ROS."""

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import Action, Bin

Picture = npt.NDArray[np.uint8]
"""A frame, uint8 (height, width), row 0 at the skin."""


class Level(IntEnum):
    """Levels of a diagnostic, as diagnostic_msgs numbers them."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


class Session(IntEnum):
    """States of the FRI session, as us_nav_interfaces/ProbeState numbers them."""

    IDLE = 0
    MONITORING_WAIT = 1
    MONITORING_READY = 2
    COMMANDING_WAIT = 3
    COMMANDING_ACTIVE = 4
    NONE = 255


class Phase(Enum):
    """Where a run stands."""

    IDLE = "idle"
    ASKED = "asked"
    RUNNING = "running"
    REACHED = "reached"
    ENDED = "ended"


@dataclass(frozen=True)
class FrameSeen:
    """A frame, stamped at capture [ns]; ``delay`` from there to the console [s], None where clocks do not tell."""

    pixels: Picture
    stamp_ns: int
    delay: float | None = None


@dataclass(frozen=True)
class DecisionSeen:
    """What the policy made of the frame stamped ``stamp_ns``: as us_nav_interfaces/NavDecision, NaN where unknown."""

    stamp_ns: int
    step: int
    action: Action
    q_values: tuple[float, ...]
    state_value: float
    stop_probability: float
    confidence: float
    latency: float
    model: str


@dataclass(frozen=True)
class ProbeSeen:
    """Pose and touch of the probe: ``position`` [m] in ``frame_id``, force on the patient along z of us_probe [N]."""

    stamp_ns: int
    frame_id: str
    position: tuple[float, float, float]
    force: float
    set_point: float
    contact: bool
    session: Session
    steps: int

    @property
    def bin(self) -> Bin | None:
        """The bin under the probe; None where the pose is not given in the patient's frame."""
        return Bin.nearest(self.position[0], self.position[1]) if self.frame_id == "patient" else None


@dataclass(frozen=True)
class JointsSeen:
    """Angles of the joints [rad], with their names."""

    names: tuple[str, ...]
    angles: tuple[float, ...]


@dataclass(frozen=True)
class DiagnosticSeen:
    """What a node says of itself."""

    name: str
    level: Level
    message: str
    hardware: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GoalsSeen:
    """The bins of ``subject`` that show ``target``."""

    subject: str
    target: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class RunSeen:
    """A run has begun, gone on or ended; ``words`` say why."""

    phase: Phase
    target: str
    words: str = ""


Record = FrameSeen | DecisionSeen | ProbeSeen | JointsSeen | DiagnosticSeen | GoalsSeen | RunSeen
