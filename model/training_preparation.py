"""What a job and a folder of samples make together: the network to train, its recipe, what it is told; and what does not fit."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from engine import __version__
from engine.detect import SAME_GSD
from engine.errors import EngineError
from engine.parameters import SMALLEST_CROP
from engine.reporting import Reporter
from engine.sample_files import DOCUMENT, TABLE, Sample, SampleSet
from jobs import STACK_BANDS, TrainJob
from model.augmentation import Augmentation, ScaleAndCrop
from model.batch_norms import SPECTRAL, keep_identities, keep_spectral
from model.networks import NETWORKS, BandStatistics, Network, RandomForest, create_network, network_bands
from model.recipes import RECIPES, Recipe
from model.sample_batches import SampleBatches, SampleTiles, observed_bands, source_of
from model.trained_network import TrainedNetwork, as_option, described, read_trained
from model.training import is_begun

IMAGENET, RANDOM = "imagenet", "random"
UNSEEN = {"nir": (0.0, 1.0, 0.25), "evi": (-1.0, 1.0, 0.1), "savi": (-1.0, 1.0, 0.1)}
"""Minimum, maximum and mean of bands that no sample shows, for a network that may meet them later."""
NOMINAL_PIXEL_M = 10.0
"""Of chips of unknown pixel size: Sentinel-2, whose true colour their reflectance is taken from."""
CROP_STEP = 32


@dataclass(frozen=True)
class PreparedTraining:
    """What is to be trained: ``start`` what its card says of the weights it began with, ``crop`` pixels, ``gsd_m`` as the network sees
    the samples, ``nir`` as its card has it."""

    name: str
    network: Network
    recipe: Recipe
    start: Any
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    gsd_m: float
    nir: str

    def batches(self, samples: SampleSet, seed: int, loaders: int) -> SampleBatches:
        """The samples to train on."""
        recipe = self.recipe
        return SampleBatches(samples, self.train, self.network.bands, recipe.crop, recipe.batch_size, recipe.change, seed, loaders)

    def tiles(self, samples: SampleSet, chosen: tuple[Sample, ...]) -> SampleTiles | None:
        """Samples as they are validated on; None where there are none."""
        recipe = self.recipe
        resized = recipe.change if isinstance(recipe.change, ScaleAndCrop) else None
        return SampleTiles(samples, chosen, self.network.bands, recipe.crop, recipe.batch_size, resized) if chosen else None

    def about(self, job: TrainJob, samples: SampleSet) -> dict[str, Any]:
        """What ``training.json`` says beside network and settings; ``training`` and ``training_data`` come into the card."""
        recipe = self.recipe
        return {
            "name": self.name,
            "gsd_m": self.gsd_m,
            "tile_px": recipe.crop,
            "nir": self.nir,
            "start": job.start,
            "samples": {"train": len(self.train), "validation": len(self.validation), "sha256": _fingerprint(samples)},
            "batches": {
                "crop": recipe.crop,
                "batch_size": recipe.batch_size,
                "change": type(recipe.change).__name__,
                **asdict(recipe.change),
            },
            "training": {
                "command": _command(job),
                "recipe": job.recipe,
                "samples": samples.folder.name,
                "started_from": self.start,
                "seed": job.seed,
                "made": datetime.now(UTC).strftime("%Y-%m-%d"),
                "versions": {
                    "rock glacier mapper": __version__,
                    "python": platform.python_version(),
                    **{name: version(name) for name in ("torch", "timm", "lightning", "torchmetrics", "numpy")},
                },
            },
            "training_data": source_of(samples.folder, samples),
        }


def prepared(job: TrainJob, samples: SampleSet, reporter: Reporter) -> PreparedTraining:
    """Network, recipe and samples of a job, held against each other.

    Raises
    ------
    EngineError
        see :func:`model.train.train`
    """
    start = _start(job)
    name = job.network or (start.name if start else RECIPES[job.recipe].network)
    options = _options(job, start)
    bands = _bands(name, options)
    train, validation = samples.of_split("train"), samples.of_split("validation")
    _check_samples(train, validation, samples, reporter)
    unseen = [band for band in bands if band not in observed_bands(samples)]
    if unseen:
        _check_unseen(unseen, bands, reporter)
    recipe = _recipe(job, name, train, reporter)
    network = start.network if start else _new_network(job, name, options, _statistics(samples, bands))
    keep_identities(network)
    keep_spectral(network, unseen)
    network.train()
    is_spectral = any(band in SPECTRAL for band in bands)
    copes = bool(unseen) or not is_spectral or (isinstance(recipe.change, Augmentation) and recipe.change.nir_absent > 0)
    told = start.about.get("training", "a trained network") if start else "ImageNet weights" if job.start == IMAGENET else job.start
    return PreparedTraining(
        name, network, recipe, told, train, validation, _gsd(train, recipe, reporter), "optional" if copes else "required"
    )


def _recipe(job: TrainJob, name: str, train: tuple[Sample, ...], reporter: Reporter) -> Recipe:
    """The job's recipe, with what the job gives itself and what the samples allow."""
    own = {field: getattr(job, field) for field in ("epochs", "crop", "batch_size", "accumulate", "learning_rate", "loss", "patience")}
    recipe = RECIPES[job.recipe].changed({**own, "network": name})
    if job.crop is None and isinstance(recipe.change, Augmentation):
        smallest = min(min(sample.rows, sample.columns) for sample in train)
        recipe = recipe.changed({"crop": max(SMALLEST_CROP, min(recipe.crop, smallest // CROP_STEP * CROP_STEP))})
    if recipe.batch_size > len(train):
        reporter.warning(
            "batch_size", f"There are {len(train)} samples to train on: they make one batch, instead of {recipe.batch_size} in each."
        )
        recipe = recipe.changed({"batch_size": len(train)})
    return recipe


def _start(job: TrainJob) -> TrainedNetwork | None:
    """The trained network to go on from, None for ImageNet or random weights, or the file of a backbone's weights."""
    if job.start in (IMAGENET, RANDOM):
        return None
    try:
        start = read_trained(job.start)
    except EngineError as error:
        if error.code == "not_a_network" and Path(job.start).is_file():
            return None
        raise
    if job.network not in (None, start.name):
        raise EngineError(
            "other_network", f"{job.start} holds the network {start.name}, not {job.network}. Leave the network out, or the start."
        )
    return start


def _options(job: TrainJob, start: TrainedNetwork | None) -> dict[str, Any]:
    options = {}
    for text in job.network_options:
        name, _, value = text.partition("=")
        try:
            options[name.strip()] = as_option(json.loads(value))
        except ValueError as error:
            raise EngineError(
                "parameter", f'network_options has {text!r}; write NAME=JSON, such as output_stride=16 or bands=["red", "green", "blue"].'
            ) from error
    if start:
        own = {name: as_option(value) for name, value in described(start.name, start.network)["options"].items()}
        other = [name for name, value in options.items() if own.get(name) != value]
        if other:
            raise EngineError("other_network", f"{job.start} was trained with {other[0]} {own.get(other[0])!r}. Leave the option out.")
        return own
    return options


def _bands(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The bands that a network reads."""
    try:
        return network_bands(name, **options)
    except ValueError as error:
        raise EngineError("parameter", f"There is no network {name!r}. There are: {', '.join(NETWORKS)}.") from error
    except TypeError as error:
        raise EngineError("parameter", f"The network {name} has no such option: {error}.") from error


def _check_samples(train: tuple[Sample, ...], validation: tuple[Sample, ...], samples: SampleSet, reporter: Reporter) -> None:
    again = "Draw more outlines, or make the samples again."
    if not train:
        raise EngineError("no_samples", f"{samples.folder} holds no samples to train on. {again}")
    if len(train) == 1:
        raise EngineError("one_sample", f"{samples.folder} holds one sample to train on; a network cannot learn from one. {again}")
    if not any(sample.rock_glacier for sample in train):
        raise EngineError("no_rock_glaciers", f"No sample to train on in {samples.folder} holds a rock glacier. {again}")
    if all(sample.rock_glacier + sample.unknown > 1 - 1e-6 for sample in train):
        raise EngineError("no_background", f"All that {samples.folder} knows is rock glacier: a network would mark everything. {again}")
    if all(sample.rock_glacier for sample in train):
        reporter.warning("all_positive", "Every sample holds a rock glacier: the network sees little of what is none. Add negatives.")
    if not validation:
        reporter.warning(
            "no_validation",
            "There are no validation samples: the last epoch is taken, with a threshold of 0.5; how good it is, nobody knows.",
        )
    elif not any(sample.rock_glacier for sample in validation):
        reporter.warning("no_validation", "No validation sample holds a rock glacier: the last epoch is taken, with a threshold of 0.5.")


def _check_unseen(unseen: list[str], bands: tuple[str, ...], reporter: Reporter) -> None:
    """Bands that the samples do not have, or nowhere show."""
    others = [band for band in unseen if band not in SPECTRAL]
    if others or len(unseen) == len(bands):
        held = ", ".join(band for band in STACK_BANDS)
        raise EngineError(
            "bands_missing",
            f"The network reads {', '.join(others or unseen)}, which the samples do not show. Samples hold {held}, as far as their stacks "
            'do. Choose another network, or its bands: --network-option \'bands=["red", "green", "blue"]\'.',
        )
    reporter.warning(
        "no_nir",
        "The samples show no near-infrared: the network learns from colours alone; it runs on images with NIR, but does not know it.",
    )


def _statistics(samples: SampleSet, bands: tuple[str, ...]) -> BandStatistics:
    """Minimum, maximum and mean of the samples' bands."""
    rows = []
    for name, *values in zip(STACK_BANDS, samples.minimum, samples.maximum, samples.mean, strict=True):
        low, high, mean = map(float, values) if math.isfinite(values[0]) else UNSEEN.get(name, (0.0, 1.0, 0.5))
        if name in bands and not low < high:
            raise EngineError("flat_band", f"The band {name} has one value only ({low:g}) in all samples: it cannot be normalised.")
        rows.append((low, high, mean))
    return BandStatistics(*(tuple(column) for column in zip(*rows, strict=True))).of(bands)


def _new_network(job: TrainJob, name: str, options: Mapping[str, Any], found: BandStatistics) -> Network:
    """The network to train, with the weights that it starts from; a training that goes on or is only estimated needs none."""
    torch.manual_seed(job.seed)
    try:
        network = create_network(name, found, **options)
    except (TypeError, ValueError) as error:
        raise EngineError("parameter", f"The network {name} cannot be made with these options: {error}.") from error
    if job.start == RANDOM or isinstance(network, RandomForest) or job.estimate or is_begun(Path(job.output)):
        return network
    torch.manual_seed(job.seed)
    try:
        return create_network(name, found, pretrained=True if job.start == IMAGENET else job.start, **options)
    except Exception as error:  # noqa: BLE001 whatever a hub, a cache or a file has to say
        if job.start != IMAGENET:
            raise EngineError("other_network", f"{job.start} holds no weights that {name} could start from: {error}") from error
        raise EngineError(
            "pretrained_missing",
            f"The ImageNet weights of {name} could not be had; they come from timm's hub, which needs the internet. Fetch the file "
            f"elsewhere and give it as the start, or start with random weights. ({type(error).__name__}: {error})",
        ) from error


def _gsd(train: tuple[Sample, ...], recipe: Recipe, reporter: Reporter) -> float:
    """Metres of a pixel as the network sees the samples, unchanged."""
    sizes = [sample.pixel_size_m for sample in train if sample.pixel_size_m]
    if len(sizes) < len(train):
        reporter.warning(
            "pixel_size", f"The pixel size of {len(train) - len(sizes)} samples is unknown; {NOMINAL_PIXEL_M:g} m are assumed."
        )
        sizes += [NOMINAL_PIXEL_M] * (len(train) - len(sizes))
    if max(sizes) / min(sizes) > 1 + SAME_GSD:
        reporter.warning(
            "pixel_size", f"The samples' pixels are between {min(sizes):g} and {max(sizes):g} m wide; their middle counts as the network's."
        )
    if isinstance(recipe.change, ScaleAndCrop):
        sizes = [size * min(sample.rows, sample.columns) / recipe.crop for size, sample in zip(sizes, train, strict=True)]
    return round(float(statistics.median(sizes)), 3)


def _fingerprint(samples: SampleSet) -> str:
    """Of the table and what is true of all samples."""
    digest = hashlib.sha256()
    for name in (TABLE, DOCUMENT):
        digest.update((samples.folder / name).read_bytes())
    return digest.hexdigest()


def _command(job: TrainJob) -> str:
    """The command line that does the same, folders of this machine by their names alone."""
    words = ["rock-glacier train", Path(job.samples).name, Path(job.output).name]
    for name, value in asdict(job).items():
        if name in ("samples", "output") or value == getattr(TrainJob, name):
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, tuple):
            words += [f"{flag.removesuffix('s')} '{entry}'" for entry in value]
        else:
            shown = Path(value).name if name in ("model", "start") else value
            words.append(flag if value is True else f"{flag} {shown}")
    return " ".join(words)
