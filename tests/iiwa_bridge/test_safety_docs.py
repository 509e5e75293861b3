"""docs/safety.md says what the code does: its tables of states and its limits are those of the code."""

import dataclasses
import re
from pathlib import Path

import pytest
from iiwa_bridge.safety.limits import CommandLimits, MonitorLimits
from iiwa_bridge.safety.table import motions_table, transitions_table


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "safety.md").read_text()


def test_the_tables_of_states_are_those_of_the_code(page: str) -> None:
    for table in (transitions_table(), motions_table()):
        assert table in page, "docs/safety.md is behind: python -m iiwa_bridge.safety.table prints its tables"


@pytest.mark.parametrize(
    ("title", "limits"), [("Limits on what is sent", CommandLimits()), ("Limits on what is measured", MonitorLimits())]
)
def test_the_limits_are_those_of_the_code(page: str, title: str, limits: CommandLimits | MonitorLimits) -> None:
    section = page.split(f"## {title}\n")[1].split("\n## ")[0]
    written = dict(re.findall(r"^\| `(\w+)` \| (\S+)", section, re.MULTILINE))
    assert list(written) == [field.name for field in dataclasses.fields(limits)]
    for name, value in vars(limits).items():
        assert written[name] == (value.name if hasattr(value, "name") else f"{value:g}"), name
