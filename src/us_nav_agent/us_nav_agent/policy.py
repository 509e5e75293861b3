"""From a checkpoint to decisions: the one policy that grid evaluation, the node, bag replay and the robot use."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from us_grid_sim.preprocess import Frame8

from us_nav_agent.deciders import DECIDERS, Decider, Decision
from us_nav_agent.errors import ModelError
from us_nav_agent.networks.batches import one_thread

__all__ = [
    "Decision",
    "Policy",
    "check_digest",
    "digest_file",
    "find_model",
    "install_model",
    "list_models",
    "load_policy",
    "models_folder",
    "save_policy",
]

SUFFIX = ".safetensors"
RUN_MODEL = "model.safetensors"
"""Name of the model file in the folder of a training run."""


class Policy:
    """Decides on frames, one after the other, and remembers the last ones and its own actions.

    Attributes:
        name: of the model.
        sha256: of the weights file, 64 hexadecimal digits.
        decider: the networks and their rule.
        preprocess: from an 800 x 600 frame to what the networks see.
        targets: the views that it can find.
    """

    def __init__(self, name: str, sha256: str, decider: Decider) -> None:
        self.name = name
        self.sha256 = sha256
        self.decider = decider
        self.preprocess = decider.preprocess
        self.targets = decider.targets
        self.reset()

    @property
    def decisions(self) -> int:
        """Decisions since the last reset."""
        return self._decisions

    def reset(self, target: str | None = None) -> None:
        """Forget all frames and actions, and set out for ``target``, by default the first of its targets.

        Raises:
            ModelError: it cannot find that.
        """
        self._run = self.decider.towards(target or self.targets[0]).begin()
        self._decisions = 0

    def act(self, frame: Frame8) -> Decision:
        """Decide on ``frame``, uint8 (600, 800), and remember it and the decision.

        Raises:
            FrameError: the frame has another size or type; nothing is remembered.
        """
        small = self.preprocess(frame)
        with one_thread():
            decision = self._run(small)
        self._decisions += 1
        return decision


def save_policy(path: Path, decider: Decider) -> Path:
    """Write weights and configuration to ``path`` (.safetensors) and its SHA-256 beside it; returns ``path``.

    Weights that half precision holds without loss are written in it.

    Raises:
        ModelError: the file cannot be written; what was there before is kept.
    """
    weights = {
        f"{prefix}.{name}": _shortest(value.contiguous())
        for prefix, network in decider.networks().items()
        for name, value in network.state_dict().items()
    }
    config = json.dumps(decider.content(), sort_keys=True)
    return _write(path, _serialised(weights, {"kind": decider.kind, "config": config}))


def install_model(source: Path, name: str) -> Path:
    """Copy a model file into the models folder by ``name``; returns the copy.

    Raises:
        ModelError: it is corrupt, or the copy cannot be written.
    """
    check_digest(source)
    copy = _write(models_folder() / f"{name}{SUFFIX}", source.read_bytes())
    shutil.copymode(source, copy)
    return copy


def _write(path: Path, data: bytes) -> Path:
    """Write a weights file whole or not at all, then its SHA-256; returns ``path``."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        digest = _digest(partial)
        partial.replace(path)
        digest_file(path).write_text(f"{digest}  {path.name}\n")
    except OSError as error:
        raise ModelError(f"{path}: cannot write the model ({error}); free space or choose another folder") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def _shortest(weights: torch.Tensor) -> torch.Tensor:
    """The same numbers, in half precision where that loses nothing."""
    half = weights.half() if weights.dtype == torch.float32 else weights
    return half if torch.equal(half.to(weights.dtype), weights) else weights


def _serialised(weights: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file whose bytes, and so its SHA-256, depend on nothing but its content.

    The library writes the metadata in an order that changes from process to process.
    """
    data: bytes = save(weights, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


@one_thread()
def load_policy(name_or_path: str | Path) -> Policy:
    """Load a model by its name in the models folder or by its path.

    On one thread: its many small steps take up to four times as long where threads wait for one another.

    Raises:
        ModelError: there is no such model, or its file is corrupt or of another kind.
    """
    path = find_model(name_or_path)
    sha256 = check_digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file ({error}); train or copy it again") from None
    decider = _described(path, metadata)
    for prefix, network in decider.networks().items():
        start = f"{prefix}."
        part = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
        try:
            network.load_state_dict(part)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            raise ModelError(f"{path}: weights do not fit the networks it names ({problem})") from None
    name = path.parent.name if path.name == RUN_MODEL else path.stem  # in a run folder every model has that name
    return Policy(name, sha256, decider)


def _described(path: Path, metadata: Mapping[str, str]) -> Decider:
    """The decider that a model file describes, with weights still to be loaded."""
    kind = metadata.get("kind")
    if kind not in DECIDERS:
        raise ModelError(
            f"{path}: holds {kind!r}; expected a model of kind {' or '.join(map(repr, DECIDERS))} "
            "(usnav train makes one; one of another version has to be trained anew)"
        )
    try:
        build = DECIDERS[kind].builder(json.loads(metadata["config"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: its configuration cannot be read ({error}); train or copy it again") from None
    try:
        return build()
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        problem = str(error).splitlines()[0]
        raise ModelError(f"{path}: no network has the shape it names ({problem}); train or copy it again") from None


def digest_file(path: Path) -> Path:
    """Where the SHA-256 of a weights file is written, in the form of sha256sum."""
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_digest(path: Path) -> str:
    """The SHA-256 of a weights file.

    Raises:
        ModelError: it differs from the one beside the file, or there is none.
    """
    try:
        expected = digest_file(path).read_text().split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise ModelError(
            f"{path}: no SHA-256 in {digest_file(path).name} beside it; copy it along, or write it with sha256sum"
        ) from None
    try:
        actual = _digest(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); make it readable or copy it again") from None
    if actual != expected:
        raise ModelError(
            f"{path}: corrupt, its SHA-256 is {actual[:12]}... and should be {expected[:12]}...; copy it again"
        )
    return actual


def models_folder() -> Path:
    """Where models are looked for by name: $USNAV_MODELS_DIR, else models/ of the checkout."""
    return Path(os.environ.get("USNAV_MODELS_DIR") or Path(__file__).resolve().parents[3] / "models")


def list_models() -> list[Path]:
    """The weights files in the models folder, by name."""
    return sorted(models_folder().glob(f"*{SUFFIX}"))


def find_model(name_or_path: str | Path) -> Path:
    """The weights file of a model given by path or by name.

    Raises:
        ModelError: there is none.
    """
    path = Path(name_or_path)
    if path.suffix == SUFFIX:
        if path.is_file():
            return path
        raise ModelError(f"{path}: no such model file")
    named = models_folder() / f"{path.name}{SUFFIX}"
    if path.name != str(name_or_path) or not named.is_file():
        known = ", ".join(model.stem for model in list_models()) or "none"
        raise ModelError(f"no model {str(name_or_path)!r} in {models_folder()}; there is {known}")
    return named
