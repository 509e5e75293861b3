"""Reports as self-contained HTML: no script, no other file, no network."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from us_grid_sim.geometry import Action

from us_nav_agent.bags.provenance import COMMIT, VERSION
from us_nav_agent.bags.run import RunStep
from us_nav_agent.evaluation.bags.folder import FolderResult
from us_nav_agent.evaluation.bags.pictures import picture_of_force, picture_of_run, picture_of_timing
from us_nav_agent.evaluation.bags.recording import Recording
from us_nav_agent.evaluation.bags.result import BagResult

MEASURES = {
    "recorded_policy_correctness": ("policy correctness, recorded", "%"),
    "recorded_reachability": ("reachability, recorded", "%"),
    "policy_correctness": ("policy correctness, this model", "%"),
    "reachability": ("reachability on the recorded path, this model", "%"),
    "agreement": ("agreement with the recorded decisions", "%"),
    "latency_p50_ms": ("latency p50", "ms"),
    "latency_p95_ms": ("latency p95", "ms"),
    "latency_p99_ms": ("latency p99", "ms"),
    "frame_to_decision_p50_ms": ("frame to decision at the recorder p50", "ms"),
    "frame_to_decision_p95_ms": ("frame to decision at the recorder p95", "ms"),
    "frame_to_decision_p99_ms": ("frame to decision at the recorder p99", "ms"),
    "frame_rate": ("frame rate", "1/s"),
    "frames": ("frames", ""),
    "frames_dropped": ("frames dropped", ""),
    "force_rmse_n": ("force RMSE in contact", "N"),
    "force_peak_n": ("force peak, measured", "N"),
    "true_force_peak_n": ("force peak, true", "N"),
    "time_in_contact_s": ("time in contact", "s"),
    "contact_ends": ("times that contact ended", ""),
    "safety_events": ("safety events", ""),
    "runs": ("runs", ""),
    "decisions": ("decisions", ""),
}
"""What the pages call each measure, and its unit."""
_CARDS = ("recorded_reachability", "policy_correctness", "agreement", "latency_p99_ms", "force_peak_n", "safety_events")
_STYLE = """
:root { --ink: #222; --soft: #666; --line: #ddd; --paper: #faf9f6; --blue: #2f7fd0; --amber: #e8a33d; --red: #c0392b }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1080px; padding: 24px }
h1 { font-size: 26px; margin: 0 } h2 { font-size: 18px; margin: 32px 0 8px }
p { margin: 4px 0 } .soft { color: var(--soft) }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; flex: 1 1 120px }
.card b { display: block; font-size: 22px; color: var(--blue) } .card span { color: var(--soft); font-size: 13px }
table { border-collapse: collapse; background: #fff; border: 1px solid var(--line); margin: 8px 0; max-width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: 5px 12px; text-align: left; overflow-wrap: anywhere }
td.n { text-align: right; font-variant-numeric: tabular-nums } th { background: #f1efe9 }
td.same { background: #e8f1fb } td.other { background: #fdf1df }
.damage { border-left: 4px solid var(--amber); background: #fff8ec; padding: 8px 16px; margin: 12px 0 }
.fault { border-left: 4px solid var(--red); background: #fdeeec; padding: 8px 16px; margin: 12px 0 }
.columns { display: flex; flex-wrap: wrap; gap: 0 40px; align-items: flex-start } a { color: var(--blue) }
img { max-width: 100%; border: 1px solid var(--line); border-radius: 8px; background: #fff }
.wide { overflow-x: auto } .wide td { white-space: nowrap } .wide th { overflow-wrap: normal }
"""


def shown(name: str, value: float) -> str:
    """A measure as people read it; a dash where there is none."""
    if not math.isfinite(value):
        return "-"
    unit = MEASURES[name][1]
    if unit == "%":
        return f"{value:.1%}"
    if not unit:
        return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"  # a mean of counts
    return f"{value:.2f} {unit}"


_DAMAGE, _NOTES = "What could not be read, or not as it was written", "To be known with these figures"


def bag_page(result: BagResult, recording: Recording, pictured: Sequence[Sequence[RunStep]]) -> str:
    """The report of one bag."""
    about = recording.bag.about
    subject = f"{result.subject}, " if result.subject else ""
    seen = {None: "nobody decided then", True: "the model that decided then", False: "another model than decided then"}
    parts = [
        f"<h1>{escape(result.name)}</h1>",
        f'<p class="soft">{escape(subject)}{result.duration:.1f} s, target {escape(result.target)}; '
        f"recorded by usnav {escape(about.get(VERSION, '?'))}, commit {escape(about.get(COMMIT, '?')[:12])}</p>",
        f"<p>Evaluated: <b>{escape(result.model.name)}</b> "
        f'<span class="soft">SHA-256 {escape((result.model.sha256 or "")[:12])}, {seen[result.same_model]}</span></p>',
        _cards(result),
        _lines("fault", "Safety events", [f"{one.at:.1f} s, {one.state}: {one.reason}" for one in result.events]),
        _lines("damage", _DAMAGE, result.damage),
        _lines("damage", _NOTES, result.notes),
        '<div class="columns"><div><h2>Measures</h2>',
        _table(
            ("measure", "value"), ([words, shown(name, result.measures[name])] for name, (words, _) in MEASURES.items())
        ),
        "</div><div><h2>Actions</h2>",
        '<p class="soft">Recorded (row), and what the model decides on the same frame (column).</p>',
        _confusion(result),
        "</div></div>",
    ]
    for number, steps in enumerate(pictured):
        title = f"run {number + 1}: the recorded path, {len(steps)} decisions"
        parts.append(_picture(f"Run {number + 1}", picture_of_run(steps, result.goals, title)))
    parts += [_picture("Force", picture_of_force(recording)), _picture("Timing", picture_of_timing(recording))]
    return _page(f"Bag {result.name}", parts)


def folder_page(result: FolderResult) -> str:
    """The report of many bags."""
    together = (
        [words, *(shown(name, value) for value in (one.mean, one.low, one.high))]
        for name, (words, _) in MEASURES.items()
        for one in (result.summaries[name],)
    )
    targets = ", ".join(sorted({bag.target for bag in result.bags}))
    failed = [f"{name}: {why}" for name, why in result.failed.items()]
    damaged = [f"{bag.name}: {line}" for bag in result.bags for line in bag.damage]
    noted = [f"{bag.name}: {line}" for bag in result.bags for line in bag.notes]
    return _page(
        f"{len(result.bags)} bags",
        [
            f"<h1>{len(result.bags)} bags</h1>",
            f'<p class="soft">Target {escape(targets)}; intervals: bootstrap over bags, seed {result.seed}.</p>',
            _lines("fault", "Bags that could not be evaluated", failed),
            "<h2>All bags</h2>",
            _table(("measure", "mean", "95 % from", "to"), together),
            "<h2>Each bag</h2>",
            '<p class="soft">All measures of a bag are in its own report.</p>',
            _bags(result),
            _lines("damage", _DAMAGE, damaged),
            _lines("damage", _NOTES, noted),
        ],
    )


def _bags(result: FolderResult) -> str:
    """The measures of the cards, a bag a row, each with a link to its report beside this page."""
    head = "".join(f"<th>{escape(words)}</th>" for words in ("bag", "target", *(MEASURES[name][0] for name in _CARDS)))
    rows = ""
    for bag in result.bags:
        cells = "".join(f"<td class=n>{shown(name, bag.measures[name])}</td>" for name in _CARDS)
        link = f'<a href="{quote(bag.name)}.html">{escape(bag.name)}</a>'
        rows += f"<tr><td>{link}</td><td>{escape(bag.target)}</td>{cells}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _page(title: str, parts: Iterable[str]) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _cards(result: BagResult) -> str:
    cards = (
        f'<div class="card"><b>{shown(name, result.measures[name])}</b><span>{escape(MEASURES[name][0])}</span></div>'
        for name in _CARDS
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _lines(kind: str, title: str, lines: Sequence[str]) -> str:
    """A box with a title and lines; nothing where there is none."""
    if not lines:
        return ""
    return f'<div class="{kind}"><b>{title}</b>{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(
        f"<tr><td>{escape(row[0])}</td>{''.join(f'<td class=n>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>{body}</table>"


def _confusion(result: BagResult) -> str:
    names = [action.name.lower() for action in Action]
    rows = ""
    for row, name in enumerate(names):
        cells = ""
        for column, count in enumerate(result.confusion[row].tolist()):
            kind = "" if not count else " same" if row == column else " other"
            cells += f'<td class="n{kind}">{count}</td>'
        rows += f"<tr><th>{name}</th>{cells}</tr>"
    return f"<table><tr><th></th>{''.join(f'<th>{name}</th>' for name in names)}</tr>{rows}</table>"


def _picture(title: str, data: str | None) -> str:
    return f'<h2>{escape(title)}</h2><img alt="{escape(title)}" src="{data}">' if data else ""
