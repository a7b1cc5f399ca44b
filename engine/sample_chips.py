"""Chips, true-colour pictures with masks of the same names, to training samples.

Source
------
The layout of alcazar90/rock-glacier-detection: pictures, masks, pictures without rock glaciers, and a table of those that share ground.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
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
"""Tables in the folder of the images or the one above: ``chip``, ``region``; ``chip_a``, ``chip_b`` of chips that share ground."""


class ChipReader:
    """Makes samples of chips; see :class:`engine.samples.Maker`. Where they lie and how large their pixels are is unknown."""

    resolution: float | None = None

    def __init__(self, job: SamplesJob, folder: Path, reporter: Reporter) -> None:
        self._job, self._folder, self._reporter = job, folder, reporter
        self.left_out: Counter[str] = Counter()
        images = _pictures(str(job.images))
        masks = _pictures(str(job.masks))
        without = sorted(set(images) - set(masks))
        if without:
            raise EngineError(
                "mask_missing",
                f"{len(without)} of {len(images)} chips in {job.images} have no mask of the same name in {job.masks}, {without[0]} "
                "among them. Chips without rock glaciers go to a folder of their own (negatives).",
            )
        self._chips: list[tuple[Path, Path | None]] = [(images[name], masks[name]) for name in sorted(images)]
        self._chips += [(path, None) for _, path in sorted(_pictures(job.negatives).items())] if job.negatives else []
        self._region = {row["chip"]: row["region"] for row in _table(images, CHIPS, ("chip", "region"))}
        number = {name: i for i, name in enumerate(sorted(images))}
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
        for number, (path, mask_path) in enumerate(self._chips, 1):
            reporter.progress((number - 1) / len(self._chips), f"Reading chip {number} of {len(self._chips)}")
            image = nominal_stack(path)
            mask = np.zeros(image.shape[1:], np.uint8) if mask_path is None else _mask(mask_path, image.shape[1:], path)
            mask[~np.isfinite(image[:3]).all(axis=0)] = UNKNOWN
            name = f"{number:06d}"
            rows, columns = mask.shape
            write_sample(self._folder, name, Grid(CRS(), Affine.identity(), columns, rows), image, mask)
            row = Sample(
                sample=name,
                image=f"{IMAGES}/{name}.tif",
                mask=f"{MASKS}/{name}.tif",
                split="",
                made_for=RANDOM if mask_path is None else CHIP,
                source=located(str(path)),
                date="",
                outline="",
                status="",
                block="" if mask_path is None else self._region.get(path.stem, ""),
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
    colours = values[:3].astype(np.float32) * np.float32(TRUE_COLOUR_SATURATION / 255)
    if len(values) == 4:
        colours[:, values[3] == 0] = np.nan
    return spectral_stack(colours)


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


def _table(images: dict[str, Path], name: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a table beside the images or one folder above; none where there is no such table."""
    folder = next(iter(images.values())).parent
    path = next((place / name for place in (folder, folder.parent) if (place / name).is_file()), None)
    if path is None:
        return
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise EngineError("no_field", f"{path} has no column {missing[0]}; it needs {' and '.join(columns)}.")
        yield from rows
