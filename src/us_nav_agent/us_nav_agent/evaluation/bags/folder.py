"""Many bags: each evaluated by itself, and what they come to together."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from us_nav_agent.bags.bag import METADATA_FILE
from us_nav_agent.errors import BagError, UsNavAgentError
from us_nav_agent.evaluation.bags.result import BagResult
from us_nav_agent.evaluation.bootstrap import Summary, summarise
from us_nav_agent.evaluation.stable_json import to_stable_json

_ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")


@dataclass(frozen=True, eq=False)
class FolderResult:
    """What many bags come to.

    Attributes:
        seed: of the intervals.
        bags: that were evaluated, in the order of their names.
        failed: the others by name, with the reason.
        summaries: each measure over the bags, mean with a bootstrap interval.
    """

    seed: int
    bags: tuple[BagResult, ...]
    failed: dict[str, str]
    summaries: dict[str, Summary]

    def to_json(self) -> str:
        """The result as JSON, ending in a newline: the same result gives the same bytes. A missing value is null."""
        content = {
            "seed": self.seed,
            "bags": {
                bag.name: {
                    "model": asdict(bag.model),
                    "target": bag.target,
                    "measures": bag.measures,
                    "damage": bag.damage,
                    "notes": bag.notes,
                }
                for bag in self.bags
            },
            "failed": self.failed,
            "summaries": {name: asdict(summary) for name, summary in self.summaries.items()},
        }
        return to_stable_json(content)


def find_bags(path: Path) -> list[Path]:
    """The bags at ``path``: itself where it is one, else all below it, by name.

    A folder of files without metadata.yaml is one bag where their names differ by a number at the end alone, as those
    of a bag that rosbag2 split; else each file is one.

    Raises:
        BagError: there is none.
    """
    if not path.exists():
        raise BagError(f"{path}: no such bag or folder")
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(_ENDINGS))
    marked = {file.parent for file in path.rglob(METADATA_FILE)}
    found = set(marked)
    for folder in {file.parent for file in files} - marked:
        own = [file for file in files if file.parent == folder]
        stems = {re.sub(r"_\d+$", "", file.name.split(".")[0]) for file in own}
        found.update([folder] if len(stems) == 1 else own)
    if not found:
        raise BagError(f"{path}: no bag in it; expected a bag, or a folder with bags (.mcap, .db3) below")
    return sorted(found)


def bag_name(path: Path, root: Path) -> str:
    """What a bag that was found at ``root`` is called: where it lies below, else its own name."""
    below = [part for part in path.relative_to(root).parts if part != "."]
    return "-".join(below) or path.resolve().name


def evaluate_folder(bags: dict[str, Path], evaluate: Callable[[str, Path], BagResult], seed: int) -> FolderResult:
    """Evaluate bags one by one; a bad one is named and does not stop the others.

    Args:
        bags: by name.
        evaluate: evaluates one of a name.
        seed: of the intervals.

    Raises:
        BagError: none could be evaluated.
    """
    done: list[BagResult] = []
    failed: dict[str, str] = {}
    for name, path in bags.items():
        try:
            done.append(evaluate(name, path))
        except UsNavAgentError as error:
            failed[name] = " ".join(str(error).split())
        except Exception as error:
            # Whatever a broken bag makes of a reader, the others are read; its kind says that it was not foreseen.
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if not done:
        raise BagError("; ".join(f"{name}: {why}" for name, why in failed.items()))
    summaries = {name: summarise(np.array([[bag.measures[name] for bag in done]]), seed) for name in done[0].measures}
    return FolderResult(seed, tuple(done), failed, summaries)
