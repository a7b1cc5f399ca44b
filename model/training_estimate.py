"""What a training will take, from a step on a copy of the network: parameters, memory, time."""

from __future__ import annotations

import math
import time
from collections.abc import Sized
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.reporting import Reporter
from model.loading import Batches
from model.losses import LOSSES
from model.networks import Network
from model.networks.network import parameter_count
from model.training_settings import Hardware, TrainingSettings, out_of_memory

LONG_STEP_S = 10.0
"""One that takes longer is not measured twice, though the first is slower than the others."""
PROGRAM_BYTES = 900e6
"""Of torch and Lightning themselves, about."""
VALIDATION_SHARE = 1 / 3
"""Of the time of a batch that is trained on: forward, without gradients."""
MEMORY_FILE = Path("/proc/meminfo")


@dataclass(frozen=True)
class Estimate:
    """``parameters``; ``memory_gb`` at the peak and ``free_gb`` now, of the device (None: unknown); ``seconds_per_step``, loading
    included where nobody else loads; ``steps``; ``minutes`` in all, validation included; ``device``."""

    parameters: int
    memory_gb: float
    free_gb: float | None
    seconds_per_step: float
    loading_share: float
    steps: int
    minutes: float
    device: str

    def tell(self, reporter: Reporter) -> None:
        """Say it, and warn where the memory may not do."""
        free = f" ({self.free_gb:.1f} GB are free)" if self.free_gb is not None else ""
        minutes = f"{self.minutes:.0f} minutes" if self.minutes >= 1 else "less than a minute"
        time_text = minutes if self.minutes < 120 else f"{self.minutes / 60:.1f} hours"
        reporter.info(
            f"{self.parameters / 1e6:.1f} million parameters; about {self.memory_gb:.1f} GB of memory{free}; "
            f"{self.steps} steps of {self.seconds_per_step:.2g} s on {self.device}: {time_text} in all, as busy as it is now."
        )
        if self.free_gb is not None and self.memory_gb > self.free_gb:
            reporter.warning(
                "memory_short",
                f"The training needs about {self.memory_gb:.1f} GB of memory; {self.free_gb:.1f} GB are free on {self.device}. Lower the "
                "batch size (and raise accumulate by as much, which gives the same steps), lower the crop, or choose a smaller network.",
            )


def estimate(
    network: Network, batches: Batches, settings: TrainingSettings, hardware: Hardware, validation: Sized | None = None
) -> Estimate:
    """Take a step on a copy of the network and measure it. The network itself stays as it is.

    On a GPU the memory is what torch allocated at most; on the CPU the sum of weights, gradients, what the optimiser keeps and what the
    step kept to go backward.

    Raises
    ------
    EngineError
        ``gpu_memory`` when a step does not fit on the GPU.
    """
    device = torch.device("cuda" if hardware.on_gpu else "cpu")
    batch, loading_s = _loaded(batches)
    copy = deepcopy(network).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(copy.parameters(), 0.0)
    if hardware.on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    kept = _Kept(copy)
    try:
        seconds = _step(copy, optimiser, batch, settings.loss, device, hardware.arithmetic, kept)
        if seconds < LONG_STEP_S:
            seconds = min(seconds, _step(copy, optimiser, batch, settings.loss, device, hardware.arithmetic, None))
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error) from error
    weights = 4.0 * sum(value.numel() for value in copy.state_dict().values())
    averaged = weights if settings.averaging else 0.0
    if hardware.on_gpu:
        memory = torch.cuda.max_memory_allocated(device) + averaged
        free: float | None = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    else:
        memory = PROGRAM_BYTES + 4 * weights + averaged + kept.total
        free = free_memory()
    del copy, optimiser
    waiting_s = 0.0 if hardware.loaders else loading_s
    step_s = settings.accumulate * (seconds + waiting_s)
    steps = settings.steps or math.ceil(settings.minutes * 60 / step_s)
    train_s = steps * step_s
    if validation is not None and isinstance(batches, Sized):
        epochs = steps / max(1, len(batches) // (settings.accumulate * hardware.processes))
        train_s += epochs * len(validation) * (seconds * VALIDATION_SHARE + waiting_s) / hardware.processes
    minutes = min(train_s / 60, settings.minutes or math.inf)
    return Estimate(
        parameter_count(network),
        round(memory / 1e9, 2),
        None if free is None else round(free / 1e9, 2),
        round(step_s, 4),
        round(loading_s / (loading_s + seconds), 3),
        steps,
        round(minutes, 1),
        hardware.name,
    )


def free_memory() -> float | None:
    """Bytes that programs can still have, None where the system does not tell."""
    if not MEMORY_FILE.is_file():
        return None
    for line in MEMORY_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return None


def _loaded(batches: Batches) -> tuple[tuple[Any, ...], float]:
    """The first batch, and the seconds that the second takes."""
    first = batches[0]
    begin = time.monotonic()
    batches[1]
    return first, time.monotonic() - begin


class _Kept:
    """Adds up what a forward pass keeps for the way back, parameters apart."""

    def __init__(self, network: nn.Module) -> None:
        self.total = 0.0
        self._seen = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def keep(self, value: Tensor) -> Tensor:
        """Count a tensor."""
        storage = value.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return value


def _step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: tuple[Any, ...],
    loss: str,
    device: torch.device,
    arithmetic: str,
    kept: _Kept | None,
) -> float:
    """Seconds of a step."""
    stack, truth, weight = (torch.from_numpy(array).to(device) for array in batch)
    begin = time.monotonic()
    low = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(arithmetic)
    hooks = torch.autograd.graph.saved_tensors_hooks(kept.keep if kept else _as_it_is, _as_it_is)
    with hooks, torch.autocast(device.type, low, enabled=low is not None):
        logit = network(stack.contiguous(memory_format=torch.channels_last))
    value = LOSSES[loss](logit.float(), truth, weight)
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - begin


def _as_it_is(value: Tensor) -> Tensor:
    return value
