"""What comes out of a review: the inventory, how good the prediction was, what the review took, training samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from engine.assess import assess
from engine.attributes import OWN_FIELDS
from engine.columns import Column, column_of, first_known, is_null, numbers, objects, texts, where, writable
from engine.effort import effort
from engine.errors import Cancelled, EngineError
from engine.inventory import export_inventory
from engine.outputs import made_folder, whole_set, written_json
from engine.reporting import Reporter, StagedReporter
from engine.review_file import Session, check_saved, read_session, snapshot, sound
from engine.vectors import PolygonLayer, write_polygons, written_table
from jobs import AssessJob, ExportInventoryJob, FinishReviewJob, SamplesJob
from review_session import KEPT, OUTLINES, PREDICTED, RESTRICTED, UNDECIDED, found_path

MEASURED = {*OWN_FIELDS} - {"primary_id", "longitude", "latitude", "area_km2", "perimeter_km"}
"""What Add attributes measures of a boundary. The primary marker stays where it was, areas are measured anew at export."""
BY_HAND, AS_PREDICTED, CORRECTED = "manual", "model", "model-edited"
"""How an outline of the inventory was made."""
NOTHING_TO_LEARN = ("no_rock_glaciers", "outside_imagery", "no_samples")
"""Of samples: the rest of a finished session does without them."""
INVENTORY, SAMPLES, CONTACT_SHEET = "inventory.gpkg", "samples", "contact_sheet.png"
ACCURACY = {"accuracy_report": "accuracy.html", "accuracy_json": "accuracy.json"}
EFFORT = {"effort_report": "effort.html", "effort_json": "effort.json", "effort_table": "effort.csv"}


def finish_review(job: FinishReviewJob, reporter: Reporter) -> dict[str, Any]:
    """A session in; a folder with its inventory and reports out, all of them or none. The session stays as it is.

    Returns
    -------
    ``folder``, ``files`` what was written; of these ``inventory``, ``accuracy_report``, ``accuracy_json``, ``effort_report``,
    ``effort_json``, ``effort_table``, ``samples`` (None where not asked for, and where there is nothing to learn from); counts of
    outlines ``kept``, ``restricted``, ``rejected``, ``undecided``, and ``samples_count``; ``minutes``, ``edited_share`` of the predicted
    outlines that were kept, ``producers_accuracy``, ``users_accuracy`` of the prediction (None where unknown)

    Raises
    ------
    EngineError
        ``output_folder`` when the folder cannot be made; those of :func:`engine.review_file.snapshot`,
        :func:`engine.review_file.check_saved`, :func:`engine.inventory.export_inventory`, :func:`engine.assess.assess` and
        :func:`engine.samples.samples`; Cancelled.
    """
    reporter.progress(0.0, "reading the session")
    with snapshot(job.session) as place, tempfile.TemporaryDirectory(prefix="rock-glacier-review-") as aside:
        known = {str(place): job.session, str(Path(aside, "_"))[:-1]: ""}
        with _known_names(known, reporter) as told:
            return _finished(job, place, Path(aside) / Path(job.session).stem, told)


def _finished(job: FinishReviewJob, place: Path, aside: Path, reporter: Reporter) -> dict[str, Any]:
    """``place`` of the session's copy; temporary files have names that begin with ``aside``."""
    check_saved(job.session, place)
    session, folder = read_session(place), Path(job.folder).absolute()
    kept, restricted, undecided = _kept(session, reporter)
    with made_folder(folder), whole_set(folder / INVENTORY) as workplace:
        files = {"inventory": INVENTORY}
        counts = _export(job, kept, restricted, aside, workplace / INVENTORY, StagedReporter(reporter, 0.05, 0.3))
        found: dict[str, Any] = {}
        if job.accuracy:
            found = _assess(job, session, kept, aside, workplace, StagedReporter(reporter, 0.3, 0.6))
            files |= ACCURACY
        reporter.progress(0.6, "effort of the review")
        taken = effort(place, session, reporter.check_cancelled)
        (workplace / EFFORT["effort_report"]).write_text(taken.page(), encoding="utf-8")
        with (
            written_json(workplace / EFFORT["effort_json"], taken.numbers),
            written_table(workplace / EFFORT["effort_table"], taken.outlines, "effort"),
        ):
            files |= EFFORT
        reporter.progress(0.7, "training samples" if job.stacks else "putting everything in place")
        replaced = [name for name in (*files.values(), SAMPLES) if (folder / name).exists()]
        made = _samples(job, place, folder / SAMPLES, StagedReporter(reporter, 0.7, 0.99)) if job.stacks else {}
    if SAMPLES in replaced and not made:
        replaced.remove(SAMPLES)
        reporter.warning(
            "earlier_samples", f"{folder / SAMPLES} stays from an earlier time: the session as it is now made no training samples."
        )
    if replaced:
        reporter.info(f"{', '.join(replaced)} in {folder} were there before and have been replaced; other files stayed.")
    paths = {name: str(folder / file) for name, file in files.items()} | ({"samples": str(folder / SAMPLES)} if made else {})
    rule = found["objects"][found["settings"]["match_rule"]] if found else {}
    reporter.progress(1.0, f"{counts['count']} outlines in the inventory")
    return {
        "folder": str(folder),
        "files": list(paths.values()),
        **dict.fromkeys(("inventory", *ACCURACY, *EFFORT, "samples")),
        **paths,
        "kept": counts["count"],
        "restricted": counts["restricted"],
        "rejected": taken.numbers["decisions"]["rejected"]["outlines"],
        "undecided": undecided,
        "samples_count": made.get("count"),
        "minutes": taken.numbers["time"]["recorded_minutes"],
        "edited_share": taken.numbers["edits"]["edited_share"],
        "producers_accuracy": rule.get("producers_accuracy"),
        "users_accuracy": rule.get("users_accuracy"),
    }


