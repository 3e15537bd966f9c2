"""What the LSTM layers compute in while they train."""

import torch

from engine.config import Precision


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The type asked for; None, that of the weights, where bfloat16 would only be imitated.

    On a CPU oneDNN's LSTM multiplies in bfloat16 and adds up in float32. On GPUs that is not tried.
    """
    able = device.type == "cpu" and _multiplies_bfloat16()
    return torch.bfloat16 if precision == "bfloat16" and able else None


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it."""
    return torch.cpu._is_avx512_bf16_supported()
