"""The command ``train``: a network of the registry on a folder of samples. docs/training.md describes it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.outputs import made_folder, written_json
from engine.reporting import Reporter, StagedReporter
from engine.sample_files import SampleSet, read_samples
from jobs import ExportNetworkJob, TrainJob
from model.checkpoints import BEST, CHECKPOINTS, read_checkpoint, write_checkpoint
from model.export_command import export
from model.networks import RandomForest
from model.networks.network import parameter_count
from model.recipes import Recipe
from model.sample_batches import SampleBatches, SampleTiles
from model.trained_network import trained
from model.training import Hardware, TrainingResult, claim, is_begun, run_training
from model.training_estimate import Estimate, estimate
from model.training_log import CURVES, LOG
from model.training_preparation import PreparedTraining, prepared
from model.training_settings import TrainingSettings
from model.validation import Choice, choose

METRICS = "metrics.json"
TRAINED, WRITING = 0.95, 0.97
"""Of the progress; what follows is choosing the threshold, then writing the model."""


def train(job: TrainJob, reporter: Reporter) -> dict[str, Any]:
    """Train a network on a folder of samples, or go on with it.

    Parameters
    ----------
    job : see :class:`jobs.TrainJob`

    Returns
    -------
    ``output`` (folder; :mod:`model.training` says what is in it), ``network``, ``recipe``, ``device_used``, ``samples`` (``train``,
    ``validation``), ``parameters``, ``estimate`` (None where the training went on), ``steps``, ``epochs``, ``minutes``, ``stopped_by``
    (``steps``, ``minutes``, ``patience``; ``fitted`` for a forest; ``estimate`` where nothing was trained), ``best_epoch``, ``iou``,
    ``f1``, ``precision``, ``recall``, ``expected_calibration_error`` (of rock glacier on the validation samples at ``threshold``, None
    without them), ``threshold``, ``temperature``, ``checkpoint``, ``curves``, ``log``, ``metrics``, ``model`` (paths, None where not
    written)

    Raises
    ------
    EngineError
        ``parameter`` for an unknown network, option or start; ``bands_missing`` when the network reads bands that the samples do not
        have; ``no_samples``, ``one_sample``, ``too_few_samples``, ``no_rock_glaciers``, ``no_background``; ``pretrained_missing`` when
        ImageNet weights cannot be had; ``other_network`` for a start of another network; those of
        :func:`engine.sample_files.read_samples`, :func:`model.training.run_training`, :func:`model.trained_network.read_trained`,
        :func:`model.export_command.export`.
    """
    hardware = Hardware(job.device, job.precision, job.gpus, job.workers)
    hardware.check()
    samples = read_samples(job.samples)
    reporter.progress(0.0, "Looking at the samples")
    task = prepared(job, samples, reporter)
    folder = Path(job.output)
    if isinstance(task.network, RandomForest):
        return _fitted(job, task, samples, folder, reporter)
    batches, validation = task.batches(samples, job.seed, hardware.loaders), task.tiles(samples, task.validation)
    settings = task.recipe.settings(_steps(task.recipe, batches, hardware), job.minutes or 0.0, job.seed)
    expected: Estimate | None = None
    if job.estimate or not is_begun(folder):
        reporter.progress(0.0, "Trying a step")
        expected = estimate(task.network, batches, settings, hardware, validation)
        expected.tell(reporter)
    result: dict[str, Any] = {**_said(job, task, hardware), "estimate": asdict(expected) if expected else None}
    if job.estimate:
        return {**result, **dict.fromkeys(RESULTS), "stopped_by": "estimate"}
    with made_folder(folder):
        done = run_training(
            task.network,
            batches,
            settings,
            folder,
            StagedReporter(reporter, 0.0, TRAINED),
            about=task.about(job, samples),
            validation=validation,
            hardware=hardware,
            tensorboard=job.tensorboard,
        )
        return {**result, **_finished(job, done, validation, hardware, folder, reporter)}


RESULTS = (
    "steps", "epochs", "minutes", "stopped_by", "best_epoch", "iou", "f1", "precision", "recall", "expected_calibration_error",
    "threshold", "temperature", "checkpoint", "curves", "log", "metrics", "model",
)  # fmt: skip
"""Of a training that was not only estimated."""


def _steps(recipe: Recipe, batches: SampleBatches, hardware: Hardware) -> int:
    return recipe.epochs * max(1, len(batches) // (recipe.accumulate * hardware.processes))


def _fitted(job: TrainJob, task: PreparedTraining, samples: SampleSet, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """A forest is fitted at once."""
    forest, tiles, validation = task.network, task.tiles(samples, task.train), task.tiles(samples, task.validation)
    assert isinstance(forest, RandomForest)
    assert tiles is not None
    reporter.info(f"A forest of {forest.options.trees} trees is fitted once, on the CPU; epochs and crops do not matter to it.")
    result = {**_said(job, task, Hardware("cpu")), "estimate": None}
    if job.estimate:
        return {**result, **dict.fromkeys(RESULTS), "stopped_by": "estimate"}
    with made_folder(folder):
        settings = TrainingSettings(steps=1, seed=job.seed)
        description = claim(folder, forest, settings, task.about(job, samples))
        if not is_begun(folder):
            reporter.progress(0.1, "Growing the forest")
            began = time.monotonic()
            try:
                forest.fit((tiles[number] for number in range(len(tiles))), job.seed)
            except ValueError as error:
                raise EngineError("no_rock_glaciers", f"The forest cannot be fitted: {error}.") from error
            (folder / CHECKPOINTS).mkdir(exist_ok=True)
            told = {"description": description, "step": 1, "epoch": 1, "seconds": time.monotonic() - began}
            write_checkpoint(folder / CHECKPOINTS / BEST, {**told, "weights": forest.state_dict()})
        state = read_checkpoint(folder / CHECKPOINTS / BEST)
        network = trained(state, folder).network
        done = TrainingResult(network, 1, 1, state["seconds"], None, "fitted", folder / CHECKPOINTS / BEST)
        return {**result, **_finished(job, done, validation, Hardware("cpu"), folder, reporter)}


def _finished(
    job: TrainJob, done: TrainingResult, validation: SampleTiles | None, hardware: Hardware, folder: Path, reporter: Reporter
) -> dict[str, Any]:
    """Choose the threshold, write scores and model; what of it goes into the result."""
    reporter.progress(TRAINED, "Choosing the threshold")
    choice = choose(done.network, validation, "cuda" if hardware.on_gpu else "cpu", reporter) if validation else Choice()
    chosen = {"threshold": choice.threshold, "temperature": choice.temperature}
    kept = {name: choice.scores[name] for name in ("validation", "definitions")} if choice.scores else None
    state = {**read_checkpoint(done.checkpoint), **chosen, **({"scores": kept} if kept else {})}
    write_checkpoint(done.checkpoint, state)
    best = done.best or {}
    with written_json(folder / METRICS, {"stopped_by": done.stopped_by, "best_epoch": best, **chosen, **(choice.scores or {})}):
        pass
    if job.model:
        Path(job.model).absolute().parent.mkdir(parents=True, exist_ok=True)
        export(ExportNetworkJob(str(done.checkpoint), job.model, samples=job.samples), StagedReporter(reporter, WRITING, 0.999))
    reporter.progress(1.0, "Trained")
    figures = choice.scores["validation"] if choice.scores else {}
    of_class = figures.get("rock_glacier", {})
    return {
        "steps": done.step,
        "epochs": done.epoch,
        "minutes": round(done.seconds / 60, 1),
        "stopped_by": done.stopped_by,
        "best_epoch": best.get("epoch"),
        **{name: of_class.get(name) for name in ("iou", "f1", "precision", "recall")},
        "expected_calibration_error": figures.get("expected_calibration_error"),
        **chosen,
        "checkpoint": str(done.checkpoint),
        "curves": str(folder / CURVES) if (folder / CURVES).is_file() else None,
        "log": str(folder / LOG) if (folder / LOG).is_file() else None,
        "metrics": str(folder / METRICS),
        "model": job.model,
    }


def _said(job: TrainJob, task: PreparedTraining, hardware: Hardware) -> dict[str, Any]:
    return {
        "output": job.output,
        "network": task.name,
        "recipe": job.recipe,
        "device_used": hardware.name,
        "samples": {"train": len(task.train), "validation": len(task.validation)},
        "parameters": parameter_count(task.network),
    }
