"""Between decisions and their message."""

import array

import numpy as np
from std_msgs.msg import Header
from us_nav_interfaces.msg import NavDecision

from us_nav_agent.policy import Decision


def decision_message(
    decision: Decision, header: Header, step: int, latency: float, model: str, sha256: str
) -> NavDecision:
    """A decision on the frame of ``header``; latency from the frame's arrival [s]."""
    return NavDecision(
        header=header,
        step=step,
        action=int(decision.action),
        q_values=array.array("f", np.asarray(decision.q_values, np.float32).tobytes()),
        state_value=decision.state_value,
        stop_probability=decision.stop_probability,
        confidence=decision.confidence,
        latency=latency,
        model=model,
        model_sha256=sha256,
    )
