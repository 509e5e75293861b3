"""Between measurements and ROS 2 messages."""

import numpy as np
import numpy.typing as npt
import pinocchio
from geometry_msgs.msg import Pose, Wrench


def pose_message(pose: npt.NDArray[np.float64]) -> Pose:
    """A pose (4, 4) [m] as a message, unit quaternion xyzw."""
    message = Pose()
    # As a new array: of one that was unpickled, whose dtype is its own, the binding keeps the dtype for ever, and of
    # each Quaternion made of a matrix its 80 bytes (eigenpy 3.13). Together 28 MB in an hour of status.
    placed = pinocchio.SE3ToXYZQUATtuple(pinocchio.SE3(np.array(pose.tolist())))
    message.position.x, message.position.y, message.position.z = placed[:3]
    message.orientation.x, message.orientation.y, message.orientation.z, message.orientation.w = placed[3:]
    return message


def wrench_message(wrench: npt.NDArray[np.float64]) -> Wrench:
    """Force [N] and torque [N m] (6,) as a message."""
    message = Wrench()
    message.force.x, message.force.y, message.force.z = (float(value) for value in wrench[:3])
    message.torque.x, message.torque.y, message.torque.z = (float(value) for value in wrench[3:])
    return message