class _Translator(StagedReporter):
    """Says the names that a person knows instead of those of temporary files."""

    def __init__(self, names: Mapping[str, str], reporter: Reporter) -> None:
        super().__init__(reporter, 0.0, 1.0)
        self._names = names

    def info(self, text: str) -> None:
        super().info(self.said(text))

    def warning(self, code: str, text: str) -> None:
        super().warning(code, self.said(text))

    def said(self, text: str) -> str:
        for name, known in self._names.items():
            text = text.replace(name, known)
        return text


@contextmanager
def _known_names(names: Mapping[str, str], reporter: Reporter) -> Iterator[Reporter]:
    """A reporter, and errors, that speak of a person's files."""
    translator = _Translator(names, reporter)
    try:
        yield translator
    except Cancelled:
        raise
    except EngineError as error:
        raise EngineError(error.code, translator.said(error.text)) from error


def _kept(session: Session, reporter: Reporter) -> tuple[PolygonLayer, PolygonLayer, int]:
    """The outlines of the inventory, with ``id``, ``method`` and ``operator``; their restricted outlines, with ``id``; how many wait."""
    status = texts(column_of(session.outlines, "status"))
    undecided = int((first_known(status, [UNDECIDED] * len(status)) == UNDECIDED).sum())
    if undecided:
        reporter.warning(
            "undecided", f"{undecided} of {len(status)} outlines are not decided yet; they are left out of inventory, accuracy and samples."
        )
    kept = _measurable(where(session.outlines, np.isin(status.astype(str), KEPT)), "outlines", reporter)
    uids, source = texts(column_of(kept, "uid")), texts(column_of(kept, "source"))
    changed = {entry["uid"] for entry in session.journal if not entry["undone"] and entry["layer"] == OUTLINES and _redrawn(entry)}
    redrawn = np.array([uid in changed for uid in uids], dtype=bool)
    status = texts(column_of(kept, "status"))
    corrected = (status == "edited") | ((status == "uncertain") & redrawn)
    method = np.select([source != "predicted", corrected], [BY_HAND, CORRECTED], AS_PREDICTED).astype(object)
    ids = _working_ids(kept)
    kept = replace(
        kept,
        fields={
            **kept.fields,
            **_of_this_boundary(kept, redrawn, reporter),
            "id": ids,
            "method": first_known(column_of(kept, "method"), method),
            "operator": texts(first_known(column_of(kept, "operator"), column_of(kept, "reviewer"))),
        },
    )
    of_uid = dict(zip(uids, ids, strict=True))
    drawn = session.layers[RESTRICTED]
    owner = texts(column_of(drawn, "uid"))
    restricted = where(
        replace(drawn, fields={"id": np.array([of_uid.get(uid) for uid in owner], dtype=object)}),
        np.isin(owner.astype(str), uids.astype(str)),
    )
    return kept, _measurable(restricted, "restricted outlines", reporter), undecided


def _of_this_boundary(kept: PolygonLayer, redrawn: NDArray[np.bool_], reporter: Reporter) -> dict[str, Column]:
    """Columns (n,) without what was measured of another boundary: of redrawn outlines and of parts, which are units of their own, too."""
    is_part = ~is_null(column_of(kept, "parent"))
    measured = [name for name in kept.fields if name in MEASURED or f"{name}_source" in kept.fields]
    columns = {name: objects(kept.fields[name]) for name in measured}
    stale = redrawn | is_part
    lost = np.zeros(len(kept), dtype=bool)
    for column in columns.values():
        lost |= stale & ~is_null(column)
        column[stale] = None
    if lost.any():
        reporter.info(
            f"{lost.sum()} outlines have another boundary than they came with; their elevation, slope and other figures of the old one are "
            "left empty. Add attributes measures them anew."
        )
    ids = texts(column_of(kept, "primary_id"))
    taken = set(ids[~is_part])
    for index in np.flatnonzero(is_part):
        ids[index] = None if ids[index] in taken else ids[index]
        taken.add(ids[index])
    return {**{name: writable(column) for name, column in columns.items()}, "primary_id": ids}


def _redrawn(entry: dict[str, Any]) -> bool:
    return entry["before_geometry"] is not None and entry["after_geometry"] is not None


