"""A process that subscribes to frames as to sensor data and writes the stamp of each [ns], a line each."""

import os

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from us_grid_sim.ros.conversions import IMAGE_QOS, nanoseconds


def main() -> None:
    """Listen until killed."""
    rclpy.init()
    node = Node("listener")
    node.create_subscription(
        Image, "/us/image_raw", lambda image: os.write(1, f"{nanoseconds(image.header.stamp)}\n".encode()), IMAGE_QOS
    )
    rclpy.spin(node)


if __name__ == "__main__":
    main()
