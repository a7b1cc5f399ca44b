"""Chips, true-colour pictures with masks of the same names, to training samples.

Source
------
The layout of alcazar90/rock-glacier-detection: pictures, masks, pictures without rock glaciers, and a table of those that share ground.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from engine import rasters
from engine.errors import EngineError
from engine.prepare import spectral_stack
from engine.rasters import Grid
from engine.reporting import Reporter
from engine.sample_files import (
    BACKGROUND,
    CHIP,
    IMAGES,
    MASKS,
    RANDOM,
    ROCK_GLACIER,
    UNKNOWN,
    Cut,
    Sample,
    Statistics,
    described_mask,
    located,
    on_their_sides,
    opened,
    write_sample,
)
from engine.sample_layout import split_apart
from jobs import SamplesJob

TRUE_COLOUR_SATURATION = 0.3558
"""Reflectance at which Sentinel-2 true-colour images saturate (255): the nominal scale of 8-bit chips."""

CHIPS, OVERLAPS = "chips.csv", "overlaps.csv"
"""Tables in the folder of the images or the one above: ``chip``, ``region`` and where known ``snow``; ``chip_a``, ``chip_b`` of chips that
share ground."""


@dataclass(frozen=True)
class Chip:
    """A true-colour picture on disk.

    ``mask`` None where it shows no rock glacier; ``region`` and ``snow`` (share of snow-covered pixels, 0-1) as the table of chips says,
    empty and None where it does not.
    """

    image: Path
    mask: Path | None
    region: str = ""
    snow: float | None = None

    def read(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The six bands (6, rows, cols) of :func:`nominal_stack`, and the mask (rows, cols): 1 rock glacier, 0 background, 255 unknown.

        Raises
        ------
        EngineError
            ``mask_size`` when the mask has another size; ``not_a_chip``, ``truncated_file``.
        """
        image = nominal_stack(self.image)
        mask = np.zeros(image.shape[1:], np.uint8) if self.mask is None else _mask(self.mask, image.shape[1:], self.image)
        mask[~np.isfinite(image[:3]).all(axis=0)] = UNKNOWN
        return image, mask


def find_chips(images: str, masks: str, negatives: str | None) -> list[Chip]:
    """The chips of folders, by name; those without rock glaciers (``negatives``) last.

    Raises
    ------
    EngineError
        ``file_missing``, ``no_chips`` for a folder that is not there or holds none, ``mask_missing``; ``no_field``, ``no_share`` for a
        table of chips that cannot be used.
    """
    pictures, masks_of = _pictures(images), _pictures(masks)
    without = sorted(set(pictures) - set(masks_of))
    if without:
        raise EngineError(
            "mask_missing",
            f"{len(without)} of {len(pictures)} chips in {images} have no mask of the same name in {masks}, {without[0]} "
            "among them. Chips without rock glaciers go to a folder of their own (negatives).",
        )
    told = {row["chip"]: row for row in _table(pictures, CHIPS, ("chip", "region"))}

    def chip(name: str) -> Chip:
        row = told.get(name, {})
        return Chip(pictures[name], masks_of[name], row.get("region", ""), _share(row.get("snow"), name))

    found = [chip(name) for name in sorted(pictures)]
    return found + [Chip(path, None) for _, path in sorted(_pictures(negatives).items())] if negatives else found


class ChipReader:
    """Makes samples of chips; see :class:`engine.samples.Maker`. Where they lie and how large their pixels are is unknown."""

    resolution: float | None = None

    def __init__(self, job: SamplesJob, folder: Path, reporter: Reporter) -> None:
        self._job, self._folder, self._reporter = job, folder, reporter
        self.left_out: Counter[str] = Counter()
        self._chips = find_chips(str(job.images), str(job.masks), job.negatives)
        images = {chip.image.stem: chip.image for chip in self._chips if chip.mask is not None}
        number = {name: i for i, name in enumerate(images)}
        rows = list(_table(images, OVERLAPS, ("chip_a", "chip_b")))
        pairs = ((number.get(row["chip_a"]), number.get(row["chip_b"])) for row in rows)
        self._pairs = {(min(a, b), max(a, b)) for a, b in pairs if a is not None and b is not None and a != b}
        if not rows:
            reporter.warning(
                "places_unknown",
                f"Nothing says which chips show the same ground: chips of one place may be on both sides of the split, and validation then "
                f"means little. A table {OVERLAPS} beside the images, with columns chip_a and chip_b, keeps them apart.",
            )

    def cut(self, reporter: Reporter) -> list[Cut]:
        """See :class:`engine.samples.Maker`."""
        cuts = []
        for number, chip in enumerate(self._chips, 1):
            reporter.progress((number - 1) / len(self._chips), f"Reading chip {number} of {len(self._chips)}")
            image, mask = chip.read()
            name = f"{number:06d}"
            rows, columns = mask.shape
            write_sample(self._folder, name, Grid(CRS(), Affine.identity(), columns, rows), image, mask)
            row = Sample(
                sample=name,
                image=f"{IMAGES}/{name}.tif",
                mask=f"{MASKS}/{name}.tif",
                split="",
                made_for=RANDOM if chip.mask is None else CHIP,
                source=located(str(chip.image)),
                date="",
                outline="",
                status="",
                block=chip.region,
                x=None,
                y=None,
                longitude=None,
                latitude=None,
                crs="",
                pixel_size_m=None,
                rows=rows,
                columns=columns,
                **described_mask(mask),
            )
            cuts.append(Cut(row, Statistics.of(image)))
        if not any(cut.is_positive for cut in cuts):
            raise EngineError("no_rock_glaciers", f"No mask in {self._job.masks} shows a rock glacier: there is nothing to learn from.")
        return cuts

    def split(self, cuts: list[Cut], share: float, random: np.random.Generator) -> list[Cut]:
        """See :class:`engine.samples.Maker`."""
        positive = np.array([cut.is_positive for cut in cuts], dtype=bool)
        kept, left_out = on_their_sides(cuts, split_apart(self._pairs, positive, share, random), self._folder)
        if left_out:
            self.left_out["shared ground"] = left_out
        return kept

    def described(self) -> dict[str, Any]:
        """See :class:`engine.samples.Maker`."""
        return {
            "images": located(str(self._job.images)),
            "masks": located(str(self._job.masks)),
            "negatives": self._job.negatives and located(self._job.negatives),
            "overlaps": len(self._pairs),
            "reflectance": f"nominal: value x {TRUE_COLOUR_SATURATION} / 255",
        }