def _measurable(layer: PolygonLayer, what: str, reporter: Reporter) -> PolygonLayer:
    """Outlines as valid polygons, those without an area left out."""
    shapes = sound(layer.geometries)
    broken = int((~shapely.is_valid(layer.geometries) & ~shapely.is_missing(layer.geometries)).sum())
    has_area = shapely.area(shapes) > 0
    if broken or not has_area.all():
        reporter.warning(
            "repaired", f"{broken} {what} were invalid and were repaired, {(~has_area).sum()} without an area were left out. Check them."
        )
    return where(replace(layer, geometries=shapes), has_area)


def _working_ids(kept: PolygonLayer) -> Column:
    """What each outline (n,) is called in the layer it came from, each name once, predicted and undivided outlines first; others by uid."""
    given, uids = texts(column_of(kept, "source_id")), texts(column_of(kept, "uid"))
    others, parts = texts(column_of(kept, "source")) != "predicted", ~is_null(column_of(kept, "parent"))
    names, taken = uids.copy(), set(uids)
    for index in np.lexsort((parts, others)):
        if given[index] is not None and given[index] not in taken:
            names[index] = given[index]
            taken.add(given[index])
    return names


def _export(
    job: FinishReviewJob, kept: PolygonLayer, restricted: PolygonLayer, aside: Path, output: Path, reporter: Reporter
) -> dict[str, Any]:
    reviewed, inner = Path(f"{aside} as reviewed.gpkg"), Path(f"{aside} restricted.gpkg")
    for path, layer in ((reviewed, kept), (inner, restricted)):
        write_polygons(path, layer, path.stem, "MultiPolygon")
    return export_inventory(
        ExportInventoryJob(
            input=str(reviewed),
            output=str(output),
            form=job.form,
            restricted=str(inner) if len(restricted) else None,
            area_of_interest=job.area_of_interest,
            area_of_interest_layer=job.area_of_interest_layer,
            operator=job.operator,
            imagery=job.imagery,
        ),
        reporter,
    )


def _assess(job: FinishReviewJob, session: Session, kept: PolygonLayer, aside: Path, workplace: Path, reporter: Reporter) -> dict[str, Any]:
    """The prediction as it came against the outlines that were kept; what waits for a decision is on neither side."""
    predicted, reviewed = Path(f"{aside} as predicted.gpkg"), Path(f"{aside} as reviewed.gpkg")
    came = session.layers[PREDICTED]
    judged = _measurable(where(came, ~np.isin(_keys(came, "name"), _keys(_waiting(session.outlines), "source_id"))), "predicted", reporter)
    write_polygons(predicted, judged, predicted.stem, "MultiPolygon")
    write_polygons(reviewed, replace(kept, fields={"id": kept.fields["id"]}), reviewed.stem, "MultiPolygon")
    probability = session.settings.get("probability") or ""
    raster = found_path(probability, job.session)
    if probability and "://" not in raster and not raster.startswith("/vsi") and not (raster and Path(raster).exists()):
        name = raster or probability.partition("|")[2]
        reporter.info(f"The probability raster {name} of the session is not there: areas take the place of pixels.")
        raster = ""
    return assess(
        AssessJob(
            predicted=str(predicted),
            reference=str(reviewed),
            json=str(workplace / ACCURACY["accuracy_json"]),
            report=str(workplace / ACCURACY["accuracy_report"]),
            area_of_interest=job.area_of_interest,
            area_of_interest_layer=job.area_of_interest_layer,
            probability=raster or None,
            sliver=float(session.settings.get("sliver") or AssessJob("", "").sliver),
        ),
        reporter,
    )


def _waiting(outlines: PolygonLayer) -> PolygonLayer:
    """The predicted outlines without a decision."""
    status = first_known(texts(column_of(outlines, "status")), [UNDECIDED] * len(outlines))
    return where(outlines, (status == UNDECIDED) & (texts(column_of(outlines, "source")) == "predicted"))


def _keys(layer: PolygonLayer, name: str) -> NDArray[np.str_]:
    """What tells a predicted outline from the others (n,), also where sessions of several areas were merged."""
    pairs = zip(texts(column_of(layer, name)), numbers(column_of(layer, "component")), strict=True)
    return np.array([f"{component:.0f} {text}" for text, component in pairs], dtype=np.str_)


def _samples(job: FinishReviewJob, place: Path, output: Path, reporter: Reporter) -> dict[str, Any]:
    """Empty, with a warning, where there is nothing to learn from."""
    from engine.samples import samples  # noqa: PLC0415 not every session becomes samples

    sheet = str(output / CONTACT_SHEET)
    wanted = SamplesJob(output=str(output), stacks=job.stacks, outlines=str(place), outlines_layer=OUTLINES, contact_sheet=sheet)
    try:
        return samples(wanted, reporter)
    except EngineError as error:
        if error.code not in NOTHING_TO_LEARN:
            raise
        reporter.warning("no_samples", f"The review was finished without training samples: {error.text}")
        return {}
