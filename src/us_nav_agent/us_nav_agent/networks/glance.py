"""A network on ONNX Runtime, for one picture at a time: there it takes a quarter of the time that it takes in torch.

Many pictures at a time stay with torch, where they cost no more and training needs no second way. Both agree to 1e-4.
"""

import tempfile
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

Floats = npt.NDArray[np.float32]


class Glance:
    """Answers of a network to single pictures; on one thread, so that the same picture gives the same bits.

    Args:
        network: from pictures uint8 (n, 1, h, w) to a tuple of tensors; it is exported as it is at the first call of
            ``prepare`` or of the object.
        height, width: of the pictures [px].
    """

    def __init__(self, network: nn.Module, height: int, width: int) -> None:
        self._network, self._shape = network.eval(), (1, 1, height, width)

    def prepare(self) -> None:
        """Export the network now, which takes a second or two, and not with the first picture."""
        _ = self._session

    def __call__(self, picture: npt.NDArray[np.uint8]) -> tuple[Floats, ...]:
        """What the network says of a picture uint8 (h, w), each answer with a leading axis of 1."""
        return tuple(self._session.run(None, {"picture": picture[None, None]}))

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        picture = torch.zeros(self._shape, dtype=torch.uint8)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # The tracer warns of sizes that it takes for constants, which they are: one picture of one size.
            warnings.simplefilter("ignore")
            file = Path(folder) / "network.onnx"
            torch.onnx.export(self._network, (picture,), file, dynamo=False, input_names=["picture"], opset_version=17)
            return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
