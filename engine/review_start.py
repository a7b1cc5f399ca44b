"""A review begins: predicted and manual outlines to a session, a GeoPackage of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine import __version__
from engine.errors import EngineError
from engine.local_maps import on_one_map
from engine.matching import KINDS
from engine.outline_names import outline_names
from engine.outputs import whole_file
from engine.rasters import Grid, open_raster
from engine.reporting import Reporter, StagedReporter
from engine.restricted_outlines import given_to_outlines
from engine.review_file import Session, decided_in, write_session
from engine.review_queue import Relations, as_it_came, check_map, pixel_size_of, queue, read_placed, reference_layer, relate
from engine.review_tiles import tile_grid
from engine.vectors import PolygonLayer
from jobs import StartReviewJob
from review_session import FORMAT, OUTLINES, PATHS, PREDICTED, REFERENCE, RESTRICTED, TILES, file_state, stored_path


def start_review(job: StartReviewJob, reporter: Reporter) -> dict[str, Any]:
    """Predicted and manual outlines in, a session out.

    Returns
    -------
    ``output``; ``count`` outlines in the queue, ``predicted``, ``manual`` (None without a layer of them), ``missed`` manual outlines
    without a match, ``relations`` (kind -> outlines in the queue, None without a manual layer), ``restricted``, ``tiles``, ``tile_size``
    in metres, ``suspects`` predicted outlines that are likely several, ``without_probability`` predicted outlines of which it is unknown

    Raises
    ------
    EngineError
        ``review_exists`` when the output is a session with decisions, ``area_of_interest`` when it holds no polygon, ``crs_place``
        when the layers do not lie on one map, ``not_probability`` for a raster of other values; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`, :func:`engine.outputs.whole_file`; Cancelled.
    """
    _keep_decisions(job.output)
    reporter.progress(0.0, "reading outlines")
    layers = _read(job, reporter)
    for raster in (job.imagery, job.probability, job.dem):
        if raster is not None:
            with open_raster(raster):
                pass
    crs = layers["predicted"].crs
    seen = _seen(job, crs)
    *placed, ground = on_one_map([*layers.values(), seen])
    for name, geometries in zip(list(layers), placed, strict=True):
        check_map(layers[name], getattr(job, name), geometries, crs, job.predicted)
        layers[name] = replace(layers[name], geometries=geometries, crs=crs)
    predicted, manual = layers["predicted"], layers.get("manual")
    names = {side: outline_names(layers[side], side, reporter) for side in ("predicted", "manual") if side in layers}

    reporter.progress(0.1, "comparing the outlines")
    relations = relate(
        predicted.geometries,
        None if manual is None else manual.geometries,
        crs,
        job.sliver,
        pixel_size_of(job.probability),
        reporter.check_cancelled,
    )
    reporter.progress(0.5, "laying out the queue")
    staged = StagedReporter(reporter, 0.5, 0.8)
    outlines = queue(predicted, names["predicted"], manual, names.get("manual", np.empty(0)), relations, job.probability, staged)
    restricted = _restricted(outlines, layers.get("restricted"), reporter)
    reporter.progress(0.8, "laying out the tiles")
    tiles, tile_size = tile_grid(_area(layers, ground), crs, job.tile_size)
    _warn(job, layers, relations, len(tiles), tile_size, reporter)
    session = Session(
        {
            OUTLINES: outlines,
            RESTRICTED: restricted,
            PREDICTED: as_it_came(predicted, names["predicted"], relations.predicted_component),
            REFERENCE: reference_layer(manual, names.get("manual"), relations, crs),
            TILES: tiles,
        },
        [],
        _settings(job, tile_size),
    )
    reporter.progress(0.85, "writing the session")
    with whole_file(job.output) as place:
        write_session(place, session)
        reporter.check_cancelled()
    result = _result(job, session, manual, tile_size)
    reporter.progress(1.0, f"{result['count']} outlines to review")
    return result


def _keep_decisions(path: str) -> None:
    count = decided_in(path)
    if count:
        raise EngineError(
            "review_exists",
            f"{path} is a review session with {count} decisions, which would be lost. Give the new session another name; to bring a new "
            "detection into the old one, update it.",
        )


def _read(job: StartReviewJob, reporter: Reporter) -> dict[str, PolygonLayer]:
    layers = {"predicted": read_placed(job.predicted, job.predicted_layer, reporter)}
    for name in ("manual", "restricted", "area_of_interest"):
        path = getattr(job, name)
        if path is not None:
            layers[name] = read_placed(path, getattr(job, f"{name}_layer"), reporter)
    if "area_of_interest" in layers and not len(layers["area_of_interest"]):
        raise EngineError("area_of_interest", f"{job.area_of_interest} holds no polygon. Leave the area of interest out, or draw it.")
    return layers


def _restricted(outlines: PolygonLayer, restricted: PolygonLayer | None, reporter: Reporter) -> PolygonLayer:
    """Restricted outlines with the ``uid`` of the predicted outlines that they lie in."""
    is_predicted = outlines.fields["source"] == "predicted"
    owners = PolygonLayer(outlines.geometries[is_predicted], outlines.crs, {"id": outlines.fields["uid"][is_predicted]})
    if restricted is None:
        return PolygonLayer(np.empty(0, dtype=object), outlines.crs, {"uid": np.empty(0, dtype=object)})
    nobodys = replace(restricted, fields={"id": np.full(len(restricted), None, dtype=object)})
    given = given_to_outlines(owners, nobodys, lambda code, text: None)
    owned = np.array([uid is not None for uid in given.fields["id"]], dtype=bool)
    if not owned.all():
        reporter.warning("restricted_alone", f"{(~owned).sum()} restricted outlines lie in no predicted outline; they were left out.")
    return PolygonLayer(given.geometries[owned], outlines.crs, {"uid": given.fields["id"][owned]})


def _seen(job: StartReviewJob, crs: CRS) -> PolygonLayer:
    """The extent of the imagery, or of another raster; nothing where there is none, or where a CRS has no such place."""
    nothing = PolygonLayer(np.empty(0, dtype=object), crs)
    raster = next((path for path in (job.imagery, job.probability, job.dem) if path is not None), None)
    if raster is None:
        return nothing
    with open_raster(raster) as dataset:
        grid = Grid.of(dataset)
    corners = [grid.transform @ corner for corner in ((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height))]
    edge = shapely.segmentize(shapely.Polygon(corners), max(grid.width, grid.height) * grid.resolution / 50)
    seen = PolygonLayer(np.array([edge]), CRS.from_wkt(grid.crs.to_wkt())).in_crs(crs)
    return seen if np.isfinite(shapely.bounds(seen.geometries)).all() else nothing


def _area(layers: Mapping[str, PolygonLayer], seen: NDArray[np.object_]) -> NDArray[np.object_]:
    """What is searched, (k,) on the session's map: the area of interest, else what the imagery shows and the extents of the outlines."""
    if "area_of_interest" in layers:
        return layers["area_of_interest"].geometries
    extents = [shapely.box(*shapely.total_bounds(layer.geometries)) for layer in layers.values() if len(layer)]
    return np.array([*extents, *shapely.make_valid(seen)], dtype=object)


def _warn(
    job: StartReviewJob, layers: Mapping[str, PolygonLayer], relations: Relations, tiles: int, tile_size: float, reporter: Reporter
) -> None:
    predicted, manual = layers["predicted"], layers.get("manual")
    if not len(predicted):
        reporter.warning("no_outlines", f"There is no predicted outline in {job.predicted}: the session is there to draw them.")
    if manual is not None and not len(manual):
        reporter.warning("no_outlines", f"There is no manual outline in {job.manual}: every predicted outline counts as false.")
    if manual is not None and len(predicted) and len(manual) and not np.isfinite(relations.iou).any():
        reporter.warning(
            "no_overlap",
            f"No outline of {job.predicted} shares ground with one of {job.manual}. Check that both lie in the same place, with the "
            "right coordinate reference systems.",
        )
    if not tiles:
        reporter.warning("no_tiles", "Nothing says which area to search tile by tile: give imagery or an area of interest.")
    elif tile_size > job.tile_size:
        reporter.warning(
            "large_tiles",
            f"The area has too many tiles of {job.tile_size:g} m to go through; they measure {tile_size:.0f} m. A smaller area of "
            "interest keeps them smaller.",
        )


def _settings(job: StartReviewJob, tile_size: float) -> dict[str, str]:
    settings: dict[str, str | None] = {
        "format": FORMAT,
        "session": uuid.uuid4().hex,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "software": f"Rock Glacier Mapper {__version__}",
        "operator": job.operator,
        "sliver": repr(job.sliver),
        "tile_size": f"{tile_size:.6g}",
    }
    for name in PATHS:
        path = getattr(job, name)
        if path is not None:
            settings[name] = stored_path(path, job.output)
    for name in ("predicted", "manual"):
        path = getattr(job, name)
        if path is not None:
            settings |= {f"{name}_layer": getattr(job, f"{name}_layer"), f"{name}_state": file_state(path)}
    return {key: value for key, value in settings.items() if value is not None}


def _result(job: StartReviewJob, session: Session, manual: PolygonLayer | None, tile_size: float) -> dict[str, Any]:
    fields = session.outlines.fields
    is_predicted, relation = fields["source"] == "predicted", fields["relation"]
    return {
        "output": str(Path(job.output)),
        "count": len(session.outlines),
        "predicted": int(is_predicted.sum()),
        "manual": None if manual is None else len(manual),
        "missed": int((~is_predicted).sum()),
        "relations": None if manual is None else {kind: int((relation == kind).sum()) for kind in KINDS},
        "restricted": len(session.layers[RESTRICTED]),
        "tiles": len(session.layers[TILES]),
        "tile_size": tile_size,
        "suspects": int((np.ma.filled(fields["merge_suspect"].astype(float), np.nan)[is_predicted] >= 0.5).sum()),
        "without_probability": int(np.isnan(fields["probability"][is_predicted].astype(float)).sum()),
    }
