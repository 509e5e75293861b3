"""The scoreboard: goals are read strictly, commands answer in one form, and docs/figures.yaml itself is well formed."""

import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("figures", ROOT / "tools" / "figures.py")
assert _spec and _spec.loader
figures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(figures)


def row(**changes: object) -> dict[str, object]:
    filled = dict.fromkeys(figures.FIELDS) | {"name": "fps", "goal": ">= 60", "command": "true", "seconds": 5}
    return filled | changes


@pytest.mark.parametrize(
    ("goal", "measured", "met"),
    [(">= 60", 60, True), (">= 60", 59.9, False), ("< 0.3", 0.3, False), ("<= 0.3", 0.3, True), ("== 0", 0, True)],
)
def test_a_goal_is_met_exactly_where_its_comparison_holds(goal: str, measured: float, met: bool) -> None:
    assert figures.Goal.parse(goal).met(measured) is met


@pytest.mark.parametrize("text", ["60", "about 60", ">= fast", "", "=> 3"])
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(figures.FiguresError, match="is not a comparison and a number"):
        figures.Goal.parse(text)


def test_the_last_line_of_the_output_counts() -> None:
    assert figures.read_answer('working ...\n{"fps": 61.5, "n": 3}\n', "x") == {"fps": 61.5, "n": 3.0}


@pytest.mark.parametrize("output", ["", "done", "[1]", '{"fps": "fast"}', '{"fps": 1}\nbye'])
def test_a_command_without_figures_is_an_error(output: str) -> None:
    with pytest.raises(figures.FiguresError, match="did not end with a line"):
        figures.read_answer(output, "x")


def test_a_failing_command_is_an_error() -> None:
    with pytest.raises(figures.FiguresError, match="exit status 3"):
        figures.measure("exit 3")


def test_rows_need_all_fields_and_a_name_of_their_own() -> None:
    figures.check_rows([row(), row(name="ms")])
    with pytest.raises(figures.FiguresError, match="stands twice"):
        figures.check_rows([row(), row()])
    with pytest.raises(figures.FiguresError, match="has the fields"):
        figures.check_rows([{"name": "fps"}])


def test_without_names_the_quick_rows_are_run_and_with_names_any() -> None:
    rows = [row(), row(name="slow", seconds=500), row(name="new", seconds=None)]
    assert [r["name"] for r in figures.chosen(rows, [])] == ["fps"]
    assert [r["name"] for r in figures.chosen(rows, ["slow"])] == ["slow"]
    with pytest.raises(figures.FiguresError, match="no row fast; rows are fps, slow, new"):
        figures.chosen(rows, ["fast"])


def test_a_measurement_is_the_median_with_its_range() -> None:
    filled = row()
    figures.update(filled, [3.0, 1.0, 2.0], 12.3)
    assert (filled["measured"], filled["spread"], filled["seconds"]) == (2.0, "1 to 3 over 3 runs", 12)


def test_the_scoreboard_is_well_formed() -> None:
    figures.check_rows(yaml.safe_load((ROOT / "docs" / "figures.yaml").read_text()))


def test_the_machine_is_told_with_its_processor(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    assert figures.processor(told) == "processor unknown"
    told.write_text("processor\t: 0\nmodel name\t: Some CPU 9\nflags\t\t: fpu avx2 avx512f avx512dq\n")
    assert figures.processor(told) == "Some CPU 9 with AVX-512"
    told.write_text("model name\t: Old CPU\nflags\t\t: fpu avx2\n")
    assert figures.processor(told) == "Old CPU"
    assert figures.processor(Path("/proc/cpuinfo")) in figures.machine()
