"""Training samples: chips with hand-drawn masks, simulated scenes, and what keeps training and testing ground apart."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from engine.outputs import whole_file
from engine.prepare import spectral_stack
from engine.sample_chips import nominal_reflectance
from jobs import STACK_BANDS
from model.augmentation import Array, Augmentation, augmented, mixed
from model.networks.network import BandStatistics
from model.simulator import LAND_COVER, simulate

LOW_SNOW = 0.1
"""Chips with a smaller share of saturated pixels count as low-snow."""

CLOUD, CLOUD_COLOUR = (95, 250), 0.22
"""Values between which a pixel of a true-colour image may be cloud, and how much its bands then differ at most."""

HALF_AS_OFTEN_CLOUD = 0.25
"""Share of cloud with which a chip is drawn half as often."""

UNKNOWN = 255
"""Truth of a pixel that counts neither as rock glacier nor as background."""


@dataclass(frozen=True)
class Chip:
    """A row of chips.csv: ``name``, ``region`` (place group), ``snow`` (share of saturated pixels, 0-1)."""

    name: str
    region: str
    snow: float


def read_chips(folder: Path) -> list[Chip]:
    """The rock glacier chips that ``chips.csv`` lists."""
    with open(folder / "chips.csv", newline="", encoding="utf-8") as file:
        return [Chip(row["chip"], row["region"], float(row["snow"])) for row in csv.DictReader(file)]


def read_overlaps(folder: Path) -> list[tuple[str, str]]:
    """The pairs of chips that share ground, as ``overlaps.csv`` lists them."""
    with open(folder / "overlaps.csv", newline="", encoding="utf-8") as file:
        return [(row["chip_a"], row["chip_b"]) for row in csv.DictReader(file)]


def leave_region_out(chips: Sequence[Chip], overlaps: Iterable[tuple[str, str]], region: str) -> tuple[list[Chip], list[Chip]]:
    """Chips to train on and chips to test on, without ground in common.

    The test chips are those of ``region``. A chip of another region that shares ground with a test chip, directly or
    over a chain of chips, is on neither side.
    """
    left_out = [chip for chip in chips if chip.region == region]
    neighbours: dict[str, set[str]] = {}
    for a, b in overlaps:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    reached = {chip.name for chip in left_out}
    frontier = list(reached)
    while frontier:
        new = neighbours.get(frontier.pop(), set()) - reached
        reached |= new
        frontier.extend(new)
    return [chip for chip in chips if chip.name not in reached], left_out


def hold_out(names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Names to train on and names held out, drawn with a seed from the sorted names."""
    order = np.random.default_rng(seed).permutation(len(names))
    ordered = [sorted(names)[i] for i in order]
    count = round(share * len(names))
    return sorted(ordered[count:]), sorted(ordered[:count])


