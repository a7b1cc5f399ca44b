"""Detect: from a spectral stack to one polygon per object per tile, and a blended probability raster."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from engine import __version__, rasters
from engine.card import ModelCard, find_model
from engine.inference import Network, open_network
from engine.outputs import whole_file
from engine.rasters import PASSPORT, Grid
from engine.reporting import Reporter, StagedReporter
from engine.search_area import SearchArea
from engine.stack import Channels, check_stack, choose_channels, observed, read_channels
from engine.tile_polygons import TileObjects, TilePolygonFile, trace_tile
from engine.tiling import BlendedRows, LookedTiles, TilePlan, pad_to_tile, plan_tiles, tiles_with_any
from engine.vectors import PolygonLayer, read_polygons
from jobs import DetectJob

T = TypeVar("T")
R = TypeVar("R")
SAME_GSD = 0.05
"""A stack whose pixels are within 5 % of the model's is read as it is: resampling would blur more than it mends."""
WARNED_GSD_FACTOR = 2.0
BLOCK_ROWS = 256
"""Rows of a block of :func:`engine.rasters.new_geotiff`."""
LOOKED, WRITTEN = 0.95, 0.99
"""Share of the work done when the last tile has been looked at, and when all rows are written."""
SMALLEST_CACHE, LARGEST_CACHE = 16_000_000, 1_000_000_000


def detect(job: DetectJob, reporter: Reporter) -> dict[str, Any]:
    """Look for rock glaciers in a spectral stack, tile by tile.

    The stack is read on the grid of the model's ground sampling distance, one row of tiles at a time. Each tile's
    probabilities are cut at the threshold and outlined, so an object that several tiles see has several polygons
    (:mod:`engine.postprocess` unites them); the blended probability is written on the stack's own grid.

    Tiles without an observed pixel in the mask are skipped. A tile over the mask's edge is looked at as a whole, because
    the network needs the surroundings; its pixels outside the mask (by their centres) are NaN in the probability and in
    no polygon. On the CPU the result is the same for any batch size.

    Parameters
    ----------
    job : see :class:`jobs.DetectJob`
    reporter : is told after every batch of tiles

    Returns
    -------
    ``output``, ``probability`` (path or None), ``count`` of tile polygons, ``tiles`` of the plan, ``tiles_skipped``,
    ``device_used`` CUDA or CPU, ``seconds_in_network``, ``model``

    Raises
    ------
    EngineError
        those of :func:`engine.card.find_model`, :func:`engine.rasters.open_raster`, :func:`engine.stack.choose_channels`,
        :func:`engine.stack.check_stack`, :func:`engine.inference.open_network`, :meth:`engine.inference.Network.run`,
        :func:`engine.vectors.read_polygons` and :func:`engine.outputs.whole_file`.

    Source
    ------
    Lin et al. (2024), sections 3.4.1 and 3.4.2, step 3.
    """
    reporter.progress(0.0, "opening the model and the stack")
    card = find_model(job.model, job.models_folders)
    threshold = card.threshold if job.threshold is None else job.threshold
    with rasters.open_raster(job.input) as dataset, rasterio.Env(GDAL_CACHEMAX=_cache_bytes(dataset)):
        channels = choose_channels(dataset.descriptions, card, job.input)
        nir_is_empty = check_stack(dataset, channels, card.name)
        if channels.absent or nir_is_empty:
            reporter.info(f"The stack has no near-infrared values; the model {card.name} works from red, green and blue alone.")
        own = Grid.of(dataset)
        grid = _model_grid(own, card, reporter)
        plan = plan_tiles(grid.height, grid.width, card.tile_px, card.overlap if job.overlap is None else job.overlap)
        mask = read_polygons(job.mask, job.mask_layer) if job.mask else None
        area = SearchArea(mask, grid)
        _tell_of_mask(mask, area, job, reporter)
        network = open_network(card, job.device, job.batch_size, reporter)
        with (
            rasters.on_grid(dataset, grid) as source,
            whole_file(job.output) as place,
            _probability_rows(job, own, grid, mask, _passport(job, card, plan, threshold), reporter) as rows,
        ):
            polygons = TilePolygonFile(place, job.output, grid, CRS.from_wkt(own.crs.to_wkt()))
            looking = StagedReporter(reporter, 0.0, LOOKED if job.probability and grid != own else WRITTEN)
            skipped = _look(Scene(source, channels, area), plan, network, threshold, polygons, rows, looking)
            polygons.finish()
    reporter.progress(1.0, "done")
    return {
        "output": job.output,
        "probability": job.probability,
        "count": polygons.count,
        "tiles": plan.count,
        "tiles_skipped": skipped,
        "device_used": network.device,
        "seconds_in_network": network.seconds,
        "model": card.name,
    }