def nominal_stack(path: Path) -> NDArray[np.float32]:
    """The six bands (6, rows, columns) of an 8-bit true-colour picture: reflectance as Sentinel-2's true colours have it, no nir.

    Nominal, since the stretch of the picture is unknown. NaN where it is transparent.

    Raises
    ------
    EngineError
        ``not_a_chip`` for another kind of picture; ``truncated_file``.
    """
    with opened(path) as picture:
        if picture.count not in (3, 4) or any(kind != "uint8" for kind in picture.dtypes):
            raise EngineError(
                "not_a_chip",
                f"{path} has {picture.count} bands of {picture.dtypes[0]}; a chip is red, green and blue of 8 bits. "
                "For other imagery give stacks and outlines.",
            )
        values = rasters.read(picture, list(range(1, picture.count + 1)))
    reflectance = nominal_reflectance(values[:3])
    if len(values) == 4:
        reflectance[:, values[3] == 0] = np.nan
    return spectral_stack(reflectance)


def nominal_reflectance(colours: NDArray[np.generic]) -> NDArray[np.float32]:
    """Red, green, blue and an absent NIR of 8-bit true colours of unknown stretch.

    Nominal, since the stretch is unknown: Sentinel-2 true-colour images show reflectance 0-0.3558 as 0-255.

    Parameters
    ----------
    colours : (3, rows, cols) uint8

    Returns
    -------
    (4, rows, cols) reflectance 0-1; NIR is NaN
    """
    reflectance = np.full((4, *colours.shape[1:]), np.nan, np.float32)
    reflectance[:3] = colours.astype(np.float32) * np.float32(TRUE_COLOUR_SATURATION / 255)
    return reflectance


def beside(images: Path, name: str) -> Path | None:
    """The table of a name in the folder of the images or the one above, None where there is none."""
    return next((place / name for place in (images, images.parent) if (place / name).is_file()), None)


def _mask(path: Path, shape: tuple[int, ...], image: Path) -> NDArray[np.uint8]:
    with opened(path) as picture:
        values = rasters.read(picture, [1])[0]
    if values.shape != shape:
        raise EngineError(
            "mask_size",
            f"The mask {path} has {values.shape[1]} x {values.shape[0]} pixels, its chip {image} {shape[1]} x {shape[0]}. "
            "They must show the same ground.",
        )
    return np.where(values > 0, ROCK_GLACIER, BACKGROUND).astype(np.uint8)


def _pictures(folder: str) -> dict[str, Path]:
    """The PNG pictures of a folder by name."""
    place = Path(folder)
    if not place.is_dir():
        raise EngineError("file_missing", f"There is no folder {folder}.")
    found = {path.stem: path for path in place.iterdir() if path.suffix.lower() == ".png"}
    if not found:
        raise EngineError("no_chips", f"The folder {folder} holds no pictures (.png).")
    return found


def _share(text: str | None, chip: str) -> float | None:
    """What a table says of a chip, None where it says nothing."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        if 0 <= (share := float(text)) <= 1:
            return share
    raise EngineError("no_share", f"The table {CHIPS} says snow {text} of chip {chip}; it must be a share, 0-1, or empty.")


def _table(images: dict[str, Path], name: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a table beside the images or one folder above; none where there is no such table."""
    path = beside(next(iter(images.values())).parent, name)
    if path is None:
        return
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise EngineError("no_field", f"{path} has no column {missing[0]}; it needs {' and '.join(columns)}.")
        yield from rows
