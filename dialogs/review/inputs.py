"""Layers of the project as the files that a session is started from, and guesses which layer is what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsMapLayer,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.gui import QgsMapLayerComboBox

from ...jobs import STACK_BANDS
from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr
from .session import ReviewError

READABLE = (".gpkg", ".geojson", ".fgb", ".shp")
"""Vector files that the engine reads as they are."""
PREDICTED_WORDS = r"predict|detect|rock.?glacier outlines|tile polygons|model"
MANUAL_WORDS = r"manual|reference|digiti[sz]ed|inventory|ground.?truth|simulation|expert"
PROBABILITY_WORDS = r"prob"
DEM_WORDS = r"\bdem\b|dem_|_dem|elevation|dtm|dsm|srtm|height|copernicus"
IMAGERY_WORDS = r"stack|scene|image|spectral|true colou?r|rgb|sentinel|landsat|planet|ortho"


def show_layer(box: QgsMapLayerComboBox, layer: QgsMapLayer | None) -> None:
    """Choose a layer, or the entry that says there is none, where QGIS's own ``setLayer`` leaves the box blank."""
    if layer is None:
        box.setCurrentIndex(0)
    else:
        box.setLayer(layer)


def vector_file(layer: QgsVectorLayer, folder: Path, name: str) -> tuple[str, str | None, str]:
    """File and layer in it that hold what a vector layer shows, and what a person is told about it, empty where it is as expected.

    A layer that is no file that the engine reads, or shows something else than its file (a filter, unsaved edits), is written to
    ``<folder>/<name>.gpkg``: beside the session, so that it stays with it.

    Raises
    ------
    ReviewError
        when the copy cannot be written.
    """
    parts = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source())
    path = str(parts.get("path") or "")
    changed = bool(layer.subsetString()) or layer.isModified()
    if layer.providerType() == "ogr" and not changed and Path(path).suffix.lower() in READABLE and Path(path).is_file():
        return path, parts.get("layerName") or None, ""
    copy = folder / f"{name}.gpkg"
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName, options.fileEncoding = "GPKG", name, "UTF-8"
    context = QgsProject.instance().transformContext()
    problem, why, *_ = QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(copy), context, options)
    if problem != QgsVectorFileWriter.WriterError.NoError:
        raise ReviewError(tr("{} could not be copied to {}: {}").format(layer.name(), copy, why))
    if changed:
        told = tr("The layer “{}” has a filter or unsaved edits: what it shows now was copied to {}.")
    else:
        told = tr("The layer “{}” is no file that the engine reads: what it shows now was copied to {}.")
    return str(copy), name, told.format(layer.name(), copy)


def raster_file(layer: QgsRasterLayer) -> str:
    """What the engine opens a raster layer by.

    Raises
    ------
    ReviewError
        when only QGIS can read it.
    """
    why = why_unreadable(layer)
    if why:
        raise ReviewError(why)
    return raster_path(layer)


def band_names(layer: QgsRasterLayer) -> list[str]:
    """Of the bands, as the file describes them; "" for one that it does not."""
    provider = layer.dataProvider()
    return [provider.generateBandName(band).partition(":")[2].strip() for band in range(1, layer.bandCount() + 1)]


def is_stack(layer: QgsRasterLayer) -> bool:
    """Whether a raster has the bands of a spectral stack."""
    return band_names(layer) == list(STACK_BANDS)


def guesses(layers: Iterable[QgsMapLayer]) -> dict[str, QgsMapLayer | None]:
    """Which of the layers are meant, by their names and kinds: ``predicted``, ``manual``, ``imagery``, ``probability``, ``dem``."""
    layers = [layer for layer in layers if layer.isValid()]
    polygons = [layer for layer in layers if isinstance(layer, QgsVectorLayer) and layer.geometryType() == Qgis.GeometryType.Polygon]
    rasters = [layer for layer in layers if isinstance(layer, QgsRasterLayer)]
    single = [layer for layer in rasters if layer.bandCount() == 1]
    probability = _named(single, PROBABILITY_WORDS)
    dem = _named([layer for layer in single if layer is not probability], DEM_WORDS)
    colours = [layer for layer in rasters if layer.bandCount() >= 3]
    manual = _named(polygons, MANUAL_WORDS)
    others = [layer for layer in polygons if layer is not manual]
    predicted = _named(others, PREDICTED_WORDS) or (others[0] if others else None)
    return {
        "predicted": predicted,
        "manual": manual,
        "imagery": _named(colours, IMAGERY_WORDS) or (colours[0] if colours else None),
        "probability": probability,
        "dem": dem,
    }


def _named(layers: Iterable[QgsMapLayer], words: str) -> QgsMapLayer | None:
    """The first layer whose name has one of the words."""
    return next((layer for layer in layers if re.search(words, layer.name(), re.IGNORECASE)), None)
