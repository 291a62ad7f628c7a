"""Which number format the layers compute in while training."""

import torch

from sihwa.errors import ConfigError


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of `training.precision`; `auto` is the fastest that the device has.

    Raises:
        ConfigError: The device lacks it.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError("training.precision=fp16 needs a CUDA device; use bf16 or fp32")
    if precision == "auto" and device.type == "cuda":
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    elif precision == "auto":
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        precision = "bf16" if known and known() else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
