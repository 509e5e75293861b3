"""Between measurements and ROS 2 messages."""

import numpy as np
import numpy.typing as npt
import pinocchio
from geometry_msgs.msg import Pose, Wrench


def pose_message(pose: npt.NDArray[np.float64]) -> Pose:
    """A pose (4, 4) [m] as a message, unit quaternion xyzw."""
    message = Pose()
    message.position.x, message.position.y, message.position.z = (float(value) for value in pose[:3, 3])
    # Sixty times a second, at which scipy's Rotation takes most of what a message takes. As a new array: of one that
    # was unpickled, whose dtype is its own, the binding keeps the dtype for ever (eigenpy 3: 28 MB in an hour).
    turned = pinocchio.Quaternion(np.array(pose[:3, :3].tolist())).coeffs().tolist()
    message.orientation.x, message.orientation.y, message.orientation.z, message.orientation.w = turned
    return message


def wrench_message(wrench: npt.NDArray[np.float64]) -> Wrench:
    """Force [N] and torque [N m] (6,) as a message."""
    message = Wrench()
    message.force.x, message.force.y, message.force.z = (float(value) for value in wrench[:3])
    message.torque.x, message.torque.y, message.torque.z = (float(value) for value in wrench[3:])
    return message
