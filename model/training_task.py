"""What Lightning trains, and how it is kept on disk."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping, Sized
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric, MetricCollection, SumMetric
from torchmetrics.classification import BinaryF1Score, BinaryJaccardIndex, BinaryPrecision, BinaryRecall

from engine.errors import Cancelled, EngineError
from engine.reporting import Reporter
from model.checkpoints import BEST, CHECKPOINTS, read_checkpoint, read_last, write_checkpoint, write_last
from model.companions import Companion, strategy
from model.loading import IGNORED, Batches, Loaded, Numbers, as_loaded
from model.losses import LOSSES
from model.trained_network import take_weights
from model.training_log import EpochRow, Sparingly, TrainingLog
from model.training_settings import Plan, TrainingResult, out_of_memory

STEPS_OF_AN_EPOCH = 50
"""Of samples that never end."""
SECONDS_BETWEEN_MESSAGES = 0.5
LOSSES_UNDERWAY = 8
"""Steps that a GPU may be ahead of the check of its losses."""


def fit(plan: Plan, reporter: Reporter, rank: int, port: int) -> TrainingResult:
    """A process's part of a training."""
    hardware, settings = plan.hardware, plan.settings
    task = Task(plan, reporter, rank)
    task.check_epoch()
    task.take_up()
    if not task.stopped_by:
        loggers = [TensorBoardLogger(plan.folder, name=None, version="tensorboard")] if plan.tensorboard and rank == 0 else False
        trainer = lightning.Trainer(
            accelerator="gpu" if hardware.on_gpu else "cpu",
            devices=hardware.processes,
            strategy=strategy() if hardware.processes > 1 else "auto",
            plugins=[Companion(rank, port)] if hardware.processes > 1 else None,
            precision=hardware.arithmetic,  # type: ignore[arg-type]
            accumulate_grad_batches=settings.accumulate,
            gradient_clip_val=settings.clip or None,
            min_epochs=0,
            max_epochs=-1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=loggers,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=plan.folder,
        )
        try:
            trainer.fit(task)
        except (Cancelled, SIGTERMException) as error:
            raise task.cancelled() from error
        except torch.OutOfMemoryError as error:
            raise out_of_memory(error) from error
        finally:
            task.records.flush()
    return task.result()


