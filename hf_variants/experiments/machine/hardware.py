# Copyright 2026 The hf_variants authors. MIT licence.
"""How well a run used its hardware: tokens per second; on a GPU also peak memory and model FLOPs utilisation."""

import re

import torch

from ..records import Mark

# TFLOP/s of dense matrix products as the maker states them: with bf16 or fp16 inputs, and in plain float32 (torch's
# default, without TF32). The first row whose words are all in the device's name counts.
PEAK_TFLOPS = {
    "H200": (989.0, 67.0),
    "H100 PCIe": (756.0, 51.0),
    "H100": (989.0, 67.0),
    "A100": (312.0, 19.5),
    "L40S": (362.0, 91.6),
    "L4": (121.0, 30.3),
    "RTX 4090": (165.2, 82.6),
    "RTX 3090": (71.0, 35.6),
    "V100": (125.0, 15.7),
    "T4": (65.0, 8.1),
}


def peak_flops(device: str, mixed_precision: str) -> float | None:
    """FLOP/s that a device can do at most at a recipe's precision; None where its name is not known."""
    words = re.split(r"[\s-]+", device)
    for name, (half, single) in PEAK_TFLOPS.items():
        if set(name.split()) <= set(words):
            return 1e12 * (single if mixed_precision == "no" else half)
    return None


def model_flops_utilisation(flops: float, seconds: float, peak: float | None, devices: int) -> float | None:
    """The share of what the devices can do at most that went into the model's own operations (arXiv:2204.02311, B).

    None where that is not known. Operations that gradient checkpointing repeats do not count.
    """
    return flops / seconds / (peak * devices) if peak and flops and seconds > 0 else None


def start_measuring() -> None:
    """Forgets the memory that earlier work of this process needed."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def speed(last: Mark, mixed_precision: str, devices: int) -> dict[str, float]:
    """Of a run up to its last mark: "tokens_per_second" of training; on a GPU "peak_memory_mb", and "mfu" where it is
    known.

    Memory is that of the first device in this process, since training began or was resumed.
    """
    found = {"tokens_per_second": last.tokens / max(1e-9, last.seconds)}
    if not torch.cuda.is_available():
        return found
    found["peak_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
    peak = peak_flops(torch.cuda.get_device_name(), mixed_precision)
    used = model_flops_utilisation(last.flops, last.seconds, peak, devices)
    return found if used is None else found | {"mfu": used}
