"""What networks that are compared are trained and tested on, fold by fold: chips, scenes or a folder of samples."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine import indices, rasters
from engine.errors import EngineError
from engine.evaluate import Case, chip_case, sample_case
from engine.sample_chips import OVERLAPS, beside, find_chips
from engine.sample_files import SPLITS, TABLE, UNKNOWN, Statistics, opened, read_samples
from jobs import STACK_BANDS
from model import samples
from model.augmentation import Array, Augmentation
from model.comparison_config import ChipsPlace, SamplesPlace, Scene, ScenesPlace, computed_bands
from model.loading import Batches
from model.networks.network import BandStatistics
from model.sample_batches import SampleBatches

HELD_OUT_NEGATIVES, HOLD_OUT_SEED = 0.15, 1
NEGATIVES_IN_BATCH = 0.25
BATCHES_FOR_STATISTICS = 50
INDICES = STACK_BANDS[4:]


class Folds(Protocol):
    """Where the training and test samples of each fold come from.

    ``bands`` of the images; ``absent`` those that hold no value anywhere; ``seen`` those that a pixel has to have a value in to count,
    whatever a network reads, so that all are tested on the same pixels. ``names`` of the folds; ``main`` what the figures are over;
    ``has_negatives`` whether training sees samples without what is looked for.
    """

    bands: tuple[str, ...]
    absent: tuple[str, ...]
    seen: tuple[str, ...]
    names: tuple[str, ...]
    main: str
    has_negatives: bool

    def batches(self, fold: str, side: int, count: int, seed: int) -> Batches:
        """Batches of ``count`` training samples, ``side`` pixels wide, of all ``bands``."""

    def cases(self, fold: str) -> list[Case]:
        """What is tested on; images have all ``bands``."""

    def counts(self, case: Case) -> bool:
        """Whether a case is among those that the figures are over."""

    def fingerprint(self, fold: str) -> str:
        """Tells whether a fold is still the same."""


def find_folds(place: SamplesPlace | ChipsPlace | ScenesPlace) -> Folds:
    """The data of a comparison.

    Raises
    ------
    EngineError
        those of :func:`engine.sample_chips.find_chips`, :func:`engine.sample_files.read_samples`; ``no_fold``, ``mask_size``, ``config``.
    """
    if isinstance(place, SamplesPlace):
        return SampleFold(place)
    return ChipFolds(place) if isinstance(place, ChipsPlace) else SceneFolds(place)


class ChipFolds:
    """Chips of several regions, each left out once; see :class:`Folds`.

    Chips that share ground with the left-out region are on neither side. A share of the chips without rock glaciers, the same in all
    folds, is kept out of training and tested on; where they lie is not known, so it may be ground that training saw.
    """

    bands: tuple[str, ...] = STACK_BANDS
    seen: tuple[str, ...] = STACK_BANDS[:3]
    absent: tuple[str, ...] = STACK_BANDS[3:]

    def __init__(self, place: ChipsPlace) -> None:
        found = find_chips(str(place.images), str(place.masks), str(place.negatives) if place.negatives else None)
        self._files = {chip.image.stem: chip for chip in found if chip.mask is not None}
        self._negatives = {chip.image.stem: chip for chip in found if chip.mask is None}
        self._chips = [samples.Chip(name, chip.region, chip.snow or 0.0) for name, chip in self._files.items()]
        self._knows_snow = any(chip.snow is not None for chip in found)
        self.has_negatives = bool(self._negatives)
        self.main = (
            f"chips of the left-out region with rock glaciers and less than {100 * samples.LOW_SNOW:g} % snow"
            if self._knows_snow
            else "chips of the left-out region, and those without rock glaciers that were kept out of training"
        )
        regions = sorted({chip.region for chip in self._chips if chip.region})
        self.names = place.folds or tuple(regions)
        if len(regions) < 2 or set(self.names) - set(regions):
            raise EngineError(
                "no_fold",
                f"A table chips.csv beside {place.images}, with columns chip and region, has to tell which chip is of which of two regions "
                f"or more, with those to leave out ({', '.join(self.names) or 'all'}); it knows {', '.join(regions) or 'none'}.",
            )
        overlaps = beside(place.images, OVERLAPS)
        self._overlaps = samples.read_overlaps(overlaps.parent) if overlaps else []
        self._kept_out = samples.hold_out(list(self._negatives), HELD_OUT_NEGATIVES, HOLD_OUT_SEED)

    def _split(self, fold: str) -> tuple[list[samples.Chip], list[samples.Chip]]:
        return samples.leave_region_out(self._chips, self._overlaps, fold)

    def batches(self, fold: str, side: int, count: int, seed: int) -> Batches:
        """See :class:`Folds`; regions are drawn equally often, snow-covered chips seldom."""
        chips, _ = self._split(fold)
        files = [self._files[chip.name] for chip in chips]
        images = np.stack([samples.read_image(file.image) for file in files])
        truths = np.stack([samples.read_mask(Path(str(file.mask))) for file in files])
        sources: list[tuple[samples.Source, int]] = [(samples.ChipSource(images, truths, samples.chances(chips)), count)]
        if names := self._kept_out[0]:
            without = np.stack([samples.read_image(self._negatives[name].image) for name in names])
            background = samples.ChipSource(without, np.zeros(without.shape[:3], np.uint8), np.ones(len(names)).tolist())
            negatives = round(NEGATIVES_IN_BATCH * count)
            sources = [(sources[0][0], count - negatives), (background, negatives)]
        return samples.Batches(sources, side, Augmentation(), seed)

    def cases(self, fold: str) -> list[Case]:
        """See :class:`Folds`."""
        _, chips = self._split(fold)
        held_out = [self._files[chip.name] for chip in chips] + [self._negatives[name] for name in self._kept_out[1]]
        return [chip_case(chip) for chip in held_out]

    def counts(self, case: Case) -> bool:
        """See :class:`Folds`."""
        return not self._knows_snow or (case.snow is not None and case.snow < samples.LOW_SNOW)

    def fingerprint(self, fold: str) -> str:
        """See :class:`Folds`."""
        train, test = self._split(fold)
        chips = [self._files[chip.name] for chip in (*train, *test)]
        return _digest([len(train), *(path for chip in (*chips, *self._negatives.values()) for path in (chip.image, chip.mask) if path)])


class SceneFolds:
    """Rasters of several regions, each left out once; see :class:`Folds`. Training sees windows of them, mirrored and turned."""

    main, has_negatives = "all pixels of the left-out region", False
    absent: tuple[str, ...] = ()

    def __init__(self, place: ScenesPlace) -> None:
        self._place = place
        self.bands = computed_bands(place.bands)
        self.seen = tuple(name for name in self.bands if name not in INDICES)
        self.names = tuple(sorted({scene.region for scene in place.scenes}))
        for scene in place.scenes:
            with opened(scene.image) as image, opened(scene.mask) as mask:
                if image.count != len(place.bands):
                    raise EngineError("config", f"{scene.image} has {image.count} bands; data.bands names {len(place.bands)}.")
                if image.shape != mask.shape:
                    raise EngineError("mask_size", f"{scene.image} and {scene.mask} differ in size: they must be on the same pixels.")

    def _of(self, fold: str, left_out: bool) -> list[Scene]:
        return [scene for scene in self._place.scenes if (scene.region == fold) == left_out]

    def _read(self, scene: Scene) -> tuple[Array, NDArray[np.uint8]]:
        """Image (bands, rows, cols), NaN where not observed, and mask (rows, cols)."""
        with opened(scene.image) as dataset, opened(scene.mask) as labels:
            count = list(range(1, dataset.count + 1))
            values = dict(zip(self._place.bands, rasters.read_observed(dataset, count), strict=True))
            mask = rasters.read(labels, [1])[0].astype(np.uint8)
        values = {name: (value * self._place.scale[name]).astype(np.float32) for name, value in values.items()}
        if "evi" in self.bands and "evi" not in values:
            values["evi"] = indices.evi(values["red"], values["blue"], values["nir"])
        if "savi" in self.bands and "savi" not in values:
            values["savi"] = indices.savi(values["red"], values["nir"])
        return np.stack([values[name] for name in self.bands]), mask

    def batches(self, fold: str, side: int, count: int, seed: int) -> Batches:
        """See :class:`Folds`."""
        return WindowBatches([self._read(scene) for scene in self._of(fold, left_out=False)], side, count, seed)

    def cases(self, fold: str) -> list[Case]:
        """See :class:`Folds`."""
        return [
            Case(scene.image.stem, {"region": scene.region}, None, None, lambda scene=scene: self._read(scene))  # type: ignore[misc]
            for scene in self._of(fold, left_out=True)
        ]

    def counts(self, _case: Case) -> bool:
        """See :class:`Folds`."""
        return True

    def fingerprint(self, fold: str) -> str:
        """See :class:`Folds`."""
        scenes = [*self._of(fold, left_out=False), *self._of(fold, left_out=True)]
        parts = [self.bands, sorted(self._place.scale.items()), *(path for scene in scenes for path in (scene.image, scene.mask))]
        return _digest(parts)


class SampleFold:
    """A folder of training samples, trained on and validated as its table says; see :class:`Folds`."""

    names: tuple[str, ...] = ("validation",)
    main = "samples of the validation side"

    def __init__(self, place: SamplesPlace) -> None:
        self._set = read_samples(place.folder)
        for split in SPLITS:
            if not self._set.of_split(split):
                raise EngineError("no_fold", f"{place.folder} holds no sample for {split}. Make the samples again, with another share.")
        self.bands: tuple[str, ...] = STACK_BANDS
        self.absent = tuple(name for name in STACK_BANDS if not self._set.document["bands"][name]["pixels"])
        self.seen = tuple(name for name in STACK_BANDS if name not in (*self.absent, *INDICES))
        self.has_negatives = any(sample.kind == "negative" for sample in self._set.of_split("train"))

    def batches(self, fold: str, side: int, count: int, seed: int) -> Batches:
        """See :class:`Folds`."""
        return SampleBatches(self._set, self._set.of_split("train"), self.bands, side, count, Augmentation(nir_absent=0.0), seed)

    def cases(self, fold: str) -> list[Case]:
        """See :class:`Folds`."""
        return [sample_case(self._set, sample) for sample in self._set.of_split(fold)]

    def counts(self, _case: Case) -> bool:
        """See :class:`Folds`."""
        return True

    def fingerprint(self, fold: str) -> str:
        """See :class:`Folds`."""
        return _digest([*((sample.split, sample.sample) for sample in self._set.samples), self._set.folder / TABLE])


class WindowBatches:
    """Batches of windows of scenes, each mirrored and turned by a quarter at random, made by the seed and their number alone."""

    def __init__(self, scenes: Sequence[tuple[Array, NDArray[np.uint8]]], side: int, count: int, seed: int) -> None:
        self._source, self._count, self._seed = samples.SceneSource(scenes, side), count, seed

    def __getitem__(self, number: int) -> tuple[Array, Array, Array]:
        rng = np.random.default_rng((self._seed, number))
        windows = [self._turned(rng) for _ in range(self._count)]
        stack, truth = np.stack([image for image, _ in windows]), np.stack([mask for _, mask in windows])[:, None]
        weight = (truth != UNKNOWN) & np.isfinite(stack).any(axis=1, keepdims=True)
        return stack, (truth == 1).astype(np.float32), weight.astype(np.float32)

    def _turned(self, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        image, mask = self._source.draw(rng)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        image, mask = np.rot90(image, turns, (1, 2)), np.rot90(mask, turns)
        return (image[:, :, ::-1].copy(), mask[:, ::-1].copy()) if mirrored else (image.copy(), mask.copy())


class _Chosen:
    """The bands of batches that a network reads."""

    def __init__(self, batches: Batches, bands: Sequence[int]) -> None:
        self._batches, self._bands = batches, list(bands)

    def __getitem__(self, number: int) -> tuple[Array, Array, Array]:
        stack, truth, weight = self._batches[number]
        return np.ascontiguousarray(stack[:, self._bands]), truth, weight


def chosen(batches: Batches, bands: Sequence[str], wanted: Sequence[str]) -> Batches:
    """Batches of the ``wanted`` ones among ``bands``, in their order."""
    return _Chosen(batches, [list(bands).index(name) for name in wanted])


def statistics(batches: Batches) -> BandStatistics:
    """Minimum, maximum and mean of each band in the first batches; 0, 1 and 0.5 of one that is nowhere observed (section 3.3.1)."""
    images = (image for number in range(BATCHES_FOR_STATISTICS) for image in batches[number][0])
    found = reduce(operator.add, (Statistics.of(image) for image in images))
    there = found.count > 0
    minimum = np.where(there, found.minimum, 0.0)
    maximum = np.where(there & (found.maximum > minimum), found.maximum, minimum + 1.0)
    mean = np.where(there, found.total / np.maximum(found.count, 1), 0.5)
    return BandStatistics(tuple(minimum.tolist()), tuple(maximum.tolist()), tuple(mean.tolist()))


def _digest(parts: Iterable[Any]) -> str:
    """Of values, and of files by name and size."""
    told = [f"{part.name} {part.stat().st_size}" if isinstance(part, Path) else repr(part) for part in parts]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
