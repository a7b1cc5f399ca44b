"""Stacks and outlines, or chips, to training samples: images and masks, split without shared ground.

Source
------
Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1. docs/samples.md says what was decided here.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely

from engine import __version__
from engine.contact_sheet import contact_sheet
from engine.errors import EngineError
from engine.outputs import whole_file, whole_folder
from engine.reporting import Reporter, StagedReporter
from engine.sample_chips import ChipReader
from engine.sample_cutter import Cutter
from engine.sample_files import (
    BACKGROUND,
    DOCUMENT,
    FOOTPRINTS,
    FORMAT,
    IMAGES,
    KINDS,
    MASKS,
    ROCK_GLACIER,
    SPLITS,
    TABLE,
    UNKNOWN,
    Cut,
    Statistics,
    read_samples,
)
from engine.terminal import plain
from engine.vectors import PolygonLayer, reproject, write_polygons
from jobs import SamplesJob


@dataclass(frozen=True)
class Recipe:
    """What a job leaves open.

    ``resolution`` in metres, 0 = that of the stacks; ``validation_share`` 0-1; ``background`` negative samples for each positive one.
    """

    resolution: float
    validation_share: float
    background: float


RECIPES = {"blocks": Recipe(0.0, 0.2, 1.0), "paper": Recipe(4.0, 0.2, 1353 / 542), "hu": Recipe(10.0, 0.1, 1.0)}


class Maker(Protocol):
    """Makes the samples of a job in a folder: from stacks (:class:`Cutter`) or from chips.

    ``left_out``: reason -> how many samples were not made or not kept; ``resolution``: metres, None where unknown.
    """

    left_out: Counter[str]
    resolution: float | None

    def cut(self, reporter: Reporter) -> list[Cut]:
        """Write images and masks, one at a time."""

    def split(self, cuts: list[Cut], share: float, random: np.random.Generator) -> list[Cut]:
        """Those that stay, each with its side; files of the others are removed."""

    def described(self) -> dict[str, Any]:
        """What ``samples.json`` says about the source."""


def samples(job: SamplesJob, reporter: Reporter) -> dict[str, Any]:
    """Make a folder of training samples.

    One sample is in memory at a time. The folder appears when all is written, or not at all.

    Returns
    -------
    ``output``, ``count``, ``train``, ``validation``, ``positive``, ``negative``, ``left_out`` (reason -> count), ``recipe``,
    ``resolution_m`` (None for chips), ``contact_sheet``

    Raises
    ------
    EngineError
        ``not_a_stack``, ``outside_imagery``, ``no_rock_glaciers``, ``no_samples``; those of
        :func:`engine.rasters.open_raster`, :func:`engine.vectors.read_polygons`, :func:`engine.outputs.whole_folder`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.3.1; Hu et al. (2023), section 3.2.1.
    """
    recipe = RECIPES[job.recipe]
    share = recipe.validation_share if job.validation_share is None else job.validation_share
    with ExitStack() as outputs:
        sheet = _sheet_beside(job, outputs)
        folder = outputs.enter_context(whole_folder(job.output, (IMAGES, MASKS, TABLE, FOOTPRINTS, DOCUMENT, *_sheet_within(job))))
        for name in (IMAGES, MASKS):
            (folder / name).mkdir()
        maker: Maker
        if job.images is None:
            resolution = recipe.resolution if job.resolution is None else job.resolution
            maker = Cutter(job, resolution, recipe.background if job.background is None else job.background, folder, reporter)
        else:
            maker = ChipReader(job, folder, reporter)
        cuts = maker.cut(StagedReporter(reporter, 0.05, 0.9))
        reporter.progress(0.9, "Splitting")
        kept = maker.split(cuts, share, np.random.default_rng(job.seed))
        if not kept:
            raise EngineError("no_samples", "No sample came about: the outlines lie where the stacks show nothing. Check both on the map.")
        document = _document(job, kept, maker, share)
        write_tables(folder, kept, document)
        for code, text in _what_lacks(document["counts"], share):
            reporter.warning(code, text)
        if job.contact_sheet is not None:
            reporter.progress(0.95, "Drawing the contact sheet")
            contact_sheet(read_samples(folder), sheet or folder.joinpath(*_sheet_within(job)))
        reporter.progress(0.99, "Writing the samples")
    reporter.progress(1.0, f"{len(kept)} samples")
    by_kind = Counter(cut.row.kind for cut in kept)
    by_split = Counter(cut.row.split for cut in kept)
    return {
        "output": job.output,
        "count": len(kept),
        **{name: by_split[name] for name in SPLITS},
        **{name: by_kind[name] for name in ("positive", "negative")},
        "left_out": dict(maker.left_out),
        "recipe": job.recipe,
        "resolution_m": maker.resolution,
        "contact_sheet": job.contact_sheet,
    }


def _sheet_within(job: SamplesJob) -> tuple[str, ...]:
    """The contact sheet's name where it is to lie in the folder of samples."""
    if job.contact_sheet is None or Path(job.contact_sheet).absolute().parent != Path(job.output).absolute():
        return ()
    return (Path(job.contact_sheet).name,)


