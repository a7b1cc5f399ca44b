"""Training on Lightning: one trainer for sample folders, simulated scenes and chips; kept on disk, continued after any interruption.

A training folder holds

================== =========================================================================================================
``training.json``  all that was said before the start: network, options, band statistics, settings, samples, versions, command
``log.csv``        a row for each step: ``step`` (from 1), ``epoch`` (from 1), ``learning_rate``, ``loss``
``epochs.csv``     a row for each epoch: ``epoch``, ``step``, ``seconds`` (of work so far), ``learning_rate``, ``loss`` (mean of its
                   steps), and of the validation samples ``validation_loss``, ``iou``, ``f1``, ``precision``, ``recall`` of rock glacier
                   at a probability of 0.5, empty where there are none or a figure is not defined; ``best``: 1 where it is the best so far
``curves.png``     both as curves, written anew as the training goes on
``checkpoints/``   ``last.ckpt``, ``previous.ckpt``, ``best.ckpt``, see :mod:`model.checkpoints`
``tensorboard/``   the same curves for TensorBoard, when asked for
``metrics.json``   at the end of the command ``train``: scores on the validation samples, threshold, temperature
================== =========================================================================================================

Rows are written whole, within a second or two, so the tables can be read while the training runs. Batches and dropout depend on the seed
and the number of the step alone, whatever loads them: the same training again, or one that was killed and goes on, takes the same way.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from engine.errors import EngineError
from engine.outputs import written_json
from engine.reporting import Reporter
from model.checkpoints import CHECKPOINTS
from model.companions import companions, quiet
from model.loading import Batches, CountedBatches
from model.networks import Network
from model.trained_network import DESCRIPTION, described
from model.training_settings import Hardware, Plan, TrainingResult, TrainingSettings
from model.training_task import difference, fit

NOT_COMPARED = ("training", "training_data")
"""Of a description, when a training goes on: what is told for the card and may have changed since."""


def run_training(
    network: Network,
    batches: Batches,
    settings: TrainingSettings,
    folder: Path,
    reporter: Reporter,
    *,
    about: Mapping[str, Any],
    validation: CountedBatches | None = None,
    hardware: Hardware = Hardware(),  # noqa: B008 frozen
    tensorboard: bool = False,
) -> TrainingResult:
    """Train a network, from where an earlier run of the same training in this folder was stopped.

    Parameters
    ----------
    network : to train, with the weights to start from
    batches : stack (N, bands, rows, cols) float32 in the order of ``network.bands``, truth and weight (N, 1, rows, cols), by number, for
        all numbers from 0 on; where they have a length, that many make an epoch, else 50 steps do
    folder : made where it is not there
    about : ``name`` of the network; ``gsd_m``, ``tile_px``, ``nir``, ``training`` and ``training_data`` as a card has them, and anything
        else that ``training.json`` should say and that makes another training where it differs
    validation : batches of a length, seen after each epoch; the epoch with the highest IoU is the network then

    Raises
    ------
    EngineError
        ``other_training`` when the folder holds another one; ``other_network``, ``corrupt_checkpoint``, ``pickle_refused`` for a
        checkpoint that is none of this training; ``loss_not_finite``, with the samples of the batch; ``batch_of_one``; ``no_cuda``,
        ``gpus``, ``precision`` from :class:`Hardware`; ``gpu_memory``, ``disk_full``, ``output_folder``; Cancelled, after a checkpoint
        was written.
    """
    hardware.check()
    _check_batch(network, batches)
    folder.mkdir(parents=True, exist_ok=True)
    description = claim(folder, network, settings, about)
    plan = Plan(network, batches, settings, folder, description, validation, hardware, tensorboard)
    with companions(plan, fit) as port, quiet():
        return fit(plan, reporter, 0, port)


def is_begun(folder: Path) -> bool:
    """Whether a folder holds a training with a checkpoint to go on from."""
    return (folder / DESCRIPTION).is_file() and any((folder / CHECKPOINTS).glob("*.ckpt"))


def claim(folder: Path, network: Network, settings: TrainingSettings, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the description of a new training; of one that goes on, hold it against what is there.

    Raises
    ------
    EngineError
        ``other_training``.
    """
    rest = {name: value for name, value in about.items() if name != "name"}
    document = {"format": 1, "network": described(about["name"], network), "settings": dataclasses.asdict(settings), **rest}
    description = dict(json.loads(json.dumps(document)))
    path = folder / DESCRIPTION
    if path.exists():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EngineError("other_training", f"{path} cannot be read ({error}). Choose an empty folder.") from error
        names = [name for name in {**there, **description} if name not in NOT_COMPARED and there.get(name) != description.get(name)]
        if names:
            changed = "; ".join(difference(name, there.get(name), description.get(name)) for name in names)
            raise EngineError("other_training", f"{folder} holds another training: {changed}. Choose an empty folder, or the same again.")
        return description
    with written_json(path, description):
        pass
    return description


def _check_batch(network: nn.Module, batches: Batches) -> None:
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if has_batch_norm and len(batches[0][0]) < 2:
        raise EngineError(
            "batch_of_one", "The network normalises over the samples of a batch, which needs two or more. Choose a batch size of 2 or more."
        )
