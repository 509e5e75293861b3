"""The state machine as the tables of docs/safety.md: `python -m iiwa_bridge.safety.table` prints them."""

from collections.abc import Iterable

from iiwa_bridge.safety.machine import DEADLINES, MOTION, TRANSITIONS, Event, State

_REFUSED = "·"


def transitions_table() -> str:
    """Markdown: a row an event, a column a state; where the event leads, or a dot where it is refused."""
    rows = ([event.value, *(_target(state, event) for state in State)] for event in Event)
    return _markdown(["event while", *(state.value for state in State)], rows)


def motions_table() -> str:
    """Markdown: a row a state; what is sent in it, its deadline, and where the deadline leads."""
    rows = (
        [
            state.value,
            MOTION[state].value,
            f"{DEADLINES[state]:g} s, then {_target(state, Event.TIMEOUT)}" if state in DEADLINES else "none",
        ]
        for state in State
    )
    return _markdown(["state", "what is sent", "deadline"], rows)


def _target(state: State, event: Event) -> str:
    after = TRANSITIONS[state].get(event)
    return _REFUSED if after is None else after.value


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    print(transitions_table(), motions_table(), sep="\n\n")
