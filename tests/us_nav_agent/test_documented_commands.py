"""Every command that the documents, the help and the benchmarks tell a reader to type is one that usnav takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from us_nav_agent.cli.launch import parse_assignments
from us_nav_agent.cli.launch_file import read_arguments
from us_nav_agent.cli.main import app

UsageError = typer.BadParameter.__base__
ROOT = Path(__file__).resolve().parents[2]
WRITTEN = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("models/*.md")),
    *sorted(ROOT.glob("tests/benchmarks/*.py")),
    *sorted(ROOT.glob("src/*/us_*/**/*.py")),
]
ON_A_LINE = re.compile(r"^[ \t]*(?:\.venv/bin/)?usnav +([a-z].*)$")
IN_A_TEXT = re.compile(r"(?<!`)`usnav ([^`]+)`(?!`)")
PLACEHOLDER = re.compile(r"^(\.\.\.|[A-Z]+)$")


def commands(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Where a command stands and its words; those with an alternative (a|b) or left open (...) are no commands."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        whole = ON_A_LINE.match(line) if file.suffix == ".py" or line.startswith("    ") else None
        for text in [whole[1]] if whole else IN_A_TEXT.findall(line):
            words = shlex.split(text.rstrip("\\"), comments=True)
            if not any("|" in word or PLACEHOLDER.match(word) for word in words):
                yield f"{file.relative_to(ROOT)}:{number}", words


def parse(words: list[str]) -> None:
    """Parse a command as usnav does, down to its last option, without running it."""
    command, name = typer.main.get_command(app), "usnav"
    context = command.make_context(name, list(words))
    while isinstance(command, TyperGroup) and (rest := [*context._protected_args, *context.args]):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        if not rest:  # a text that only names the command
            return
        command, context = found, found.make_context(name, rest, parent=context)
    if name == "launch" and not context.params["show_args"]:
        file = ROOT / "launch" / f"{context.params['file']}.launch.yaml"
        given = parse_assignments(context.params["arguments"] or [])
        assert not set(given) - {argument.name for argument in read_arguments(file)}


WRITTEN_COMMANDS = sorted({(" ".join(words), where) for file in WRITTEN for where, words in commands(file)})


def test_the_documents_tell_commands() -> None:
    assert len(WRITTEN_COMMANDS) > 80


@pytest.mark.parametrize(("text", "where"), WRITTEN_COMMANDS)
def test_a_command_in_a_document_is_taken(text: str, where: str) -> None:
    try:
        parse(shlex.split(text))
    except typer.Exit as leaving:
        assert leaving.exit_code == 0
    except UsageError as error:
        pytest.fail(f"{where}: usnav {text}: {error.format_message()}")


def test_a_command_with_a_wrong_word_is_found() -> None:
    with pytest.raises(UsageError, match="unexpected extra argument"):
        parse(["dataset", "synth", "data/cohort"])
    with pytest.raises(AssertionError):
        parse(["launch", "grid", "subjekt:=1"])
