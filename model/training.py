"""Training: step by step, kept on disk, and continued after any interruption."""

from __future__ import annotations

import csv
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import EngineError
from engine.outputs import whole_file
from model.losses import LOSSES

LOG_COLUMNS = ("step", "seconds", "progress", "learning_rate", "loss")


class BatchesOfSamples(Protocol):
    """Batches by number: stack, truth, weight."""

    def __getitem__(self, number: int, /) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    steps, minutes : how long; exactly one of them is positive. ``steps`` gives the same network again, ``minutes``
        of working time fits a deadline
    learning_rate : highest; the encoders, which start from ImageNet weights, take ``encoder_share`` of it
    warm_up : share of the training in which the learning rate rises; then it falls with a cosine
    averaging : decay of the moving average of the weights, which is the network that is exported
    checkpoint_steps : steps between checkpoints
    """

    steps: int = 0
    minutes: float = 0.0
    loss: str = "dice+cross_entropy"
    learning_rate: float = 1e-3
    encoder_share: float = 0.4
    weight_decay: float = 0.02
    warm_up: float = 0.08
    averaging: float = 0.997
    checkpoint_steps: int = 50
    seed: int = 1

    def __post_init__(self) -> None:
        if (self.steps > 0) == (self.minutes > 0):
            raise ValueError("give either the number of steps or the minutes")


class Training:
    """The state of a training: network, moving average, optimiser, step, seconds of work.

    A folder holds ``checkpoint.pt`` and ``log.csv``. A new Training on the folder of an interrupted one continues from
    its last checkpoint; batches and dropout depend on the step's number alone, so it takes the same way again.
    """

    def __init__(self, network: nn.Module, batches: BatchesOfSamples, settings: TrainingSettings, folder: Path) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.settings, self.folder = settings, folder
        self.step, self.seconds = 0, 0.0
        self._batches, self._loss = batches, LOSSES[settings.loss]
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            groups.setdefault(("encoder" in name, parameter.ndim > 1), []).append(parameter)
        self._optimiser = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "share": settings.encoder_share if is_encoder else 1.0,
                    "weight_decay": settings.weight_decay if is_kernel else 0.0,
                }
                for (is_encoder, is_kernel), parameters in groups.items()
            ],
            lr=settings.learning_rate,
        )
        folder.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._load()
        self._start_log()

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0-1."""
        if self.settings.steps:
            return min(1.0, self.step / self.settings.steps)
        return min(1.0, self.seconds / 60 / self.settings.minutes)

    def run(self, after_checkpoint: Callable[[Training], None] | None = None) -> None:
        """Train to the end.

        Raises
        ------
        EngineError
            ``loss_not_finite`` when the loss is no number.
        """
        while self.progress < 1:
            start = time.monotonic()
            loss = self._take_step()
            self.seconds += time.monotonic() - start
            self.step += 1
            self._rows.append((self.step, f"{self.seconds:.1f}", f"{self.progress:.4f}", f"{self._rate():.3e}", f"{loss:.5f}"))
            if self.step % self.settings.checkpoint_steps == 0 or self.progress >= 1:
                self.save()
                if after_checkpoint:
                    after_checkpoint(self)

    def _take_step(self) -> float:
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        stack, truth, weight = (torch.from_numpy(array) for array in self._batches[self.step])
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate() * group["share"]
        self.network.train()
        logit = self.network(stack.contiguous(memory_format=torch.channels_last))
        loss: Tensor = self._loss(logit, truth, weight)
        if not torch.isfinite(loss):
            raise EngineError(
                "loss_not_finite",
                f"The loss is no longer a number at step {self.step + 1}. The last checkpoint ({self._checkpoint}) is sound: "
                "start again from it with a lower learning rate, and check the samples for values far outside 0-1.",
            )
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        decay = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)
        return loss.item()

    def _rate(self) -> float:
        rising = self.progress / self.settings.warm_up if self.settings.warm_up else 1.0
        falling = (self.progress - self.settings.warm_up) / (1 - self.settings.warm_up)
        share = max(rising, 0.02) if rising < 1 else 0.5 * (1 + math.cos(math.pi * falling))
        return self.settings.learning_rate * share

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint, then the log up to it."""
        state = {
            "settings": dataclasses.asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self._optimiser.state_dict(),
        }
        with whole_file(self._checkpoint) as path:
            torch.save(state, path)
        with open(self.folder / "log.csv", "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self._rows)
        self._rows.clear()

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        if state["settings"] != dataclasses.asdict(self.settings):
            raise EngineError(
                "other_training", f"{self.folder} holds a training with other settings. Choose an empty folder, or the same settings."
            )
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self._optimiser.load_state_dict(state["optimiser"])

    def _start_log(self) -> None:
        """Drop rows that a killed run wrote after its last checkpoint; begin a new log where there is none."""
        self._rows: list[tuple[Any, ...]] = []
        path = self.folder / "log.csv"
        kept: list[list[str]] = []
        if path.exists() and self.step:
            with open(path, newline="", encoding="utf-8") as file:
                kept = [row for row in csv.reader(file) if row and row[0].isdigit() and int(row[0]) <= self.step]
        with whole_file(path) as new, open(new, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([LOG_COLUMNS, *kept])
