"""On what networks are trained: the device, the arithmetic and the memory layout that serve it."""

from collections.abc import Sequence

import torch


def device() -> str:
    """Where networks are trained."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def computes_in_bfloat16(where: str) -> bool:
    """Whether the machine multiplies in bfloat16 on the device ``where``; a processor without AVX-512 emulates it, nine
    times slower than float32.
    """
    if where == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def layout(widths: Sequence[int]) -> torch.memory_format:
    """In which memory layout convolutions between so many channels are trained.

    Channels last, which is a third faster on a processor. Not with fewer than 8 channels: without AVX-512, oneDNN 3.12
    then writes past the end of its buffer in the backward pass of a 1 x 1 convolution of stride 2, as shortcuts are.
    """
    return torch.channels_last if min(widths) >= 8 else torch.contiguous_format