def read_image(path: Path) -> NDArray[np.uint8]:
    """An 8-bit true-colour image, (rows, cols, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """(rows, cols), 1 rock glacier."""
    with Image.open(path) as image:
        return (np.asarray(image) > 0).astype(np.uint8)


class Source(Protocol):
    """Where samples come from."""

    def draw(self, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        """Reflectance (4, rows, cols) and truth (rows, cols) of a random sample."""


class ChipSource:
    """Chips held in memory, drawn by weight.

    Parameters
    ----------
    images : (n, rows, cols, 3) uint8
    truths : (n, rows, cols) uint8
    weights : (n,) how often each is drawn, relative to the others
    """

    def __init__(self, images: NDArray[np.uint8], truths: NDArray[np.uint8], weights: Sequence[float]) -> None:
        self.images, self.truths = images, truths
        self._chances = np.asarray(weights, dtype=np.float64) / np.sum(weights)

    def draw(self, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        i = rng.choice(len(self.images), p=self._chances)
        return nominal_reflectance(self.images[i].transpose(2, 0, 1)), self.truths[i]


def rock_glacier_chips(folder: Path, chips: Sequence[Chip]) -> ChipSource:
    """Chips with their masks, drawn by their :func:`chances`, clouds seen to."""
    images = np.stack([read_image(folder / "positive" / f"{chip.name}.png") for chip in chips])
    masks = np.stack([read_mask(folder / "mask" / f"{chip.name}.png") for chip in chips])
    return ChipSource(images, masks, chances(chips, [cloud_share(image) for image in images]))


def cloud_share(image: NDArray[np.uint8]) -> float:
    """Share (0-1) of a true-colour image (rows, cols, 3) that is bright and grey, but not saturated as snow is: cloud, or haze."""
    colours = image.astype(np.float32)
    darkest, brightest = colours.min(axis=-1), colours.max(axis=-1)
    return float(((darkest > CLOUD[0]) & (brightest < CLOUD[1]) & (brightest - darkest < CLOUD_COLOUR * brightest)).mean())


def chances(chips: Sequence[Chip], clouds: Sequence[float] | None = None) -> list[float]:
    """How often each chip is drawn: regions equally often, chips under snow (half snow: 1/26) or cloud (half cloud: 1/5) seldom.

    What lies under snow cannot be learnt, and such samples are discarded in the paper (section 3.1).

    Parameters
    ----------
    clouds : share of each chip, 0-1
    """
    clear = {
        chip: 1 / (1 + (chip.snow / LOW_SNOW) ** 2) / (1 + (cloud / HALF_AS_OFTEN_CLOUD) ** 2)
        for chip, cloud in zip(chips, clouds or [0.0] * len(chips), strict=True)
    }
    total = {region: sum(clear[chip] for chip in chips if chip.region == region) for region in {chip.region for chip in chips}}
    return [clear[chip] / total[chip.region] for chip in chips]


def background_chips(folder: Path, names: Sequence[str]) -> ChipSource:
    """Chips without rock glaciers."""
    images = np.stack([read_image(folder / "negative" / f"{name}.png") for name in names])
    return ChipSource(images, np.zeros(images.shape[:3], np.uint8), np.ones(len(names)).tolist())


def chip_statistics(sources: Sequence[ChipSource], bands: Sequence[str]) -> BandStatistics:
    """Minimum, maximum and mean per true-colour band of chips as they are, before they are changed in training (section 3.3.1).

    Raises
    ------
    ValueError
        for a band that chips do not have, or that has one value only.
    """
    pixels = np.concatenate([source.images.reshape(-1, 3) for source in sources])
    found = np.stack([pixels.min(axis=0), pixels.max(axis=0), pixels.mean(axis=0)], axis=1)
    low, high, mean = nominal_reflectance(found)[[STACK_BANDS[:3].index(name) for name in bands]].T
    if not np.all(low < high):
        raise ValueError("a band has one value only in all chips: it cannot be normalised")
    return BandStatistics(tuple(low.tolist()), tuple(high.tolist()), tuple(mean.tolist()))


class SceneSource:
    """Windows of scenes, most of them around a pixel of a rock glacier, small ones as often as large ones.

    Parameters
    ----------
    scenes : reflectance (4, rows, cols) float16 or float32, and truth (rows, cols) uint8, 1 rock glacier,
        0 background, UNKNOWN
    window : rows and columns of a window; more than a sample has, so that it can be turned
    around_rock_glaciers : share of the windows
    """

    def __init__(
        self, scenes: Sequence[tuple[NDArray[np.floating], NDArray[np.uint8]]], window: int, around_rock_glaciers: float = 0.7
    ) -> None:
        self._scenes, self._window, self._share = scenes, window, around_rock_glaciers
        self._objects: list[tuple[int, NDArray[np.intp]]] = []
        for i, (_, truth) in enumerate(scenes):
            numbers, count = ndimage.label(truth == 1)
            self._objects += [(i, np.argwhere(numbers == number)) for number in range(1, count + 1)]

    def draw(self, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        i = int(rng.integers(len(self._scenes)))
        corner = rng.integers(0, np.array(self._scenes[i][1].shape) - self._window + 1)
        if self._objects and rng.random() < self._share:
            i, pixels = self._objects[rng.integers(len(self._objects))]
            limit = np.array(self._scenes[i][1].shape) - self._window
            corner = np.clip(rng.choice(pixels) - rng.integers(0, self._window, 2), 0, limit)
        reflectance, truth = self._scenes[i]
        window = (slice(corner[0], corner[0] + self._window), slice(corner[1], corner[1] + self._window))
        return reflectance[:, *window].astype(np.float32), truth[window]


class Batches:
    """Batches of augmented samples from several sources, each batch made by the seed and its number alone.

    Parameters
    ----------
    sources : source and how many samples of each batch come from it
    side : rows and columns of a sample
    bands : of the network, among those of a stack
    """

    def __init__(
        self,
        sources: Sequence[tuple[Source, int]],
        side: int,
        augmentation: Augmentation,
        seed: int,
        bands: Sequence[str] = STACK_BANDS,
    ) -> None:
        self._sources, self._side, self._augmentation, self._seed, self._bands = sources, side, augmentation, seed, bands

    def __getitem__(self, number: int) -> tuple[Array, Array, Array]:
        """stack (N, bands, side, side), truth (N, 1, side, side), weight (N, 1, side, side): 0 where not observed or unknown."""
        rng = np.random.default_rng((self._seed, number))
        samples = [
            augmented(*source.draw(rng), self._side, self._augmentation, rng) for source, count in self._sources for _ in range(count)
        ]
        return as_batch(mixed(samples, self._augmentation.cutmix, rng), self._bands)


def as_batch(samples: Sequence[tuple[Array, Array]], bands: Sequence[str] = STACK_BANDS) -> tuple[Array, Array, Array]:
    """Reflectance (4, rows, cols) and truth (rows, cols) of samples as a batch: EVI and SAVI are those of the changed reflectance.

    Returns
    -------
    stack (N, bands, rows, cols), truth (N, 1, rows, cols), weight (N, 1, rows, cols): 0 where not observed or unknown
    """
    stack = np.stack([spectral_stack(reflectance) for reflectance, _ in samples])
    truth = np.stack([label[None] for _, label in samples])
    weight = np.isfinite(stack[:, :1]) & (truth != UNKNOWN)
    return stack[:, [STACK_BANDS.index(name) for name in bands]], (truth == 1).astype(np.float32), weight.astype(np.float32)


def band_statistics(batches: Batches, count: int) -> BandStatistics:
    """Minimum, maximum and mean per band of what is observed in the first ``count`` batches (section 3.3.1).

    Raises
    ------
    ValueError
        when a band is nowhere observed or has one value only.
    """
    minimum, maximum = np.full(6, np.inf), np.full(6, -np.inf)
    total, observed = np.zeros(6), np.zeros(6)
    for number in range(count):
        stack = batches[number][0]
        known = np.isfinite(stack)
        minimum = np.minimum(minimum, np.where(known, stack, np.inf).min(axis=(0, 2, 3)))
        maximum = np.maximum(maximum, np.where(known, stack, -np.inf).max(axis=(0, 2, 3)))
        total += np.where(known, stack, 0.0).sum(axis=(0, 2, 3), dtype=np.float64)
        observed += known.sum(axis=(0, 2, 3))
    if not np.all(minimum < maximum):
        raise ValueError("a band is nowhere observed in the training samples, or has one value only: it cannot be normalised")
    return BandStatistics(tuple(minimum.tolist()), tuple(maximum.tolist()), tuple((total / observed).tolist()))


@dataclass(frozen=True)
class SimulatedScene:
    """A simulated scene as it is kept for training.

    ``reflectance`` (4, rows, cols) float16, red, green, blue, nir; ``objects`` (rows, cols) number of the rock glacier,
    0 background; ``landcover`` (rows, cols) codes of ``LAND_COVER``.
    """

    reflectance: NDArray[np.float16]
    objects: NDArray[np.uint16]
    landcover: NDArray[np.uint8]

    @property
    def truth(self) -> NDArray[np.uint8]:
        """(rows, cols) 1 rock glacier, 0 background, UNKNOWN where snow lies on a rock glacier."""
        covered = np.isin(self.landcover, [LAND_COVER["snow"], LAND_COVER["glacier"]])
        return np.where(self.objects == 0, 0, np.where(covered, UNKNOWN, 1)).astype(np.uint8)


def simulated_scene(seed: int, side: int, resolution: float, cache: Path) -> SimulatedScene:
    """A simulated scene of ``side`` x ``side`` pixels of ``resolution`` metres, made once and kept in the folder ``cache``."""
    path = cache / f"{side}-{resolution:g}m-{seed}.npz"
    if not path.exists():
        scene = simulate(seed, side, side, resolution=resolution)
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as new:
            np.savez_compressed(
                new,
                reflectance=scene.reflectance.astype(np.float16),
                objects=scene.labels.astype(np.uint16),
                landcover=scene.landcover,
            )
    with np.load(path) as kept:
        return SimulatedScene(kept["reflectance"], kept["objects"], kept["landcover"])
