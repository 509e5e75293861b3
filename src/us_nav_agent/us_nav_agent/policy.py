"""From a checkpoint to decisions: the one policy that grid evaluation, the node, bag replay and the robot use."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from us_grid_sim.geometry import Action


@dataclass(frozen=True)
class Decision:
    """What the policy made of one frame.

    Attributes:
        action: the action to take.
        q_values: float32 (4,) with a stop classifier, else (5,), in the order of Action [expected discounted return].
        state_value: V(s) of the dueling network [expected discounted return].
        stop_probability: probability that the frame shows the target; NaN without a stop classifier.
        confidence: trust in this decision, 0 to 1.
    """

    action: Action
    q_values: npt.NDArray[np.float32]
    state_value: float
    stop_probability: float
    confidence: float
