"""From a checkpoint to decisions: the one policy that grid evaluation, the node, bag replay and the robot use."""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from us_grid_sim.geometry import Action
from us_grid_sim.memory import ActionMemory, FrameMemory
from us_grid_sim.preprocess import Frame8

from us_nav_agent.errors import ModelError
from us_nav_agent.networks.ms_dqn import MOVES, MsDqn, NetworkConfig, StopClassifier

SUFFIX = ".safetensors"
_KIND = "usnav-ms-dqn-1"
_TEMPERATURE = 0.05
"""Spread of Q-values that counts as one step's worth: the reward of a step closer."""


@dataclass(frozen=True)
class Decision:
    """What the policy made of one frame.

    Attributes:
        action: the action to take.
        q_values: float32 (4,) with a stop classifier, in the order of Action [expected discounted return].
        state_value: V(s) of the dueling network [expected discounted return].
        stop_probability: probability that the frame shows the target.
        confidence: trust in this decision, 0 to 1. For a stop its probability p; for a move (1 - p) times the share of
            the move in a softmax of the Q-values at the temperature of one step's reward.
    """

    action: Action
    q_values: npt.NDArray[np.float32]
    state_value: float
    stop_probability: float
    confidence: float


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums come in one order, so the same frames give the same bits in any process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def decide(q: npt.NDArray[np.float32], state_value: float, stop_probability: float, threshold: float) -> Decision:
    """The decision on what the networks said: the stop classifier is asked first (Hase et al. 2020, alg. 1)."""
    if stop_probability >= threshold:
        return Decision(Action.STOP, q, state_value, stop_probability, stop_probability)
    move = int(q.argmax())
    share = float(1.0 / np.exp((q.astype(np.float64) - float(q[move])) / _TEMPERATURE).sum())
    return Decision(Action(move), q, state_value, stop_probability, (1.0 - stop_probability) * share)


class Policy:
    """Decides on frames, one after the other, and remembers the last ones and its own actions.

    Attributes:
        name: of the model.
        sha256: of the weights file, 64 hexadecimal digits.
        config: shape of the networks.
        preprocess: from an 800 x 600 frame to what the networks see.
        threshold: stop probability from which the policy stops.
        targets: the views that it can find.
    """

    def __init__(
        self, name: str, sha256: str, config: NetworkConfig, q: MsDqn, stop: StopClassifier, threshold: float
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.config = config
        self.preprocess = config.preprocess
        self.threshold = threshold
        self.targets: tuple[str, ...] = ("sacrum",)
        self.q_network = q.eval()
        self.stop_classifier = stop.eval()
        self._frames = FrameMemory(config.frames)
        self._actions = ActionMemory(config.actions, MOVES)
        self._decisions = 0

    @property
    def decisions(self) -> int:
        """Decisions since the last reset."""
        return self._decisions

    def reset(self) -> None:
        """Forget all frames and actions."""
        self._frames.reset()
        self._actions.reset()
        self._decisions = 0

    def act(self, frame: Frame8) -> Decision:
        """Decide on ``frame``, uint8 (600, 800), and remember it and the decision.

        Raises:
            FrameError: the frame has another size or type; nothing is remembered.
        """
        self._frames.push(self.preprocess(frame))
        frames = torch.from_numpy(self._frames.stacked()).unsqueeze(0)
        actions = torch.from_numpy(self._actions.vector()).unsqueeze(0)
        with one_thread(), torch.inference_mode():
            values = self.q_network(frames, actions)
            stop = float(torch.sigmoid(self.stop_classifier(frames[:, :1]))[0])
        decision = decide(values.q[0].numpy().copy(), float(values.state[0]), stop, self.threshold)
        if decision.action is not Action.STOP:
            self._actions.push(decision.action)
        self._decisions += 1
        return decision


def save_policy(path: Path, config: NetworkConfig, q: MsDqn, stop: StopClassifier, threshold: float) -> Path:
    """Write both networks to ``path`` (.safetensors) and its SHA-256 beside it; returns ``path``.

    Raises:
        ModelError: the file cannot be written; what was there before is kept.
    """
    weights = {f"q_network.{name}": value.contiguous() for name, value in q.state_dict().items()}
    weights |= {f"stop_classifier.{name}": value.contiguous() for name, value in stop.state_dict().items()}
    content = {"network": asdict(config), "threshold": threshold}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(_serialised(weights, {"kind": _KIND, "config": json.dumps(content, sort_keys=True)}))
        digest = _digest(partial)
        partial.replace(path)
        digest_file(path).write_text(f"{digest}  {path.name}\n")
    except OSError as error:
        raise ModelError(f"{path}: cannot write the model ({error}); free space or choose another folder") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


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


def load_policy(name_or_path: str | Path) -> Policy:
    """Load a model by its name in the models folder or by its path.

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
    if metadata.get("kind") != _KIND:
        raise ModelError(f"{path}: holds {metadata.get('kind')!r}; expected a model of kind {_KIND!r}")
    config, threshold = _read_config(path, metadata)
    try:
        q, stop = MsDqn(config), StopClassifier(config)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        problem = str(error).splitlines()[0]
        raise ModelError(f"{path}: no network has the shape it names ({problem}); train or copy it again") from None
    for prefix, network in (("q_network.", q), ("stop_classifier.", stop)):
        part = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        try:
            network.load_state_dict(part)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            raise ModelError(f"{path}: weights do not fit the networks it names ({problem})") from None
    return Policy(path.stem, sha256, config, q, stop, threshold)


def _read_config(path: Path, metadata: dict[str, str]) -> tuple[NetworkConfig, float]:
    try:
        content: dict[str, Any] = json.loads(metadata["config"])
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content["network"].items()
        }
        config, threshold = NetworkConfig(**fields), float(content["threshold"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: its configuration cannot be read ({error}); train or copy it again") from None
    if not 0.0 < threshold <= 1.0 or math.isnan(threshold):
        raise ModelError(f"{path}: stop threshold {threshold}; expected a probability above 0")
    return config, threshold


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
