"""Fixtures that more than one test folder uses."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def plus_sequence() -> Path:
    """The real tracked ultrasound sequence, which is not part of the product."""
    sequence = SHARED / "data" / "plus" / "SpinePhantomFreehand.igs.mha"
    if not sequence.exists():
        pytest.skip("the real ultrasound sequence is not here: no folder `shared` beside the checkout")
    return sequence


_domains = itertools.cycle(range(1, 101))


def _next_domain() -> int:
    return next(_domains)


@pytest.fixture
def ros_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a test's own ROS 2 domain, for child processes; set in this process too.

    Discovery stays on this machine, the domain is held by no other test run at the same time, and no test before this
    one was in it: what such a one left behind would answer here.
    """
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed: run `make setup`")
    pytest.importorskip("us_nav_interfaces", reason="us_nav_interfaces is not built: run `make setup`")
    assert not rclpy.ok(), "a test before this one left rclpy running"
    from domain_coordinator import domain_id

    with domain_id(_next_domain) as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
        monkeypatch.setenv("PYTHONUNBUFFERED", "1")
        if not os.environ.get("AMENT_PREFIX_PATH"):
            monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)
        yield dict(os.environ)