@dataclass(frozen=True)
class Strip:
    """The pixels under one row of tiles.

    ``stack`` (channels, tile, padded columns) as the network takes it; ``valid`` (tile, padded columns) True where a
    pixel is observed and in the area to look at.
    """

    stack: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """A stack on the model's grid, and where to look in it."""

    source: DatasetReader | WarpedVRT
    channels: Channels
    area: SearchArea

    def strips(self, plan: TilePlan) -> Iterator[Strip | None]:
        """The strip of each row of tiles, None where nothing of it is to be looked at. Every pixel is read once at most."""
        rows = min(plan.tile, plan.rows)
        stack = np.empty((len(self.channels.names), 0, plan.columns), np.float32)
        end = 0
        for start in plan.row_starts:
            if not self.area.touches(start, rows):
                yield None
                continue
            fresh_start = max(start, end)
            fresh = read_channels(self.source, self.channels, Window(0, fresh_start, plan.columns, start + rows - fresh_start))
            stack = np.concatenate([stack[:, stack.shape[1] - (fresh_start - start) :], fresh], axis=1)
            end = start + rows
            valid = np.zeros((plan.tile, plan.padded_columns), bool)
            valid[:rows, : plan.columns] = observed(stack, self.channels) & self.area.inside(start, rows)
            yield Strip(pad_to_tile(stack, plan.tile), valid)


@dataclass(frozen=True)
class Batch:
    """Tiles of one row of tiles that go through the network together; a row without any has one empty batch.

    ``tile_columns`` their columns in the plan; ``tiles`` (n, channels, tile, tile); ``valid`` that of their strip;
    ``ends_row`` True for the last of the row.
    """

    tile_row: int
    tile_columns: list[int]
    tiles: NDArray[np.float32]
    valid: NDArray[np.bool_]
    ends_row: bool


def _look(
    scene: Scene,
    plan: TilePlan,
    network: Network,
    threshold: float,
    polygons: TilePolygonFile,
    rows: RowWriter | None,
    reporter: Reporter,
) -> int:
    """Run the network over all tiles of a scene; the number of tiles skipped.

    While the network looks at a batch, the one before is outlined and blended and the next strip is read.
    """
    blended = BlendedRows(plan.padded_columns, plan.tile)
    looked_tiles = LookedTiles(plan)
    held: deque[TileObjects] = deque()  # their coverage is known when the rows of tiles that overlap them are
    looked = 0
    ends = (*plan.row_starts[1:], plan.rows)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as computer:
        strips = scene.strips(plan)
        read = (strip for _, strip in _one_ahead(reader, lambda _: next(strips), plan.row_starts))
        for batch, probabilities in _one_ahead(
            computer, lambda batch: network.run(batch.tiles), _batches(read, plan, network, looked_tiles)
        ):
            start, end = plan.row_starts[batch.tile_row], ends[batch.tile_row]
            for tile_column, probability in zip(batch.tile_columns, probabilities, strict=True):
                column = plan.column_starts[tile_column]
                valid = batch.valid[:, column : column + plan.tile]
                if rows is not None:
                    blended.add(column, probability, valid)
                number = plan.number(batch.tile_row, tile_column)
                objects = trace_tile(probability, (probability >= threshold) & valid, number, start, column)
                if objects is not None:
                    held.append(objects)
            looked += len(batch.tile_columns)
            if batch.ends_row:
                while held and (end == plan.rows or held[0].row + plan.tile <= end):
                    objects = held.popleft()
                    polygons.add(objects, objects.coverage(looked_tiles.counts(objects.row, objects.column)))
                looked_tiles.forget_before(held[0].row if held else end)
                if rows is not None:
                    rows.add(blended.finish(end - start)[:, : plan.columns])
            done = plan.number(batch.tile_row + 1, 0) - 1 if batch.ends_row else plan.number(batch.tile_row, batch.tile_columns[-1])
            reporter.progress(done / plan.count, f"tile {done} of {plan.count}")
    return plan.count - looked


def _batches(strips: Iterable[Strip | None], plan: TilePlan, network: Network, looked_tiles: LookedTiles) -> Iterator[Batch]:
    for tile_row, strip in enumerate(strips):
        looked = np.zeros(len(plan.column_starts), bool) if strip is None else tiles_with_any(strip.valid, plan)
        looked_tiles.add_row(plan.row_starts[tile_row], looked)
        if strip is None or not looked.any():
            yield Batch(tile_row, [], np.empty((0, 0, 0, 0), np.float32), np.empty((0, 0), bool), ends_row=True)
            continue
        waiting = np.flatnonzero(looked).tolist()
        while waiting:
            tile_columns, waiting = waiting[: network.batch_size], waiting[network.batch_size :]
            starts = [plan.column_starts[tile_column] for tile_column in tile_columns]
            tiles = np.stack([strip.stack[:, :, start : start + plan.tile] for start in starts])
            yield Batch(tile_row, tile_columns, tiles, strip.valid, ends_row=not waiting)