def _sheet_beside(job: SamplesJob, outputs: ExitStack) -> Path | None:
    """Where the contact sheet is written that is to lie elsewhere."""
    if job.contact_sheet is None or _sheet_within(job):
        return None
    return outputs.enter_context(whole_file(job.contact_sheet))


def _document(job: SamplesJob, kept: list[Cut], maker: Maker, share: float) -> dict[str, Any]:
    """``samples.json``."""
    counts = {name: dict.fromkeys(KINDS, 0) for name in SPLITS}
    for cut in kept:
        counts[cut.row.split][cut.row.kind] += 1
    return {
        "format": FORMAT,
        "software": f"Rock Glacier Mapper {__version__}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": job.recipe,
        "seed": job.seed,
        "validation_share": share,
        "resolution_m": maker.resolution,
        **maker.described(),
        "counts": counts,
        "left_out": dict(maker.left_out),
        "mask": {"background": BACKGROUND, "rock_glacier": ROCK_GLACIER, "unknown": UNKNOWN},
        "bands": sum((cut.statistics for cut in kept), Statistics()).by_band(),
        "bands_of_train": sum((cut.statistics for cut in kept if cut.row.split == SPLITS[0]), Statistics()).by_band(),
    }


def write_tables(folder: Path, kept: list[Cut], document: dict[str, Any]) -> None:
    """Write ``samples.csv``, ``samples.json`` and, where samples have a place, ``samples.gpkg`` into a folder."""
    names = [column.name for column in dataclasses.fields(kept[0].row)]
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(names)
        rows.writerows([getattr(cut.row, name) for name in names] for cut in kept)
    text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")
    there = [cut for cut in kept if cut.ground is not None]
    grounds = [cut.ground for cut in there if cut.ground is not None]
    if not grounds:
        return
    crs = grounds[0][1]
    bent = [(np.array([shapely.segmentize(footprint, footprint.length / 64)], dtype=object), own) for footprint, own in grounds]
    footprints = np.concatenate([reproject(footprint, own, crs) for footprint, own in bent])
    columns = {name: np.array([getattr(cut.row, name) for cut in there]) for name in names}
    shown = {name: column.astype(object) if column.dtype.kind == "U" else column for name, column in columns.items()}
    write_polygons(folder / FOOTPRINTS, PolygonLayer(footprints, crs, shown), "samples")


def _what_lacks(counts: dict[str, dict[str, int]], share: float) -> Iterator[tuple[str, str]]:
    """Warnings on a set that nothing good can be trained on."""
    train, validation = (counts[name] for name in SPLITS)
    if not validation["positive"] and share:
        yield (
            "no_validation",
            "No rock glacier is left for validation without sharing ground with training: nobody will know how well a network does. "
            "Give more outlines, a larger area, or smaller samples.",
        )
    if not train["negative"] + validation["negative"]:
        yield (
            "all_positive",
            "Every sample holds a rock glacier: what is none is known from their surroundings alone. Give polygons of look-alikes, a "
            "larger stack, or smaller samples.",
        )
    if not train["positive"]:
        yield "no_training", "No rock glacier is left for training."
