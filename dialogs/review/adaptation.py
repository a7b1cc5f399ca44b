"""From a session's decisions to a model of the person's own, and to a new detection where nobody has looked, while the review goes on."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsFeatureRequest, QgsProcessingUtils, QgsVectorLayer
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ...jobs import AdaptJob, DetectJob, PostprocessJob, UpdateReviewJob
from ...processing_provider.engine_home import models_folder
from ...processing_provider.layers import raster_path
from ...processing_provider.translation import tr
from ...review_session import OUTLINES
from .inputs import vector_file
from .job_bar import JobBar
from .session import Review, ReviewError

PASSPORT = "ROCK_GLACIER_MAPPER"
"""Where the engine's rasters tell what they were made with."""
NOT_VISITED = '"visited_at" IS NULL OR "visited_at" = \'\''


@dataclass(frozen=True)
class Order:
    """What is wanted: ``model`` to start from, empty = the bundled one, minutes at most, and what the new model is called."""

    model: str
    minutes: float
    name: str


class Adaptation(QObject):
    """Adapts a model, detects with it in the tiles without a visit and outlines what it found: three jobs of the engine, one after another.

    The session stays open and is not written to. Where a job fails or is cancelled, what the others wrote for it goes again; the
    adapted model stays.
    """

    detected = pyqtSignal(object)
    """The ``UpdateReviewJob`` that takes the new detection into the session."""
    said = pyqtSignal(str, object)
    """A text for the message bar and its ``Qgis.MessageLevel``."""
    got_worse = pyqtSignal(str)
    """Why the person should think again; :meth:`detect` goes on."""

    def __init__(self, review: Review, order: Order, bar: JobBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._review, self._order, self._bar = review, order, bar
        self._stack = raster_path(review.imagery)
        self._models = (str(models_folder()),)
        self._folder = Path(QgsProcessingUtils.generateTempFilename("adaptation")).parent
        beside = f"{review.path.stem}_{order.name}"
        self._outlines = review.path.with_name(f"{beside}_outlines.gpkg")
        self._probability = review.path.with_name(f"{beside}_probability.tif")

    def start(self) -> None:
        """Save the outlines and adapt the model to them."""
        self._review.save()
        models_folder().mkdir(parents=True, exist_ok=True)
        job = AdaptJob(
            output=str(models_folder() / self._order.name),
            model=self._order.model,
            models_folders=self._models,
            stacks=(self._stack,),
            outlines=str(self._review.path),
            outlines_layer=OUTLINES,
            minutes=self._order.minutes,
        )
        self._bar.run(tr("1 of 3: adapting the model"), job, self._adapted, self._fail, self._clear)

    def detect(self) -> None:
        """Look for rock glaciers in the tiles that nobody has visited."""
        if self._bar.is_busy:  # with another adaptation, begun after this one was offered to go on
            return
        tiles = not_visited(self._review)
        if not tiles.featureCount():
            self.said.emit(tr("All tiles are visited: nothing is detected anew."), Qgis.MessageLevel.Info)
            return
        try:
            mask, layer, _told = vector_file(tiles, self._folder, "tiles")
        except ReviewError as error:
            self._fail(str(error))
            return
        self._tiles = mask, layer
        job = DetectJob(
            input=self._stack,
            output=str(self._folder / "tile_polygons.gpkg"),
            probability=str(self._probability),
            model=self._order.name,
            models_folders=self._models,
            mask=mask,
            mask_layer=layer,
        )
        self._bar.run(tr("2 of 3: detecting in the tiles without a visit"), job, self._draw, self._fail, self._clear)

    def _adapted(self, result: dict[str, Any], warnings: list[str]) -> None:
        self.said.emit(
            tr("The model {} is made. Detect rock glaciers has it in its list.").format(self._order.name), Qgis.MessageLevel.Success
        )
        if result["is_worse"]:
            self.got_worse.emit(" ".join(warnings))
        else:
            self._tell(warnings)
            self.detect()

    def _draw(self, _result: dict[str, Any], warnings: list[str]) -> None:
        self._tell(warnings)
        dem = self._review.dem
        job = PostprocessJob(
            input=str(self._folder / "tile_polygons.gpkg"),
            output=str(self._outlines),
            probability=str(self._probability),
            dem=None if dem is None else raster_path(dem),
        )
        self._bar.run(tr("3 of 3: drawing outlines"), job, self._hand_over, self._fail, self._clear)

    def _hand_over(self, _result: dict[str, Any], warnings: list[str]) -> None:
        self._tell(warnings)
        old = self._review.probability
        job = UpdateReviewJob(
            session=str(self._review.path),
            output=str(self._review.path),
            predicted=str(self._outlines),
            probability=laid_over(None if old is None else raster_path(old), self._probability),
            area_of_interest=self._tiles[0],
            area_of_interest_layer=self._tiles[1],
        )
        self.detected.emit(job)

    def _tell(self, warnings: list[str]) -> None:
        for text in warnings:
            self.said.emit(text, Qgis.MessageLevel.Warning)

    def _fail(self, text: str) -> None:
        self._clear()
        self.said.emit(text, Qgis.MessageLevel.Critical)

    def _clear(self) -> None:
        """Take away what was written for the session."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for path in (self._outlines, self._probability):
            with suppress(OSError):
                path.unlink()


def not_visited(review: Review) -> QgsVectorLayer:
    """The tiles that nobody has visited, a layer in memory."""
    return review.tiles.materialize(QgsFeatureRequest().setFilterExpression(NOT_VISITED))


def detected_with(review: Review) -> str:
    """Name of the model that the session's probability raster was made with; empty where it does not tell."""
    if review.probability is None:
        return ""
    return _passport(raster_path(review.probability)).get("MODEL", "")


def laid_over(old: str | None, new: Path) -> str:
    """A raster of probabilities that has the new one where that knows any and the old one elsewhere, beside the new one.

    The old one where the two have different reference systems: a session's outlines are worth more than those not yet looked at.
    """
    first, second = _crs(old), _crs(str(new))
    if first is None:
        return str(new)
    if first != second:
        return str(old)
    both = new.with_suffix(".vrt")
    dataset = gdal.BuildVRT(str(both), [old, str(new)], resolution="highest")
    dataset.SetMetadata(_passport(str(new)), PASSPORT)
    dataset.FlushCache()
    return str(both)


def _passport(path: str) -> dict[str, str]:
    dataset = _opened(path)
    return {} if dataset is None else dict(dataset.GetMetadata(PASSPORT))


def _crs(path: str | None) -> QgsCoordinateReferenceSystem | None:
    dataset = None if path is None else _opened(path)
    return None if dataset is None else QgsCoordinateReferenceSystem.fromWkt(dataset.GetProjection())


def _opened(path: str) -> Any:
    """With GDAL, None where it cannot be read, whichever way GDAL says so."""
    try:
        return gdal.Open(path)
    except RuntimeError:
        return None
