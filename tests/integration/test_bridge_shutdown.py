"""A signal ends the context while threads still spin: that is the end of them, not an error."""

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")

from iiwa_bridge.ros.shutdown import until_shutdown  # noqa: E402
from rclpy._rclpy_pybind11 import RCLError  # noqa: E402
from rclpy.exceptions import NotInitializedException  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402

pytestmark = pytest.mark.ros


def test_an_executor_that_finds_the_context_gone_ends_without_a_word(ros_env: dict[str, str]) -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    rclpy.shutdown(context=context)
    assert not rclpy.ok()
    with until_shutdown():
        raise RCLError("failed to wait: the given context is not valid")
    with until_shutdown():
        raise NotInitializedException("cannot create node")
    with until_shutdown():
        executor.spin()


def test_an_error_of_rclpy_while_the_context_is_valid_is_raised(ros_env: dict[str, str]) -> None:
    rclpy.init()
    try:
        with pytest.raises(RCLError, match="no memory"), until_shutdown():
            raise RCLError("no memory")
    finally:
        rclpy.shutdown()
