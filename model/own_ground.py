"""The ground of the person who adapts a model: samples of it, which of them belong to one place, and what is held back in turn."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.reporting import Reporter, StagedReporter
from engine.sample_chips import OVERLAPS, beside
from engine.sample_files import ROCK_GLACIER, UNKNOWN, Sample, SampleSet, read_samples
from engine.samples import samples
from jobs import AdaptJob, SamplesJob
from model.samples import LOW_SNOW, Array
from model.shared_ground import shared_ground

WINDOW = 1.5
"""Tiles along the side of a sample that is cut around an outline: room to turn and to shift it."""
BACKGROUND = 0.5
"""Random samples without rock glaciers for each one around an outline."""
MOST_FOLDS = 3
BRIGHT = 0.35
"""Reflectance from which a pixel counts as snow; 8-bit chips of true colours end there."""
NOT_TOLD = ("places_unknown", "no_validation")
"""Warnings about splits that adaptation makes in another way."""


@dataclass(frozen=True)
class Own:
    """A sample in memory.

    ``reflectance`` (4, rows, cols), NaN where not observed; ``mask`` (rows, cols) 1 rock glacier, 0 background, 255 unknown; ``snow`` share
    of snow-covered pixels, 0-1.
    """

    row: Sample
    reflectance: Array
    mask: NDArray[np.uint8]
    snow: float

    @property
    def is_positive(self) -> bool:
        """True where it shows rock glacier."""
        return bool((self.mask == ROCK_GLACIER).any())


@dataclass(frozen=True)
class OwnGround:
    """All samples; ``place`` (n,) number of the place that each belongs to, -1 without rock glaciers; ``neighbours`` of each, those that
    show some of the same ground."""

    folder: SampleSet
    samples: tuple[Own, ...]
    place: NDArray[np.intp]
    neighbours: tuple[frozenset[int], ...]

    @property
    def places(self) -> int:
        """How many there are."""
        return int(self.place.max()) + 1

    @property
    def has_nir(self) -> bool:
        """Whether any sample shows near-infrared."""
        return any(np.isfinite(own.reflectance[3]).any() for own in self.samples)

    def folds(self, seed: int) -> list[tuple[list[int], list[int]]]:
        """Samples to train on and samples held back, in turn; none share ground. Empty where all is one place that cannot be parted."""
        groups = self._groups(seed)
        found = []
        for group in groups:
            held = set(group)
            near = held.union(*(self.neighbours[i] for i in held))
            kept = [i for i in range(len(self.samples)) if i not in near]
            if any(self.samples[i].is_positive for i in kept):
                found.append((kept, sorted(held)))
        return found if len(found) > 1 else []

    def _groups(self, seed: int) -> list[list[int]]:
        random = np.random.default_rng((seed, 2))
        positive = [i for i, own in enumerate(self.samples) if own.is_positive]
        if self.places > 1:
            groups: list[list[int]] = [[] for _ in range(min(MOST_FOLDS, self.places))]
            for place in sorted(range(self.places), key=lambda place: -np.count_nonzero(self.place == place)):
                min(groups, key=len).extend(np.flatnonzero(self.place == place).tolist())
        else:
            groups = self._poles(positive)
        without = [i for i, own in enumerate(self.samples) if not own.is_positive]
        for turn, i in enumerate(random.permutation(without).tolist() if groups else []):
            groups[turn % len(groups)].append(i)
        return groups

    def _poles(self, positive: list[int]) -> list[list[int]]:
        """One place in two: each sample goes to the nearer of the two that are furthest apart."""
        first = max(positive, key=self._steps(positive[0]).get)  # type: ignore[arg-type]
        from_first = self._steps(first)
        from_second = self._steps(max(positive, key=from_first.get))  # type: ignore[arg-type]
        if max(from_first.values()) < 2:
            return []
        nearer = [from_first[i] <= from_second[i] for i in positive]
        return [[i for i, near in zip(positive, nearer, strict=True) if near is side] for side in (True, False)]

    def _steps(self, start: int) -> dict[int, int]:
        steps = {start: 0}
        frontier = deque([start])
        while frontier:
            here = frontier.popleft()
            for other in sorted(self.neighbours[here] - steps.keys()):
                steps[other] = steps[here] + 1
                frontier.append(other)
        return steps


def read_own_ground(job: AdaptJob, gsd_m: float, tile_px: int, folder: Path, reporter: Reporter) -> OwnGround:
    """Cut samples around the outlines of a job, or read its chips.

    Parameters
    ----------
    folder : a place for the samples, which is there and empty

    Raises
    ------
    EngineError
        ``no_rock_glaciers`` when no mask shows one; ``all_rock_glacier`` when nothing else is shown; those of
        :func:`engine.samples.samples`.
    """
    order = SamplesJob(
        output=str(folder / "samples"), images=job.images, masks=job.masks, negatives=job.negatives, validation_share=0.0, seed=job.seed
    )
    if job.images is None:
        order = SamplesJob(
            output=str(folder / "samples"),
            stacks=job.stacks,
            outlines=job.outlines,
            outlines_layer=job.outlines_layer,
            recipe="paper",
            resolution=gsd_m,
            size=round(WINDOW * tile_px),
            background=BACKGROUND,
            validation_share=0.0,
            seed=job.seed,
        )
    samples(order, _Selective(reporter, 0.0, 1.0))
    found = read_samples(folder / "samples")
    own = tuple(_read(found, row) for row in found.samples)
    known = [sample.mask[sample.mask != UNKNOWN] for sample in own]
    if not any((labels == ROCK_GLACIER).any() for labels in known):
        raise EngineError(
            "no_rock_glaciers", "No mask shows a rock glacier where the images show the ground: there is nothing to learn from."
        )
    if all((labels == ROCK_GLACIER).all() for labels in known):
        raise EngineError(
            "all_rock_glacier",
            "Every pixel of every mask is rock glacier: without any background nothing can be learnt. Give chips that show their "
            "surroundings, or negatives.",
        )
    pairs = _pairs(own, job)
    neighbours = [frozenset({j for pair in pairs if i in pair for j in pair} - {i}) for i in range(len(own))]
    return OwnGround(found, own, _places(own, neighbours), tuple(neighbours))


class _Selective(StagedReporter):
    def warning(self, code: str, text: str) -> None:
        if code not in NOT_TOLD:
            super().warning(code, text)


def _read(found: SampleSet, row: Sample) -> Own:
    image, mask = found.read(row)
    seen = np.isfinite(image[:3]).all(axis=0)
    snow = float((image[:3].min(axis=0)[seen] >= BRIGHT).mean()) if seen.any() else 1.0
    return Own(row, np.ascontiguousarray(image[:4]), np.where(seen, mask, UNKNOWN).astype(np.uint8), snow)


def clearness(own: Own) -> float:
    """How often a sample is drawn: what lies under snow cannot be learnt (half snow: 1/26)."""
    return 1 / (1 + (own.snow / LOW_SNOW) ** 2)


def _pairs(own: Sequence[Own], job: AdaptJob) -> set[tuple[int, int]]:
    """Pairs of samples with rock glaciers that show some of the same ground."""
    positive = [i for i, sample in enumerate(own) if sample.is_positive]
    if job.images is None:
        boxes = [_footprint(own[i].row) for i in positive]
        return {
            (positive[i], positive[j])
            for j in range(len(positive))
            for i in range(j)
            if own[positive[i]].row.crs != own[positive[j]].row.crs or boxes[i].intersects(boxes[j])
        }
    found = shared_ground([own[i].mask == ROCK_GLACIER for i in positive])
    number = {Path(own[i].row.source).stem: i for i in positive}
    told = ((number.get(a), number.get(b)) for a, b in _told_overlaps(Path(job.images)))
    return {(positive[i], positive[j]) for i, j in found} | {(a, b) for a, b in told if a is not None and b is not None and a != b}


def _footprint(row: Sample) -> shapely.Geometry:
    assert row.x is not None and row.y is not None and row.pixel_size_m is not None
    wide, high = row.columns * row.pixel_size_m / 2, row.rows * row.pixel_size_m / 2
    return shapely.box(row.x - wide, row.y - high, row.x + wide, row.y + high)


def _told_overlaps(images: Path) -> Iterator[tuple[str, str]]:
    table = beside(images, OVERLAPS)
    if table is not None:
        with open(table, newline="", encoding="utf-8-sig") as file:
            yield from ((row["chip_a"], row["chip_b"]) for row in csv.DictReader(file))


def _places(own: Sequence[Own], neighbours: Sequence[frozenset[int]]) -> NDArray[np.intp]:
    place = np.full(len(own), -1, np.intp)
    count = 0
    for start, sample in enumerate(own):
        if place[start] >= 0 or not sample.is_positive:
            continue
        frontier = [start]
        while frontier:
            here = frontier.pop()
            place[here] = count
            frontier += [i for i in neighbours[here] if place[i] < 0]
        count += 1
    return place
