"""What a training is told: how long and how, on what hardware; and what it says at its end."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.errors import EngineError
from model.loading import Batches, CountedBatches
from model.networks import Network

SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained. The same settings, samples and seed make the same network.

    Parameters
    ----------
    steps, minutes : how long, at least one of them positive: ``steps`` of the optimiser, ``minutes`` of working time; whichever ends
        first. The learning rate follows, so that it has come down by then
    loss : a name of :data:`model.losses.LOSSES`
    optimiser : ``adamw``, or ``adam`` without weight decay
    learning_rate : highest; the encoders, which start from ImageNet weights, take ``encoder_share`` of it
    warm_up : share of the training in which the learning rate rises; then it falls with a cosine
    averaging : decay of the moving average of the weights, which is then the network; 0: none
    clip : norm to which gradients are cut; 0: not at all
    accumulate : batches for each step
    patience : epochs without a better validation score after which it stops; 0: never
    checkpoint_seconds : between checkpoints, at least; so many that they take a twentieth of the time at most
    """

    steps: int = 0
    minutes: float = 0.0
    loss: str = "dice+cross_entropy"
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    encoder_share: float = 0.4
    weight_decay: float = 0.02
    warm_up: float = 0.08
    averaging: float = 0.997
    clip: float = 5.0
    accumulate: int = 1
    patience: int = 0
    checkpoint_seconds: float = SECONDS_BETWEEN_CHECKPOINTS
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.minutes <= 0:
            raise ValueError("give the number of steps or the minutes")


@dataclass(frozen=True)
class Hardware:
    """What a network is trained on: ``device`` auto, cuda or cpu; ``precision`` auto, 32, bf16 or 16; ``gpus`` 0 = all there are (on the
    CPU: that many processes, 0 = one); ``workers`` processes that load samples, 0 = none on the CPU, one for each other core on a GPU."""

    device: str = "auto"
    precision: str = "auto"
    gpus: int = 0
    workers: int = 0

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())

    @property
    def name(self) -> str:
        """For people."""
        if not self.on_gpu:
            return "CPU" if self.processes == 1 else f"CPU, {self.processes} processes"
        return ", ".join(torch.cuda.get_device_name(number) for number in range(self.processes))

    @property
    def processes(self) -> int:
        """How many processes train together, each on a device of its own."""
        return self.gpus or (torch.cuda.device_count() if self.on_gpu else 1)

    @property
    def arithmetic(self) -> str:
        """Precision in Lightning's words."""
        if self.precision == "auto":
            return ("bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed") if self.on_gpu else "32-true"
        return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[self.precision]

    @property
    def loaders(self) -> int:
        """Processes that load samples, of each process that trains."""
        if self.workers or not self.on_gpu:
            return self.workers
        return max(1, min(16, multiprocessing.cpu_count() // self.processes - 1))

    def check(self) -> None:
        """Raise an EngineError, ``no_cuda``, ``gpus`` or ``precision``, where this machine does not have it."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise EngineError(
                "no_cuda", "There is no GPU here that torch can use. Choose the device auto or cpu; doctor says what it found."
            )
        if self.on_gpu and self.processes > torch.cuda.device_count():
            raise EngineError("gpus", f"{self.gpus} GPUs were asked for; there are {torch.cuda.device_count()}.")
        if self.precision == "16" and not self.on_gpu:
            raise EngineError("precision", "The CPU does not train in 16 bit. Choose the precision auto, 32 or bf16.")


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    ``network`` the best one where validation samples chose it, else the last one (the moving average, where there is one), in evaluation
    mode, on the CPU; ``step`` and ``epoch`` at the end; ``seconds`` of work; ``best`` the row of ``epochs.csv`` of the best epoch, None
    without validation; ``stopped_by`` ``steps``, ``minutes`` or ``patience``; ``checkpoint`` the file of ``network``.
    """

    network: Network
    step: int
    epoch: int
    seconds: float
    best: dict[str, Any] | None
    stopped_by: str
    checkpoint: Path


@dataclass(frozen=True)
class Plan:
    """All that a process needs to take part in a training."""

    network: Network
    batches: Batches
    settings: TrainingSettings
    folder: Path
    description: dict[str, Any]
    validation: CountedBatches | None
    hardware: Hardware
    tensorboard: bool


def out_of_memory(error: torch.OutOfMemoryError) -> EngineError:
    """What a GPU that is too small means to a person."""
    return EngineError(
        "gpu_memory",
        "The GPU's memory is used up. Lower the batch size (and raise accumulate by as much, which takes the same steps), lower the crop, "
        f"or choose a smaller network or the CPU. ({str(error).splitlines()[0]})",
    )