class Task(lightning.LightningModule):
    """What Lightning trains: the network, its moving average, and how far it is.

    ``step``, ``epoch`` and ``seconds`` are this training's own, over all its runs; Lightning's begin with each run.
    """

    def __init__(self, plan: Plan, reporter: Reporter, rank: int) -> None:
        super().__init__()
        self.network = plan.network.to(memory_format=torch.channels_last)
        self.averaged = deepcopy(self.network).requires_grad_(False).eval() if plan.settings.averaging else None
        self.figures = MetricCollection(
            {
                "iou": BinaryJaccardIndex(ignore_index=IGNORED),
                "f1": BinaryF1Score(ignore_index=IGNORED),
                "precision": BinaryPrecision(ignore_index=IGNORED),
                "recall": BinaryRecall(ignore_index=IGNORED),
            }
        )
        self.validation_loss, self.truths = MeanMetric(), SumMetric()
        self.plan, self.settings, self.reporter, self.rank = plan, plan.settings, reporter, rank
        self.records = TrainingLog(plan.folder, writes=rank == 0)
        self.step, self.epoch, self.seconds, self.stopped_by = 0, 0, 0.0, ""
        self.best: dict[str, Any] | None = None
        self.epochs_since_best = 0
        self._epoch_losses = (0.0, 0)
        self._step_losses: list[Tensor] = []
        self._underway: list[tuple[int, float, int, Tensor]] = []
        self._moments: dict[str, Any] | None = None
        self._scaler: dict[str, Any] | None = None
        self._validated: dict[str, float | None] = {}
        self._saved, self._told, self._may_save = Sparingly(plan.settings.checkpoint_seconds), 0.0, False
        self._start = self._begin = time.monotonic()
        self._first_progress = 0.0

    # how far it is

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0-1."""
        settings = self.settings
        by_steps = self.step / settings.steps if settings.steps else 0.0
        by_time = self.seconds / 60 / settings.minutes if settings.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def steps_of_an_epoch(self) -> int:
        """Steps in which each sample is seen once; what remains when batches do not go up is left for another epoch."""
        batches = self.plan.batches
        return len(batches) // self.batches_of_a_step if isinstance(batches, Sized) else STEPS_OF_AN_EPOCH

    def check_epoch(self) -> None:
        """Raise an EngineError ``too_few_samples`` where all samples together make no step."""
        if not self.steps_of_an_epoch:
            raise EngineError(
                "too_few_samples",
                f"The samples make {len(self.plan.batches)} batches; one step takes {self.batches_of_a_step}. Lower the batch size or "  # type: ignore[arg-type]
                "accumulate, or train on fewer GPUs.",
            )

    @property
    def batches_of_a_step(self) -> int:
        return self.settings.accumulate * self.plan.hardware.processes

    def numbers(self) -> Iterator[int]:
        """Of the batches of this process to the end of the epoch, from the first that is not yet done."""
        per_step, per_epoch = self.batches_of_a_step, self.steps_of_an_epoch
        batches = self.plan.batches
        epoch, within = divmod(self.step, per_epoch)
        start = epoch * (len(batches) if isinstance(batches, Sized) else per_epoch * per_step)
        return iter(range(start + within * per_step + self.rank, start + per_epoch * per_step, self.plan.hardware.processes))

    # what Lightning asks for

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self.settings
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(("encoder" in name, parameter.ndim > 1), []).append(parameter)
        decays = settings.optimiser == "adamw"
        optimiser = (torch.optim.AdamW if decays else torch.optim.Adam)(
            [
                {
                    "params": parameters,
                    "share": settings.encoder_share if is_encoder else 1.0,
                    "weight_decay": settings.weight_decay if is_kernel and decays else 0.0,
                }
                for (is_encoder, is_kernel), parameters in groups.items()
            ],
            lr=settings.learning_rate,
        )
        if self._moments:
            optimiser.load_state_dict(self._moments)
        return optimiser

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.plan.batches, Numbers(self.numbers), self.plan.hardware.loaders)

    def val_dataloader(self) -> list[DataLoader[Any]] | DataLoader[Any]:
        validation = self.plan.validation
        if validation is None:
            return []
        mine = range(self.rank, len(validation), self.plan.hardware.processes)
        return self._loader(validation, mine, min(self.plan.hardware.loaders, len(mine)))

    def _loader(self, batches: Batches, numbers: Any, workers: int) -> DataLoader[Any]:
        return DataLoader(
            Loaded(batches),
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            pin_memory=self.plan.hardware.on_gpu,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )

    def on_fit_start(self) -> None:
        if self._scaler:
            self.trainer.precision_plugin.load_state_dict(self._scaler)
        self._start = self._begin = time.monotonic()
        self._first_progress = self.progress

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._may_save = False
        if batch_idx % self.settings.accumulate == 0:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self.rate() * group["share"]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        number, stack, truth, weight = as_loaded(batch)
        torch.manual_seed(self.settings.seed * 1_000_003 + number)
        logit = self.network(stack.contiguous(memory_format=torch.channels_last))
        loss = LOSSES[self.settings.loss](logit.float(), truth, weight)
        self._step_losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % self.settings.accumulate:
            self.reporter.check_cancelled()
            return
        losses = torch.stack(self._step_losses)
        self._step_losses = []
        if self.plan.hardware.processes > 1:
            losses = self.all_gather(losses)  # type: ignore[assignment]
        first = as_loaded(batch)[0] - self.rank - self.batches_of_a_step + self.plan.hardware.processes
        self._underway.append((self.step + 1, self.rate(), first, losses.reshape(self.plan.hardware.processes, -1).T))
        if self.averaged is not None:
            self._average()
        now = time.monotonic()
        self.seconds += now - self._begin
        self._begin = now
        if self.settings.minutes and self.plan.hardware.processes > 1:
            self.seconds = float(self.trainer.strategy.reduce(torch.tensor(self.seconds, device=self.device), reduce_op="mean"))
        self.step += 1
        if len(self._underway) > (LOSSES_UNDERWAY if self.plan.hardware.on_gpu else 0):
            self._look_at_losses()
        if self.progress >= 1:
            self.stopped_by = "steps" if self.settings.steps and self.step >= self.settings.steps else "minutes"
            self.trainer.should_stop = True
        elif self.step % self.steps_of_an_epoch:  # at the end of an epoch, validation and its row come first
            self._may_save = True
            self._between_steps()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        _, stack, truth, weight = as_loaded(batch)
        network = self.network if self.averaged is None else self.averaged
        logit = network(stack.contiguous(memory_format=torch.channels_last)).float()
        known = weight > 0
        self.figures.update(torch.sigmoid(logit), torch.where(known, truth, IGNORED).long())
        self.truths.update(truth[known])
        if known.any():
            self.validation_loss.update(LOSSES[self.settings.loss](logit, truth, weight), known.sum())
        self.reporter.check_cancelled()

    def on_validation_epoch_end(self) -> None:
        found = {name: float(value) for name, value in self.figures.compute().items()}
        has_truth = float(self.truths.compute()) > 0
        self._validated = {"validation_loss": float(self.validation_loss.compute()), **(found if has_truth else dict.fromkeys(found))}
        for metric in (self.figures, self.validation_loss, self.truths):
            metric.reset()

    def on_train_epoch_end(self) -> None:
        self._look_at_losses()
        now = time.monotonic()
        self.seconds += now - self._begin
        self._begin = now
        self.epoch += 1
        total, count = self._epoch_losses
        score = self._validated.get("iou")
        is_better = score is not None and (self.best is None or score > self.best["iou"])
        row = EpochRow(self.epoch, self.step, self.seconds, self.rate(), total / max(1, count), **self._validated, best=is_better)
        if is_better:
            self.best, self.epochs_since_best = dataclasses.asdict(row), 0
            if self.rank == 0:
                write_checkpoint(self._checkpoints() / BEST, self.state())
        else:
            self.epochs_since_best += 1
        if self.settings.patience and self.best and self.epochs_since_best >= self.settings.patience and not self.stopped_by:
            self.stopped_by = "patience"
            self.trainer.should_stop = True
        self.records.add_epoch(row)
        if isinstance(self.trainer.logger, TensorBoardLogger):
            values = {name: value for name, value in dataclasses.asdict(row).items() if isinstance(value, float) and name != "seconds"}
            self.trainer.logger.log_metrics(values, self.step)
        self._epoch_losses, self._validated = (0.0, 0), {}
        self._may_save = True
        self._between_steps(last=bool(self.stopped_by))

    # the rest

    def rate(self) -> float:
        """The learning rate at this progress."""
        settings = self.settings
        rising = self.progress / settings.warm_up if settings.warm_up else 1.0
        falling = (self.progress - settings.warm_up) / (1 - settings.warm_up)
        return settings.learning_rate * (max(rising, 0.02) if rising < 1 else 0.5 * (1 + math.cos(math.pi * falling)))

    @torch.no_grad()
    def _average(self) -> None:
        assert self.averaged is not None
        decay = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        now, mean = self.network.state_dict(), self.averaged.state_dict()
        numbers = [name for name, value in mean.items() if value.is_floating_point()]
        torch._foreach_lerp_([mean[name] for name in numbers], [now[name] for name in numbers], 1 - decay)
        for name in mean.keys() - set(numbers):
            mean[name].copy_(now[name])

    def _look_at_losses(self) -> None:
        """Log the losses of the last steps.

        Raises
        ------
        EngineError
            ``loss_not_finite``.
        """
        for step, rate, first, losses in self._underway:
            loss = float(losses.mean())
            if not math.isfinite(loss):
                raise self._no_number(step, [first + i for i, value in enumerate(losses.flatten().tolist()) if not math.isfinite(value)])
            total, count = self._epoch_losses
            self._epoch_losses = (total + loss, count + 1)
            self.records.add_step(step, self.epoch + 1, rate, loss)
            if isinstance(self.trainer.logger, TensorBoardLogger):
                self.trainer.logger.log_metrics({"step/loss": loss, "step/learning_rate": rate}, step)
        self._underway.clear()

    def _no_number(self, step: int, numbers: list[int]) -> EngineError:
        names = getattr(self.plan.batches, "names", None)
        of = f" The samples of the batch: {', '.join(name for number in numbers for name in names(number))}." if names else ""
        return EngineError(
            "loss_not_finite",
            f"The loss is no longer a number at step {step}.{of} The checkpoints in {self.plan.folder} are from before and sound. Look for "
            "values far outside 0-1 in these samples, or train again with a lower learning rate, or with precision 32.",
        )

    def _between_steps(self, last: bool = False) -> None:
        """Save and report, where it is time; a cancelled training is saved on its way out."""
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_MESSAGES or last:
            self._told = now
            self.reporter.progress(min(self.progress, 0.999), self._told_progress())
        self.reporter.check_cancelled()
        if self.rank == 0 and (last or self._saved.is_due()):
            self.save()
        self.records.draw(last)

    def _told_progress(self) -> str:
        rows = self.records.epochs
        parts = [f"Step {self.step}"]
        if isinstance(self.plan.batches, Sized):
            last = math.ceil(self.settings.steps / self.steps_of_an_epoch)
            parts = [f"Epoch {min(self.epoch + 1, last)} of {last}" if last else f"Epoch {self.epoch + 1}"]
        if self.records.losses:
            parts.append(f"loss {self.records.losses[-1]:.3f}")
        if rows and rows[-1].iou is not None:
            parts.append(f"validation IoU {rows[-1].iou:.3f}")
        done = self.progress - self._first_progress
        if done > 0:
            minutes = (time.monotonic() - self._start) / 60 * (1 - self.progress) / done
            parts.append(f"{minutes:.0f} min left" if minutes >= 1 else "less than a minute left")
        return ", ".join(parts)

    # on disk

    def _checkpoints(self) -> Path:
        place = self.plan.folder / CHECKPOINTS
        place.mkdir(exist_ok=True)
        return place

    def state(self) -> dict[str, Any]:
        """What every checkpoint holds."""
        network = self.network if self.averaged is None else self.averaged
        return {
            "description": self.plan.description,
            "weights": network.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "seconds": self.seconds,
        }

    def save(self) -> None:
        """Write the last checkpoint, when the losses so far were numbers."""
        self._look_at_losses()
        self.records.flush()
        course = {
            "network": self.network.state_dict() if self.averaged is not None else None,
            "optimiser": self.trainer.optimizers[0].state_dict(),
            "scaler": self.trainer.precision_plugin.state_dict(),
            "best": self.best,
            "epochs_since_best": self.epochs_since_best,
            "epoch_losses": list(self._epoch_losses),
            "stopped_by": self.stopped_by,
        }
        with self._saved.measured():
            write_last(self.plan.folder, {**self.state(), "course": course})

    def take_up(self) -> None:
        """Go on from the last checkpoint, where there is one, and begin or shorten the log."""
        state = read_last(self.plan.folder, self.reporter)
        if state:
            self._check_own(state)
            course = state["course"]
            path = self.plan.folder / CHECKPOINTS
            take_weights(self.network, course["network"] or state["weights"], path)
            if self.averaged is not None:
                take_weights(self.averaged, state["weights"], path)
            self.step, self.epoch, self.seconds = state["step"], state["epoch"], state["seconds"]
            self.best, self.epochs_since_best, self.stopped_by = course["best"], course["epochs_since_best"], course["stopped_by"]
            self._epoch_losses = tuple(course["epoch_losses"])
            self._moments, self._scaler = course["optimiser"], course["scaler"]
            if self.rank == 0 and not self.stopped_by:
                self.reporter.info(f"Going on from step {self.step}, epoch {self.epoch + 1}.")
        self.records.take_up(self.step, self.epoch)

    def _check_own(self, state: Mapping[str, Any]) -> None:
        for part, code in (("network", "other_network"), ("settings", "other_training")):
            there, here = state["description"][part], self.plan.description[part]
            if "course" not in state or there != here:
                raise EngineError(
                    code,
                    f"The checkpoint in {self.plan.folder} is another's: {difference(part, there, here)}. Choose an empty folder.",
                )

    def cancelled(self) -> Cancelled:
        """What a person who stopped it is told, when it is saved."""
        if self._may_save and self.rank == 0:
            self.save()
        return Cancelled(f"Cancelled at step {self.step}. The same command with the same folder goes on from the last checkpoint.")

    def result(self) -> TrainingResult:
        """The trained network; its checkpoint is the best one."""
        network = self.network if self.averaged is None else self.averaged
        checkpoint = self.plan.folder / CHECKPOINTS / BEST
        if self.best is None and self.rank == 0 and not checkpoint.exists():
            write_checkpoint(checkpoint, self.state())
        elif self.best is not None and self.rank == 0:
            try:
                take_weights(network, read_checkpoint(checkpoint)["weights"], checkpoint)
            except EngineError as error:
                self.reporter.warning(error.code, f"{error.text} The network of the last epoch is taken instead of the best one.")
                write_checkpoint(checkpoint, self.state())
        network = network.cpu().requires_grad_(True).eval()
        return TrainingResult(network, self.step, self.epoch, self.seconds, self.best, self.stopped_by, checkpoint)


def difference(name: str, there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        changed = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        return ", ".join(difference(f"{name} {key}", there.get(key), here.get(key)) for key in changed[:3])
    return f"{name} was {_short(there)}, now it is {_short(here)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