def _one_ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each item with what became of it, in order; the next one is worked on meanwhile."""
    earlier: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        earlier.append((item, pool.submit(work, item)))
        if len(earlier) > 1:
            done, result = earlier.popleft()
            yield done, result.result()
    for done, result in earlier:
        yield done, result.result()


class RowWriter:
    """Writes the rows of a raster from top to bottom, whole blocks at a time."""

    def __init__(self, dataset: DatasetWriter) -> None:
        self._dataset = dataset
        self._waiting = np.empty((0, dataset.width), np.float32)
        self._next_row = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take in the next rows, (rows, cols)."""
        self._waiting = np.concatenate([self._waiting, rows])
        self._write(len(self._waiting) // BLOCK_ROWS * BLOCK_ROWS)

    def finish(self) -> None:
        """Write what is left."""
        self._write(len(self._waiting))

    def _write(self, count: int) -> None:
        if count:
            self._dataset.write(self._waiting[:count], 1, window=Window(0, self._next_row, self._dataset.width, count))
            self._next_row += count
            self._waiting = self._waiting[count:]


@contextmanager
def _probability_rows(
    job: DetectJob, own: Grid, grid: Grid, mask: PolygonLayer | None, passport: dict[str, str], reporter: Reporter
) -> Iterator[RowWriter | None]:
    """Where the blended rows on the model's grid go; when the block ends they are brought to the stack's own grid."""
    if not job.probability:
        yield None
        return
    with rasters.new_geotiff(job.probability, own, ["probability"]) as result:
        result.update_tags(ns=PASSPORT, **passport)
        if grid == own:
            rows = RowWriter(result)
            yield rows
            rows.finish()
            return
        on_model_grid = Path(result.name + ".model_grid.tif")  # swept away with the unfinished result's folder
        with rasters.new_geotiff(on_model_grid, grid, ["probability"]) as dataset:
            rows = RowWriter(dataset)
            yield rows
            rows.finish()
        area = SearchArea(mask, own)
        with rasterio.open(on_model_grid) as dataset, rasters.on_grid(dataset, own) as warped:
            for window in rasters.windows(own, BLOCK_ROWS, own.width):
                probability = np.asarray(rasters.read(warped, [1], window)[0], np.float32)
                probability[~area.inside(window.row_off, window.height)] = np.nan
                result.write(probability, 1, window=window)
                done = (window.row_off + window.height) / own.height
                reporter.progress(LOOKED + (WRITTEN - LOOKED) * done, "bringing the probability to the stack's grid")


def _passport(job: DetectJob, card: ModelCard, plan: TilePlan, threshold: float) -> dict[str, str]:
    return {
        "MODEL": card.name,
        "MODEL_VERSION": card.version,
        "MODEL_SHA256": card.sha256,
        "THRESHOLD": f"{threshold:g}",
        "TILES": f"{plan.count} of {plan.tile} x {plan.tile} pixels of {card.gsd_m:g} m",
        "SOFTWARE": f"Rock Glacier Mapper {__version__}",
        "SOURCE": Path(job.input).name,
    }


def _cache_bytes(dataset: DatasetReader) -> int:
    """A GDAL block cache of two rows of the raster's blocks: more would only make memory grow with the number of rows."""
    row_bytes = sum(height * np.dtype(kind).itemsize for (height, _), kind in zip(dataset.block_shapes, dataset.dtypes, strict=True))
    return min(LARGEST_CACHE, SMALLEST_CACHE + (2 * row_bytes + 4 * BLOCK_ROWS) * dataset.width)


def _model_grid(own: Grid, card: ModelCard, reporter: Reporter) -> Grid:
    """The grid that the network sees."""
    ground = math.sqrt(math.prod(rasters.ground_pixel_size(own)))
    if not 1 / WARNED_GSD_FACTOR <= ground / card.gsd_m <= WARNED_GSD_FACTOR:
        consequence = "they lack the detail it knows" if ground > card.gsd_m else "their detail is averaged away"
        reporter.warning(
            "resolution",
            f"The stack's pixels are {ground:.3g} m on the ground, the model {card.name} was made for {card.gsd_m:g} m: {consequence}. "
            "A model for that resolution, if there is one, will do better.",
        )
    fits = abs(ground / card.gsd_m - 1) <= SAME_GSD and own.is_north_up_square and rasters.is_measured_in_metres(own)
    grid, change = rasters.working_grid(own, 0.0 if fits else card.gsd_m)
    if change:
        reporter.info(f"The stack is not on the model's grid: {change}.")
    return grid


def _tell_of_mask(mask: PolygonLayer | None, area: SearchArea, job: DetectJob, reporter: Reporter) -> None:
    if mask is None:
        return
    if mask.repaired:
        reporter.info(f"{mask.repaired} invalid polygons of {job.mask} were repaired.")
    if area.is_empty():
        reporter.warning(
            "mask_outside", f"No polygon of {job.mask} lies over the stack: there is nowhere to look. Check its place and CRS."
        )
