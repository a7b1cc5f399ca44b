"""A review session, open in QGIS: its layers in edit mode, the decisions on outlines, and the journal that loses none of them."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable

from qgis.core import (
    NULL,
    Qgis,
    QgsDefaultValue,
    QgsDistanceArea,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QLockFile, QObject, QTimer, pyqtSignal

from ... import review_session as form
from ...processing_provider.layers import PROBABILITY, NamedStyle, raster_path
from ...processing_provider.translation import tr
from .journal import Change, Journal, JournalError, end_log
from .queue import COLUMNS, Queue
from .recorder import GEOMETRY, Entry, Recorder, State, Touch, geometry_of, plain
from .session_fields import ATTRIBUTE_NAMES, OUTLINE_FIELD, set_up_fields, utc_expression
from .shapes import areas_km2, cut, differ, shared_ground
from .versions import other_versions

IDLE_SECONDS = 120.0
"""Longest time that is counted between showing an outline and a command, or between two commands: who did nothing for longer was away."""
HEARTBEAT_MS = 60_000
STALE_LOCK_MS = 5 * HEARTBEAT_MS
"""A lock whose heart has not beaten for so long is one that a computer left when it went down."""
RASTERS = ("imagery", "probability", "dem")
"""A review goes on without them."""
GROUP_PROPERTY = "rock_glacier_review"
REVIEW_NAMES = tuple(name for name, _ in form.REVIEW_FIELDS)
NAMED_BY = ("primary_id", "source_id")


class ReviewError(Exception):
    """A text for the person: what is wrong and what to do."""


class Review(QObject):
    """An open session.

    ``outlines`` and ``restricted`` stay in edit mode: what is done to them, with these methods, with QGIS's own tools or by another
    plugin, is written to the journal before the next thing happens, and to the layers in the file with :meth:`save`.

    Parameters
    ----------
    path
        ``review.gpkg``, as ``rockglacier:startreview`` makes it.
    operator
        Who reviews.
    project
        Where the layers go.

    Raises
    ------
    ReviewError
        It cannot be opened; methods: what was asked for cannot be done.
    """

    changed = pyqtSignal(list)
    """Outlines (uid) whose attributes or geometry changed, that appeared or went."""
    current_changed = pyqtSignal(str)
    """The outline that is looked at, "" = none."""
    settling = pyqtSignal()
    """Who holds something that a person has not finished, steps of a slider or a text being typed, writes it now."""
    closed = pyqtSignal()
    """It takes no more commands; its layers are still there while this is told, and not after."""
    said = pyqtSignal(str, object)
    """A text for the message bar and its ``Qgis.MessageLevel``."""

    def __init__(self, path: Path, operator: str, project: QgsProject) -> None:
        super().__init__()
        self.path, self.operator, self.is_open = Path(path).absolute(), operator, False
        self.current = ""
        self.inputs_changed: list[str] = []
        self._words: list[str] = []
        self._project, self._run = project, uuid.uuid4().hex
        self._is_loaded = self._is_stepping = False
        self._rolling, self.discarded = "", {}
        self._action, self._joined, self._shared, self._told = "", 0, 0, set()
        self._pending: list[Callable[[], None]] = []
        self._recorders: dict[str, Recorder] = {}
        self._uids: dict[str, dict[int, str]] = {form.OUTLINES: {}, form.RESTRICTED: {}}
        self._fids: dict[str, int] = {}
        self._layers: dict[str, QgsMapLayer] = {}
        self._group: QgsLayerTreeGroup | None = None
        self._journal: Journal | None = None
        self._components: dict[str, dict[int, list[int]]] = {}
        self._since = time.monotonic()
        self._lock = self._locked()
        try:
            self._open()
        except BaseException:
            self.is_open = False
            self._hear_no_more()
            self._release()
            raise
        self._heart = QTimer(self)
        self._heart.timeout.connect(self._beat)
        self._heart.start(HEARTBEAT_MS)

    # what it holds

    @property
    def outlines(self) -> QgsVectorLayer:
        """The outlines being made."""
        return self._layers[form.OUTLINES]

    @property
    def restricted(self) -> QgsVectorLayer:
        """Restricted outlines."""
        return self._layers[form.RESTRICTED]

    @property
    def predicted(self) -> QgsVectorLayer:
        """The predicted outlines as they came."""
        return self._layers[form.PREDICTED]

    @property
    def reference(self) -> QgsVectorLayer:
        """The manual outlines as they came."""
        return self._layers[form.REFERENCE]

    @property
    def tiles(self) -> QgsVectorLayer:
        """The grid that the area is searched by."""
        return self._layers[form.TILES]

    @property
    def imagery(self) -> QgsRasterLayer | None:
        """The imagery, where there is any."""
        return self._layers.get("imagery")

    @property
    def probability(self) -> QgsRasterLayer | None:
        """The probability raster, where there is one."""
        return self._layers.get("probability")

    @property
    def dem(self) -> QgsRasterLayer | None:
        """The elevation model, where there is one."""
        return self._layers.get("dem")

    def show(self, uid: str) -> None:
        """Make an outline the current one; "" = none."""
        if uid == self.current or (uid and uid not in self.queue):
            return
        self.current, self._since = uid, time.monotonic()
        self._placing.start()
        self.current_changed.emit(uid)

    def feature(self, uid: str) -> QgsFeature | None:
        """An outline with its attributes; None where there is none of this uid."""
        if uid not in self.queue:
            return None
        feature = self.outlines.getFeature(self._fids[uid])
        return feature if feature.isValid() else None

    def outline(self, uid: str) -> QgsGeometry:
        """Its geometry; empty where there is no such outline."""
        feature = self.feature(uid)
        return QgsGeometry() if feature is None else feature.geometry()

    def restricted_outline(self, uid: str) -> QgsGeometry:
        """The restricted outline of an outline; empty when none."""
        fid = self._restricted_fid(uid)
        return QgsGeometry() if fid is None else self.restricted.getGeometry(fid)

    def predicted_ground(self, uid: str) -> QgsGeometry:
        """Union of the predicted outlines of its correspondence as they came; for an added outline those that it overlaps."""
        return self._ground(uid, form.PREDICTED)

    def reference_ground(self, uid: str) -> QgsGeometry:
        """Union of the manual outlines of its correspondence as they came; for an added outline those that it overlaps."""
        return self._ground(uid, form.REFERENCE)

    # decisions

    @contextmanager
    def command(self, action: str, text: str, layer: QgsVectorLayer | None = None) -> Iterator[QgsVectorLayer]:
        """One edit command on ``outlines`` (or ``restricted``) and its rows in the journal, undone when the block raises.

        Raises
        ------
        ReviewError
            The session is closed.
        """
        self._need_open()
        layer = layer or self.outlines
        if layer.isEditCommandActive():
            if self._action:  # a part of another command of ours
                yield layer
                return
            raise ReviewError(tr("Another tool is in the middle of an edit. Finish it first."))
        outer, self._action = self._action, action
        layer.beginEditCommand(text)
        try:
            yield layer
            if self.is_open and layer.isEditCommandActive():
                layer.endEditCommand()
        except BaseException:
            if self.is_open and layer.isEditCommandActive():
                layer.destroyEditCommand()
            raise
        finally:
            self._action = outer

    def accept(self, uids: Sequence[str]) -> None:
        """Into the inventory: as "edited" where the boundary was changed, as "added" where it was drawn or is a manual outline."""
        self._keep(uids, "accept", tr("Accept"), self._status_when_kept)

    def reject(self, uids: Sequence[str], reason: str, comment: str = "") -> None:
        """No rock glaciers, for one of :data:`review_session.REASONS`."""
        if reason not in form.REASONS:
            raise ReviewError(tr("“{}” is no reason to reject an outline. Take one of: {}.").format(reason, ", ".join(form.REASONS)))
        more = {"reason": reason, **({"comment": comment} if comment else {})}
        self._decide(uids, "reject", tr("Reject"), lambda _uid: "rejected", more)

    def mark_uncertain(self, uids: Sequence[str]) -> None:
        """Into the inventory, as what cannot be told."""
        self._keep(uids, "uncertain", tr("Uncertain"), lambda _uid: "uncertain")

    def reset(self, uids: Sequence[str]) -> None:
        """Take the decision back; the boundary stays as it is."""
        self._decide(uids, "reset", tr("Reopen"), lambda _uid: "unreviewed", {"reviewer": None, "reviewed_at": None})

    def set_comment(self, uid: str, text: str) -> None:
        """Write the comment of an outline, "" = none."""
        with self.command("comment", tr("Comment")):
            self._set(self._known([uid]), lambda _uid: {"comment": text or None})

    def set_attributes(self, values: Mapping[str, dict[str, Any]], text: str = "") -> None:
        """Write attributes by name, None = unknown, of outlines by uid."""
        fields = self.outlines.fields()
        names = dict.fromkeys(name for of_one in values.values() for name in of_one)
        unknown = [name for name in names if fields.lookupField(name) < 0 or name == OUTLINE_FIELD]
        if unknown:
            raise ReviewError(tr("The session has no attribute {} to fill.").format(", ".join(unknown)))
        with self.command("attributes", text or tr("Attributes")):
            self._set(self._known(values), lambda uid: values[uid])

    def take_manual(self, uid: str) -> list[str]:
        """The manual outlines of its correspondence take the place of the predicted ones.

        Returns
        -------
        The manual outlines' uids.
        """
        with self.command("take_manual", tr("Take the manual outline")):
            taken, others = self._manual_for(uid)
            here = [own for own in taken if own in self.queue]
            self._set([*others, *self._other_versions(here)], lambda _uid: self._decision("replaced"))
            self._set(here, lambda _uid: self._decision("added"))
        return taken

    def keep_both(self, uid: str) -> list[str]:
        """The predicted outlines of its correspondence are accepted, and the manual ones added.

        Returns
        -------
        The manual outlines' uids.
        """
        with self.command("keep_both", tr("Keep both")):
            taken, others = self._manual_for(uid)
            here = [own for own in taken if own in self.queue]
            versions = self._other_versions([uid, *here])
            self._set([*others, *versions], lambda own: self._decision("replaced" if own in versions else self._status_when_kept(own)))
            self._set(here, lambda _uid: self._decision("added"))
        return taken

    def set_outline(self, uid: str, geometry: QgsGeometry, action: str) -> None:
        """Give an outline another boundary; its status becomes "edited" (an added one stays added)."""
        outline = self._polygons(geometry)
        fid = self._fids[self._known([uid])[0]]
        with self.command(action, tr("Change the boundary")) as layer:
            if not layer.changeGeometry(fid, outline):
                raise ReviewError(tr("QGIS did not take the new boundary."))

    def split(self, uid: str, line: QgsGeometry) -> list[str]:
        """Cut an outline along a line; the largest part keeps the uid, the others name it as their parent.

        Returns
        -------
        The parts' uids, the largest first.
        """
        feature = self.feature(self._known([uid])[0])
        parts = sorted(cut(feature.geometry(), line), key=self._area, reverse=True)
        if len(parts) < 2:
            raise ReviewError(tr("The line does not cut the outline. Begin and end it outside, and cross the outline from side to side."))
        uids = [uid]
        with self.command("split", tr("Split")) as layer:
            layer.changeGeometry(feature.id(), self._polygons(parts[0]))
            for part in parts[1:]:
                uids.append(self._new(self._polygons(part), {"parent": uid, **self._decision("edited")}, feature))
        return uids

    def add(self, geometry: QgsGeometry) -> str:
        """A new outline.

        Returns
        -------
        Its uid.
        """
        outline = self._polygons(geometry)
        with self.command("add", tr("Add an outline")):
            return self._new(outline, {"source": "added", "relation": "added", **self._decision("added")})

    def set_restricted(self, uid: str, geometry: QgsGeometry) -> None:
        """Give an outline a restricted outline; an empty geometry takes it away."""
        fid = self._restricted_fid(self._known([uid])[0])
        outline = None if geometry.isEmpty() else self._polygons(geometry)
        with self.command("restricted", tr("Restricted outline"), self.restricted) as layer:
            if outline is None:
                if fid is not None:
                    layer.deleteFeature(fid)
            elif fid is not None:
                layer.changeGeometry(fid, outline)
            else:
                feature = QgsFeature(layer.fields())
                feature.setGeometry(outline)
                feature[OUTLINE_FIELD] = uid
                layer.addFeature(feature)

    def visit_tile(self, fid: int, visited: bool) -> None:
        """Note that a tile was searched, or not."""
        self._need_open()
        fields = self.tiles.fields()
        at, by = (_now(), self.operator) if visited else (None, None)
        values = {fields.lookupField("visited_at"): at, fields.lookupField("visited_by"): by}
        if not self.tiles.dataProvider().changeAttributeValues({fid: values}):
            raise ReviewError(tr("The visit of the tile could not be written to {}.").format(self.path))
        self.tiles.triggerRepaint()

    # undo

    def undo(self) -> None:
        """Take the last command back, whoever gave it."""
        self._step(_last_entry, max, lambda stack: stack.undo())

    def redo(self) -> None:
        """Do again what was undone last; else bring back what was discarded when QGIS asked whether to save, now or the last time."""
        if self.discarded and not self._tops(_next_entry):
            self._bring_back()
            return
        self._step(_next_entry, min, lambda stack: stack.redo())

    def undo_text(self) -> str:
        """What :meth:`undo` would take back, "" = nothing."""
        top = self._tops(_last_entry)
        return max(top, key=lambda pair: pair[0])[1].layer.undoStack().undoText() if top else ""

    def redo_text(self) -> str:
        """What :meth:`redo` would do again, "" = nothing."""
        top = self._tops(_next_entry)
        if not top:
            return tr("Bring back what was discarded") if self.discarded else ""
        return min(top, key=lambda pair: pair[0])[1].layer.undoStack().redoText()

    def _bring_back(self) -> None:
        discarded, self.discarded = self.discarded, {}
        self._note_discarded()
        for name, numbers in discarded.items():
            self._write(partial(self._journal.set_undone, numbers, name, False))
        first = min(min(numbers) for numbers in discarded.values())
        self._write(lambda: self._journal.set_unsaved(first))  # what came later is made once more, so that it stays the last word
        changes = self._journal.unsaved()
        self._replay(changes)
        self.changed.emit(list(dict.fromkeys(change.uid for change in changes)))

    def _note_discarded(self) -> None:
        """For the next time that the session is opened."""
        text = json.dumps(self.discarded) if self.discarded else ""
        self._write(lambda: self._journal.set_setting("discarded", text))

    # its end

    def settle(self) -> None:
        """Have everything written that waits for a person to finish it, before something else is done."""
        self.settling.emit()

    def save(self) -> None:
        """Settle, and write the layers to the file; the undo stack ends here.

        Raises
        ------
        ReviewError
            QGIS could not; the journal keeps everything, and the edits are still there.
        """
        self._need_open()
        self.settle()
        self._place()
        for layer in (self.outlines, self.restricted):
            if layer.isEditable() and layer.isModified() and not layer.commitChanges(stopEditing=False):
                why = "; ".join(layer.commitErrors())
                raise ReviewError(tr("The outlines could not be written to {}: {}").format(self.path, why))

    def close(self) -> None:
        """Save, take the layers out of the project and let go of the file; it stays open where not even the journal can be written."""
        if not self.is_open:
            return
        try:
            self.save()
        except ReviewError as error:
            self._write(lambda: None)
            if self._pending:
                self.said.emit(
                    tr("{} The review stays open: make room on the disk, and close it then.").format(error), Qgis.MessageLevel.Critical
                )
                return
            self.said.emit(
                tr("{} Nothing is lost: the journal has every edit, and they are made again when the session is opened.").format(error),
                Qgis.MessageLevel.Warning,
            )
        self._leave()

    # opening

    def _locked(self) -> QLockFile:
        if not self.path.is_file():
            raise ReviewError(tr("There is no session {}.").format(self.path))
        lock = QLockFile(f"{self.path}.lock")
        lock.setStaleLockTime(STALE_LOCK_MS)
        if lock.tryLock(0):
            return lock
        if lock.error() == QLockFile.LockError.LockFailedError:
            info = lock.getLockInfo()
            host = next((text for text in info if isinstance(text, str) and text), "")
            raise ReviewError(
                tr(
                    "The session is open already, in QGIS on {}. Close it there first. (If that computer went down: wait five minutes.)"
                ).format(host or tr("another computer"))
            )
        raise ReviewError(
            tr("Nothing can be written into the folder {}. Copy the session to a folder of yours and open it there.").format(
                self.path.parent
            )
        )

    def _open(self) -> None:
        read_only = tr("The file {} cannot be written to. Copy the session to a folder of yours and open it there.").format(self.path)
        if not _is_writable(self.path):
            raise ReviewError(read_only)
        if self._project.transactionMode() != Qgis.TransactionMode.Disabled:
            raise ReviewError(
                tr(
                    "This project edits its layers in transaction groups, which cannot be undone step by step. Choose “Local edit buffer” "
                    "under Project > Properties > Data Sources > Transaction mode first."
                )
            )
        try:
            unsaved = self._read()
        except JournalError as error:
            raise ReviewError(tr("{} cannot be opened as a session: {}").format(self.path, error)) from error
        for layer in (self.outlines, self.restricted):
            if not layer.startEditing():
                raise ReviewError(read_only)
        self._placing = QTimer(self)
        self._placing.setSingleShot(True)
        self._placing.setInterval(2000)
        self._placing.timeout.connect(self._place)
        for name, layer in ((form.OUTLINES, self.outlines), (form.RESTRICTED, self.restricted)):
            shape = self._judge_shape if name == form.OUTLINES else (lambda *_: True)
            self._recorders[name] = Recorder(layer, self._record, self._record_move, shape)
            self._listen(layer, name)
        self._project.layersWillBeRemoved.connect(self._notice_removal)
        self.is_open = True
        if unsaved:
            self._replay(unsaved)
            count = len({change.command for change in unsaved})
            self._words.append(
                tr("QGIS ended without closing the session. {} edits were restored from its journal; none is lost.").format(count)
            )
        self._look_at_inputs()
        self.current = self.settings.get("current", "")
        if self.current not in self.queue:
            self.current = ""
        QTimer.singleShot(0, self._say_later)

    def _read(self) -> list[Change]:
        """Settings, layers and queue from the file; what the journal has and its layers have not."""
        self._journal = Journal(self.path)
        self._check()
        self.settings = self._journal.settings()
        if self.settings.get("format") != form.FORMAT:
            raise ReviewError(
                tr("{} is a session of another version of this plugin (form {}; this one reads {}). Update the plugin.").format(
                    self.path, self.settings.get("format"), form.FORMAT
                )
            )
        self._command = self._journal.last_command()
        with QgsProject.blockDirtying(self._project):  # QGIS would ask whether to save what is no project of the person's
            self._load_layers()
        self._load_queue()
        self.discarded = json.loads(self.settings.pop("discarded", "") or "{}")
        if self.discarded:
            self._journal.set_setting("discarded", "")  # offered once
        return self._journal.unsaved()

    def _check(self) -> None:
        tables = self._journal.tables()
        needed = dict.fromkeys((form.RESTRICTED, form.PREDICTED, form.REFERENCE, form.TILES, form.SETTINGS), ())
        needed |= {form.OUTLINES: REVIEW_NAMES, form.JOURNAL: tuple(name for name, _ in form.JOURNAL_FIELDS)}
        missing = [name for name, columns in needed.items() if not set(columns) <= set(tables.get(name, ())) or name not in tables]
        if missing:
            raise ReviewError(
                tr("{} is no review session: {} is missing or not complete. Start one with the algorithm Start review.").format(
                    self.path, ", ".join(missing)
                )
            )

    def _load_layers(self) -> None:
        root = self._project.layerTreeRoot()
        for old in [group for group, path in left_in(self._project) if path == self.path]:
            self._project.removeMapLayers(old.findLayerIds())
            old.parent().removeChildNode(old)
        names = {
            form.RESTRICTED: tr("Restricted outlines"),
            form.OUTLINES: tr("Outlines"),
            form.REFERENCE: tr("Manual outlines"),
            form.PREDICTED: tr("Predicted outlines"),
            form.TILES: tr("Tiles"),
        }
        self._group = root.insertGroup(0, tr("Review: {}").format(session_name(self.path)))
        self._group.setCustomProperty(GROUP_PROPERTY, True)
        for name, title in names.items():
            layer = QgsVectorLayer(f"{self.path}|layername={name}", title, "ogr")
            if not layer.isValid():
                raise ReviewError(tr("The layer {} of {} cannot be opened.").format(name, self.path))
            layer.setReadOnly(name not in (form.OUTLINES, form.RESTRICTED))
            self._take_layer(name, layer)
            NamedStyle(f"review_{name}").apply(layer)
        for name in RASTERS:
            self._load_raster(name)
        self.crs = self.outlines.crs()
        self._measure = QgsDistanceArea()
        self._measure.setSourceCrs(self.crs, self._project.transformContext())
        self._measure.setEllipsoid(self.crs.ellipsoidAcronym() or "EPSG:7030")
        set_up_fields(self.outlines, self.restricted, self.operator)

    def _take_layer(self, name: str, layer: QgsMapLayer) -> None:
        self._layers[name] = layer
        self._project.addMapLayer(layer, False)
        node = self._group.addLayer(layer)
        node.setExpanded(False)

    def _load_raster(self, name: str) -> None:
        stored = self.settings.get(name)
        if not stored:
            return
        path = form.found_path(stored, str(self.path))
        for layer in self._project.mapLayers().values():
            if isinstance(layer, QgsRasterLayer) and layer.isValid() and raster_path(layer) == path:
                self._layers[name] = layer
                return
        layer = QgsRasterLayer(path, {"imagery": tr("Imagery"), "probability": tr("Probability"), "dem": tr("Elevation")}[name])
        if not layer.isValid():
            self._words.append(tr("A raster of the session is not there any more: {} ({})").format(path, layer.name()))
            return
        self._take_layer(name, layer)
        self._project.layerTreeRoot().findLayer(layer.id()).setItemVisibilityChecked(name == "imagery")
        if name == "probability":
            PROBABILITY.apply(layer)

    def _load_queue(self) -> None:
        key, shape = (f'"{name}"' for name in self._journal.layer_columns(form.OUTLINES))
        have = set(self.outlines.fields().names())
        name = ", ".join(f"NULLIF({column}, '')" for column in NAMED_BY if column in have)
        columns = [{"fid": key, "name": f"coalesce({name}, NULL)", "area_km2": "NULL"}.get(column, f'"{column}"') for column in COLUMNS]
        measures = (f"ST_Area({shape})", *(f"ST_{side}({shape})" for side in ("MinX", "MinY", "MaxX", "MaxY")))
        areas = areas_km2(self._measure, self._journal.pages(form.OUTLINES, key, measures))
        uid, fid, area, status = (COLUMNS.index(column) for column in ("uid", "fid", "area_km2", "status"))
        edits = (
            f"SELECT {{}} FROM {form.JOURNAL} WHERE undone = 0 AND layer = '{form.OUTLINES}' AND json_extract(after, '$.status') = 'edited'"
        )
        self._reshaped = Counter(own for (own,) in self._journal.rows(edits, ["uid"]))
        uids: dict[int, str] = {}

        def rows() -> Iterator[list[Any]]:
            for row, own_area in zip(self._journal.pages(form.OUTLINES, key, columns), areas):
                row[area] = own_area
                uids[row[fid]] = row[uid]
                if row[status] == "edited":
                    self._reshaped[row[uid]] = max(self._reshaped[row[uid]], 1)
                yield row

        if self._is_loaded:  # views hold the queue
            for row in rows():
                values = dict(zip(COLUMNS, row))
                if row[uid] in self.queue:
                    self.queue.update(values.pop("uid"), **values)
                else:
                    self.queue.add(values)
            for gone in self._fids.keys() - set(uids.values()):
                self.queue.remove(gone)
        else:
            self.queue, self._is_loaded = Queue(rows()), True
        self._uids[form.OUTLINES], self._fids = uids, {own: number for number, own in uids.items()}
        if len(self._fids) != len(uids) or not all(self._fids):
            raise ReviewError(tr("{}: several outlines have the same uid. The file was changed outside of the review.").format(self.path))
        key = self._journal.layer_columns(form.RESTRICTED)[0]
        self._uids[form.RESTRICTED] = dict(self._journal.rows(f"SELECT {{}} FROM {form.RESTRICTED}", [f'"{key}"', OUTLINE_FIELD]))

    def _replay(self, changes: list[Change]) -> None:
        """Make edits again that the journal has and the layers in the file have not; to make them once more changes nothing."""
        goals: dict[tuple[str, str], State | None] = {}
        made = set()
        for change in changes:
            target = (change.layer, change.uid)
            if change.before is None:
                made.add(target)
            if change.after is None:
                goals[target] = None
                continue
            state = goals.get(target) or {}
            state.update(change.after)
            if change.after_geometry is not None:
                state[GEOMETRY] = change.after_geometry
            goals[target] = state
        for name, recorder in self._recorders.items():
            recorder.is_paused = True
            layer, fids = recorder.layer, {uid: fid for fid, uid in self._uids[name].items()}
            layer.beginEditCommand("")
            for (where, uid), state in goals.items():
                if where != name:
                    continue
                fid = fids.get(uid)
                if state is None:
                    if fid is not None:
                        layer.deleteFeature(fid)
                elif fid is None:
                    if (where, uid) in made:  # else an update of the session took it away
                        layer.addFeature(self._made(layer, {**state, OUTLINE_FIELD: uid}))
                else:
                    if state.get(GEOMETRY):
                        layer.changeGeometry(fid, geometry_of(state[GEOMETRY]), skipDefaultValue=True)
                    values = {layer.fields().lookupField(key): value for key, value in state.items() if key != GEOMETRY}
                    layer.changeAttributeValues(
                        fid, {index: _converted(layer.fields(), index, value) for index, value in values.items() if index >= 0}, {}, True
                    )
            layer.endEditCommand()
        self.save()
        for recorder in self._recorders.values():
            recorder.is_paused = False
            recorder.committed()
        self._load_queue()

    def _look_at_inputs(self) -> None:
        for name, title in (("predicted", tr("The predicted outlines")), ("manual", tr("The manual outlines"))):
            stored, then = self.settings.get(name), self.settings.get(f"{name}_state")
            if not stored:
                continue
            path = form.found_path(stored, str(self.path))
            now = form.file_state(path)
            if not now:
                if "://" not in path and not path.startswith("/vsi"):
                    self._words.append(tr("{} are not at {} any more; the session has its own copy.").format(title, path))
            elif then and now != then:
                self.inputs_changed.append(name)
                self._words.append(tr("{} ({}) were changed since. Update the review to take the changes in.").format(title, path))

    def _say_later(self) -> None:
        """What there is to say about the opening, when those who listen are connected."""
        if self.is_open:
            for words in self._words:
                self.said.emit(words, Qgis.MessageLevel.Warning)
            self._words.clear()

    # what happens to the layers

    def _listen(self, layer: QgsVectorLayer, name: str) -> None:
        layer.committedFeaturesAdded.connect(lambda _layer, features: self._follow_ids(name, features))
        layer.afterCommitChanges.connect(lambda: self._committed(name))
        layer.beforeRollBack.connect(lambda: self._rolled_back(name))
        layer.afterRollBack.connect(lambda: self._rolled_back(""))
        layer.editingStopped.connect(lambda: QTimer.singleShot(0, self._resume))

    def _follow_ids(self, name: str, features: Iterable[QgsFeature]) -> None:
        """Features get their lasting ids when they come into the file."""
        uids = self._uids[name]
        for fid in [fid for fid in uids if fid < 0]:
            del uids[fid]
        for feature in features:
            uid = feature[OUTLINE_FIELD]
            uids[feature.id()] = uid
            if name == form.OUTLINES and uid in self.queue:
                self._fids[uid] = feature.id()
                self.queue.update(uid, fid=feature.id())

    def _committed(self, name: str) -> None:
        if self._journal is None:
            return
        self._write(lambda: self._journal.set_saved(name))
        self._recorders[name].committed()
        self.changed.emit([])

    def _rolled_back(self, name: str) -> None:
        self._rolling = name

    def _resume(self) -> None:
        """The person has switched editing off; what they saved is saved, what they discarded is undone."""
        if not self.is_open:
            return
        for layer in (self.outlines, self.restricted):
            if not layer.isEditable():
                next(one for one in self._recorders.values() if one.layer is layer).committed()
                if not layer.startEditing():
                    self.said.emit(tr("{} can be edited no more. The session is closed.").format(layer.name()), Qgis.MessageLevel.Critical)
                    self.close()
                    return
                words = tr("Editing of {} is on again: a review needs it. Close the review to end it.").format(layer.name())
                if self.discarded:
                    self._note_discarded()
                    words += " " + tr("Redo brings back what was discarded.")
                self.said.emit(words, Qgis.MessageLevel.Info)
        self.changed.emit([])

    def _judge_shape(self, fid: int, before: QgsGeometry, after: QgsGeometry) -> bool:
        """Within an edit command that changed a boundary: the outline is edited now."""
        uid = self._uids[form.OUTLINES].get(fid)
        if uid is None or not differ(before, after):
            return uid is None
        others = self._other_versions([uid])
        self._set([uid, *others], lambda own: self._decision("replaced") if own in others else self._edited(uid))
        return True

    def _edited(self, uid: str) -> dict[str, Any]:
        """What a changed boundary makes of an outline."""
        return self._decision("added" if self.queue.value_of(uid, "status") == "added" else "edited")

    def _record(self, recorder: Recorder, entry: Entry, touches: list[Touch]) -> None:
        """A command is done: into the journal with it."""
        name = self._name_of(recorder)
        number = self._joined or self._shared
        if not number:
            number = self._command = self._command + 1
        entry.commands.append(number)
        amends = {} if self._joined else self._amends(touches, name)
        seconds: float | None = self._seconds()
        at, changes = _now(), []
        gone = [self._uid_of(touch, name) for touch in touches if touch.after is None]
        for touch in touches:
            if touch.fid in self._told:
                continue
            uid = self._uid_of(touch, name)
            shapes = [(state or {}).get(GEOMETRY) for state in (touch.before, touch.after)]
            changes.append(
                Change(
                    number, at, self.operator, self._run, name, uid, self._action_of(touch, name, gone), seconds,
                    _attributes(touch.before), _attributes(touch.after), *shapes,
                )
            )  # fmt: skip
            seconds = None
        if changes:
            self._write(lambda: self._journal.write(changes))
        self._follow(touches, name)
        if name == form.OUTLINES:
            self._reshaped.update(change.uid for change in changes if (change.after or {}).get("status") == "edited")
        if amends:
            made = {touch.fid for touch in touches if touch.before is None}
            self._amend(recorder.layer, amends, number, made)
        self._tell(touches, name)
        if name == form.OUTLINES:
            self._hand_down(touches, number)

    def _amend(self, layer: QgsVectorLayer, amends: dict[int, dict[str, Any]], number: int, made: set[int]) -> None:
        """Write what is due to the features of a command in one that joins it; the rows of those that it made have it already."""
        self._joined, self._told = number, made
        try:
            layer.beginEditCommand(layer.undoStack().undoText())
            fields = layer.fields()
            for fid, values in amends.items():
                layer.changeAttributeValues(fid, {fields.lookupField(key): value for key, value in values.items()}, {}, True)
            layer.endEditCommand()
        finally:
            self._joined, self._told = 0, set()

    def _record_move(self, recorder: Recorder, entries: list[Entry], touches: list[Touch], undone: bool) -> None:
        """Commands were undone or redone."""
        name = self._name_of(recorder)
        numbers = [number for entry in entries for number in entry.commands]
        self._write(lambda: self._journal.set_undone(numbers, name, undone))
        if self._rolling == name and numbers:
            self.discarded[name] = numbers
        if name == form.OUTLINES:
            for touch in touches:
                later = touch.before if undone else touch.after
                if (later or {}).get("status") == "edited":
                    self._reshaped[self._uid_of(touch, name)] += -1 if undone else 1
        self._follow(touches, name)
        self._since = time.monotonic()
        self._tell(touches, name)
        if not self._is_stepping:
            QTimer.singleShot(0, lambda: self._keep_together(recorder, set(numbers), undone))

    def _keep_together(self, moved: Recorder, numbers: set[int], undone: bool) -> None:
        """What was due to a tool's features, and their restricted outlines, is undone and redone with the tool's command, by QGIS's own
        undo too."""
        of_these = [number < moved.index for number, entry in enumerate(moved.entries) if numbers & set(entry.commands)]
        if not self.is_open or (of_these and all(done == undone for done in of_these)):  # it was moved back since
            return
        with self._stepping():
            for recorder in self._recorders.values():
                stack = recorder.layer.undoStack()
                while any(numbers & set(entry.commands) for entry in (_last_entry if undone else _next_entry)(recorder)):
                    (stack.undo if undone else stack.redo)()

    @contextmanager
    def _stepping(self) -> Iterator[None]:
        """What is undone or redone in the block is seen to there, with all that belongs to it."""
        self._is_stepping = True
        try:
            yield
        finally:
            self._is_stepping = False

    def _hand_down(self, touches: list[Touch], number: int) -> None:
        """Restricted outlines go with outlines that went, to what these became, or are cut as they were; a part of the same command."""
        heirs: dict[str, list[str]] = {}
        for touch in touches:
            if touch.after is None:
                heirs[touch.before[OUTLINE_FIELD]] = self._became(touch, touches)
            elif touch.before is None and touch.after.get("parent") in self.queue:
                parent = touch.after["parent"]
                heirs.setdefault(parent, [parent]).append(touch.after[OUTLINE_FIELD])
        owned: dict[str, list[int]] = {}
        for fid, uid in self._uids[form.RESTRICTED].items() if heirs else ():
            if uid in heirs:
                owned.setdefault(uid, []).append(fid)
        if not owned:
            return
        shares: dict[str, list[QgsGeometry]] = {}
        for uid, fids in owned.items():
            whole = QgsGeometry.unaryUnion([self.restricted.getGeometry(fid) for fid in fids])
            for heir in heirs[uid]:
                before = [] if heir in owned else [self.restricted_outline(heir)]
                share = whole if len(heirs[uid]) == 1 else shared_ground(whole, self.outline(heir))
                shares.setdefault(heir, before).append(share)
        outer, self._shared = self._shared, number
        try:
            with self.command(self._action or ("edit" if shares else "delete"), tr("Restricted outline"), self.restricted) as layer:
                layer.deleteFeatures([fid for uid, fids in owned.items() for fid in fids[uid in shares :]])
                for heir, geometries in shares.items():
                    self.set_restricted(heir, QgsGeometry.unaryUnion([one for one in geometries if not one.isEmpty()]))
        finally:
            self._shared = outer

    def _became(self, gone: Touch, touches: list[Touch]) -> list[str]:
        """The outline that has most of the ground of one that went with the same command, none or one."""
        ground = geometry_of(gone.before.get(GEOMETRY))
        for touch in touches:
            shape = (touch.after or {}).get(GEOMETRY)
            if shape and geometry_of(shape).intersection(ground).area() > 0.5 * ground.area():
                return [self._uid_of(touch, form.OUTLINES)]
        return []

    def _name_of(self, recorder: Recorder) -> str:
        return form.OUTLINES if recorder.layer is self.outlines else form.RESTRICTED

    def _amends(self, touches: list[Touch], name: str) -> dict[int, dict[str, Any]]:
        """What is still due to features that tools or plugins made or changed, by feature; a new one's uid is seen to at once."""
        amends: dict[int, dict[str, Any]] = {}
        known = self._uids[name]
        for touch in touches:
            if touch.before is None:
                own = touch.after[OUTLINE_FIELD]
                wanted: dict[str, Any] = {}
                if name == form.RESTRICTED:
                    if not own:
                        wanted = {OUTLINE_FIELD: self.current}
                elif not own or known.get(touch.fid, own) != own or (own in self.queue and self._fids[own] != touch.fid):
                    wanted = {OUTLINE_FIELD: str(uuid.uuid4())}
                if name == form.OUTLINES and not self._action:
                    due = self._due_to(touch, touches)
                    wanted |= {key: value for key, value in due.items() if touch.after.get(key) != value}
                touch.after.update(wanted)
                known[touch.fid] = touch.after[OUTLINE_FIELD]
                if wanted:
                    amends[touch.fid] = wanted
            elif touch.after is not None:
                if OUTLINE_FIELD in touch.after and touch.after[OUTLINE_FIELD] != known[touch.fid]:
                    amends[touch.fid] = {OUTLINE_FIELD: known[touch.fid]}
                if name == form.OUTLINES and GEOMETRY in touch.after and "reviewed_at" not in touch.after:
                    shapes = [geometry_of(state[GEOMETRY]) for state in (touch.before, touch.after)]
                    if differ(*shapes):
                        amends.setdefault(touch.fid, {}).update(self._edited(known[touch.fid]))
                        amends.update((self._fids[other], self._decision("replaced")) for other in self._other_versions([known[touch.fid]]))
        return amends

    def _due_to(self, touch: Touch, touches: list[Touch]) -> dict[str, Any]:
        """Attributes of an outline that a tool or plugin made: a part of one that changed in the same command, several in one, or new."""
        part = geometry_of(touch.after[GEOMETRY])
        merged = {}
        for other in touches:
            if other.before is not None and other.after is not None and GEOMETRY in other.after:
                before = geometry_of(other.before[GEOMETRY])
                if part.intersection(before).area() > 0.5 * part.area():
                    return {"parent": self._uids[form.OUTLINES][other.fid], "status": "edited", "reviewer": self.operator}
            if other.after is None and other.before.get(GEOMETRY):
                before = geometry_of(other.before[GEOMETRY])
                if part.intersection(before).area() > 0.5 * before.area():
                    merged[before.area()] = other.before
        if merged:
            largest = merged[max(merged)]
            kept = {name: largest.get(name) for name in REVIEW_NAMES if name not in (OUTLINE_FIELD, "reviewed_at")}
            status = "added" if all(one["status"] == "added" for one in merged.values()) else "edited"
            return {**kept, "parent": largest[OUTLINE_FIELD], "status": status, "reason": None, "conflict": None, "reviewer": self.operator}
        measured = dict.fromkeys(("component", "parent", "conflict", "change", "priority", "merge_suspect", "probability"))
        measured.update(dict.fromkeys(("iou", "area_deviation", "boundary_distance_m", "reason", "source_id")))
        return {"source": "added", "relation": "added", "status": "added", "reviewer": self.operator, **measured}

    def _action_of(self, touch: Touch, name: str, gone: list[str]) -> str:
        """For the journal; ``gone`` went with the same command, as those do that become one outline."""
        if self._action:
            return self._action
        if name == form.RESTRICTED:
            return "restricted"
        if touch.before is None:
            parent = touch.after.get("parent")
            return "edit" if parent in gone else "split" if parent else "add"
        if touch.after is None:
            return "delete"
        return "edit" if GEOMETRY in touch.after or self._joined else "attributes"

    def _uid_of(self, touch: Touch, name: str) -> str:
        state = touch.before if touch.after is None else touch.after if touch.before is None else {}
        return self._uids[name].get(touch.fid) or state.get(OUTLINE_FIELD) or ""

    def _follow(self, touches: list[Touch], name: str) -> None:
        """Keep ids and queue as the layer is."""
        uids = self._uids[name]
        for touch in touches:
            if touch.after is None:
                uid = uids.get(touch.fid, "")
                if name == form.OUTLINES and uid in self.queue:
                    self.queue.remove(uid)
                    del self._fids[uid]
                continue
            uid = uids.setdefault(touch.fid, touch.after.get(OUTLINE_FIELD) or "")
            if name != form.OUTLINES:
                continue
            values = {column: touch.after[column] for column in COLUMNS if column in touch.after and column != OUTLINE_FIELD}
            if any(field in touch.after for field in NAMED_BY):
                feature = self.outlines.getFeature(touch.fid)
                values["name"] = next((str(plain(feature[field])) for field in NAMED_BY if _filled(feature, field)), None)
            if GEOMETRY in touch.after:
                shape = touch.after[GEOMETRY]
                values["area_km2"] = self._area(geometry_of(shape)) / 1e6 if shape else None
            self._fids[uid] = touch.fid
            if uid in self.queue:
                self.queue.update(uid, fid=touch.fid, **values)
            else:
                self.queue.add({"uid": uid, "fid": touch.fid, **values})

    def _tell(self, touches: list[Touch], name: str) -> None:
        uids = list(dict.fromkeys(self._uid_of(touch, name) for touch in touches))
        for touch in touches:
            if touch.after is None:
                self._uids[name].pop(touch.fid, None)
        if not self._joined:
            self.changed.emit(uids)
            if self.current and self.current not in self.queue:
                self.show(next((uid for uid in uids if uid in self.queue), ""))  # what it became one with, or was a part of

    def _write(self, do: Any) -> None:
        """Write to the journal now; what cannot be written is kept and tried again."""
        self._pending.append(do)
        try:
            while self._pending:
                self._pending[0]()
                del self._pending[0]
        except JournalError as error:
            self.said.emit(
                tr("The last edits could not be written to {}: {} They are tried again; make room or bring the disk back.").format(
                    self.path, error
                ),
                Qgis.MessageLevel.Critical,
            )

    def _notice_removal(self, ids: list[str]) -> None:
        """Layers are about to leave the project."""
        gone = [name for name, layer in self._layers.items() if layer.id() in ids]
        for name in gone:
            if name in RASTERS:
                del self._layers[name]
        if self.is_open and any(name not in RASTERS for name in gone):
            self.said.emit(
                tr("A layer of the review was removed from the project. The session is saved and closed; open it again to go on."),
                Qgis.MessageLevel.Warning,
            )
            try:
                self.save()
            except ReviewError as error:
                self.said.emit(str(error), Qgis.MessageLevel.Warning)
            self._leave(going=tuple(ids))
        elif gone and self.is_open:
            self.changed.emit([])

    # small steps

    def _need_open(self) -> None:
        if not self.is_open:
            raise ReviewError(tr("The session is closed. Open it again."))

    def _known(self, uids: Iterable[str]) -> list[str]:
        uids = list(dict.fromkeys(uids))
        unknown = [uid for uid in uids if uid not in self.queue]
        if unknown or not uids:
            raise ReviewError(tr("There is no such outline in the session any more."))
        return uids

    def _decision(self, status: str) -> dict[str, Any]:
        return {"status": status, "reason": None, "conflict": None, "reviewer": self.operator, "reviewed_at": _now()}

    def _decide(self, uids: Sequence[str], action: str, text: str, status: Any, more: dict[str, Any] | None = None) -> None:
        uids = self._known(uids)
        with self.command(action, text):
            self._set(uids, lambda uid: {**self._decision(status(uid)), **(more or {})})

    def _keep(self, uids: Sequence[str], action: str, text: str, status: Callable[[str], str]) -> None:
        others = self._other_versions(self._known(uids))
        self._decide([*uids, *others], action, text, lambda uid: "replaced" if uid in others else status(uid))

    def _other_versions(self, uids: Iterable[str]) -> list[str]:
        """What gives way when outlines are kept on which reviewers disagree."""
        return other_versions(self.outlines, [uid for uid in uids if self.queue.value_of(uid, "conflict")])

    def _status_when_kept(self, uid: str) -> str:
        if self.queue.value_of(uid, "source") in ("manual", "added"):
            return "added"
        return "edited" if self._reshaped[uid] > 0 else "accepted"

    def _set(self, uids: Sequence[str], values_of: Any) -> None:
        """Write attributes by name; the old ones are told to QGIS, which otherwise looks for each by itself when it is undone."""
        layer = self.outlines
        fields = layer.fields()
        wanted = {self._fids[uid]: values_of(uid) for uid in uids}
        names = {name: fields.lookupField(name) for values in wanted.values() for name in values}
        request = QgsFeatureRequest().setFilterFids(list(wanted)).setSubsetOfAttributes(list(names.values()))
        request.setFlags(QgsFeatureRequest.Flag.NoGeometry)
        for feature in layer.getFeatures(request):
            new, old = {}, {}
            for name, value in wanted[feature.id()].items():
                index = names[name]
                before, after = feature.attribute(index), _converted(fields, index, value)
                if plain(before) != plain(after):
                    new[index], old[index] = after, before
            if new and not layer.changeAttributeValues(feature.id(), new, old, True):
                raise ReviewError(tr("QGIS did not take the values {}.").format(wanted[feature.id()]))

    def _made(self, layer: QgsVectorLayer, state: State) -> QgsFeature:
        fields = layer.fields()
        feature = QgsFeature(fields)
        for name, value in state.items():
            index = fields.lookupField(name) if name != GEOMETRY else -1
            if index >= 0:
                feature.setAttribute(index, _converted(fields, index, value))
        if state.get(GEOMETRY):
            feature.setGeometry(geometry_of(state[GEOMETRY]))
        return feature

    def _new(self, geometry: QgsGeometry, values: dict[str, Any], like: QgsFeature | None = None) -> str:
        """A new outline within a command, with the attributes of another one but for ``values``."""
        uid = str(uuid.uuid4())
        fields = self.outlines.fields()
        feature = QgsFeature(fields)
        keys = set(self.outlines.primaryKeyAttributes())
        if like is not None:
            for index, value in enumerate(like.attributes()):
                if index not in keys:
                    feature.setAttribute(index, value)
        for name, value in {**values, OUTLINE_FIELD: uid}.items():
            index = fields.lookupField(name)
            feature.setAttribute(index, _converted(fields, index, value))
        feature.setGeometry(geometry)
        if not self.outlines.addFeature(feature):
            raise ReviewError(tr("QGIS did not take the new outline."))
        return uid

    def _manual_for(self, uid: str) -> tuple[list[str], list[str]]:
        """Manual outlines of its correspondence in the queue (made where they are not yet), and the predicted ones not rejected."""
        feature = self.feature(self._known([uid])[0])
        component = _component(feature)
        manual = self._members(form.REFERENCE, component)
        if not manual:
            raise ReviewError(tr("There is no manual outline here."))
        request = QgsFeatureRequest().setFilterExpression(f'"component" = {component}')
        here = list(self.outlines.getFeatures(request))
        others = [one[OUTLINE_FIELD] for one in here if one["source"] == "predicted" and one["status"] not in ("rejected", "replaced")]
        own = {str(one["source_id"]): one[OUTLINE_FIELD] for one in here if one["source"] == "manual"}
        fields, taken = self.outlines.fields(), []
        for one in self.reference.getFeatures(QgsFeatureRequest().setFilterFids(manual)):
            name = str(one["name"])
            if name in own:
                taken.append(own[name])
                continue
            values = {"source": "manual", "source_id": name, "component": component, "relation": feature["relation"]}
            for field in one.fields().names():
                if fields.lookupField(field) >= 0 and field not in REVIEW_NAMES and field in ATTRIBUTE_NAMES:
                    values[field] = one[field]
            taken.append(self._new(self._polygons(one.geometry()), {**values, **self._decision("added")}))
        return taken, others

    def _members(self, name: str, component: int | None) -> list[int]:
        if component is None:
            return []
        if name not in self._components:
            members: dict[int, list[int]] = {}
            key = self._journal.layer_columns(name)[0]
            for number, fid in self._journal.rows(f"SELECT {{}} FROM {name} WHERE component IS NOT NULL", ["component", f'"{key}"']):
                members.setdefault(number, []).append(fid)
            self._components[name] = members
        return self._components[name].get(component, [])

    def _ground(self, uid: str, name: str) -> QgsGeometry:
        feature = self.feature(uid)
        if feature is None:
            return QgsGeometry()
        component, layer = _component(feature), self._layers[name]
        if component is not None:
            fids = self._members(name, component)
            found = [one.geometry() for one in layer.getFeatures(QgsFeatureRequest().setFilterFids(fids))] if fids else []
        else:
            outline = feature.geometry()
            near = layer.getFeatures(QgsFeatureRequest().setFilterRect(outline.boundingBox()))
            found = [one.geometry() for one in near if one.geometry().intersection(outline).area() > 0]
        return QgsGeometry.unaryUnion(found) if found else QgsGeometry()

    def _restricted_fid(self, uid: str) -> int | None:
        return next((fid for fid, own in self._uids[form.RESTRICTED].items() if own == uid), None)

    def _polygons(self, geometry: QgsGeometry) -> QgsGeometry:
        """As the layer keeps it: several polygons in one, without heights."""
        outline = QgsGeometry(geometry)
        if outline.isEmpty() or outline.type() != Qgis.GeometryType.Polygon:
            raise ReviewError(tr("The outline has no area."))
        outline.convertToMultiType()
        if QgsWkbTypes.isCurvedType(outline.wkbType()):
            outline.convertToStraightSegment()
        outline.get().dropZValue()
        outline.get().dropMValue()
        return outline

    def _area(self, geometry: QgsGeometry) -> float:
        """In m2 on the ellipsoid."""
        return self._measure.measureArea(geometry)

    def _seconds(self) -> float:
        now = time.monotonic()
        spent, self._since = now - self._since, now
        return round(min(spent, IDLE_SECONDS), 3)

    def _tops(self, entries_of: Any) -> list[tuple[int, Recorder]]:
        if not self.is_open:
            return []
        tops = []
        for recorder in self._recorders.values():
            entries = entries_of(recorder)
            if entries:
                tops.append((max(entries[0].commands, default=0), recorder))
        return tops

    def _step(self, entries_of: Any, choose: Any, step: Any) -> None:
        """Undo or redo the command with the highest or lowest number, in both layers."""
        self._need_open()
        tops = self._tops(entries_of)
        if not tops:
            return
        number = choose(number for number, _ in tops)
        with self._stepping():
            for recorder in self._recorders.values():
                while [top for top, other in self._tops(entries_of) if other is recorder] == [number]:
                    step(recorder.layer.undoStack())

    def _beat(self) -> None:
        """Say that the session is still in use, and try again what could not be written."""
        with suppress(OSError):
            Path(f"{self.path}.lock").touch()
        self.outlines.setDefaultValueDefinition(self.outlines.fields().lookupField("reviewed_at"), QgsDefaultValue(utc_expression()))
        if self._pending:
            self._write(lambda: None)

    def _place(self) -> None:
        """Note where the person is."""
        if self._journal is not None and self.settings.get("current") != self.current:
            self.settings["current"] = self.current
            self._write(lambda: self._journal.set_setting("current", self.current))

    def _leave(self, going: tuple[str, ...] = ()) -> None:
        """Let go of everything; layers in ``going`` are on their way out already."""
        self.is_open = False
        self._heart.stop()
        self._placing.stop()
        self._hear_no_more()
        self.closed.emit()
        self._release(going)

    def _hear_no_more(self) -> None:
        """What happens to the layers is none of the review's from now on."""
        with suppress(TypeError):  # not connected yet
            self._project.layersWillBeRemoved.disconnect(self._notice_removal)
        for recorder in self._recorders.values():
            recorder.stop()
        self._shut()
        for recorder in self._recorders.values():
            if recorder.layer.isEditable():
                recorder.layer.rollBack()  # nothing is in the buffer, or the journal has it

    def _shut(self) -> None:
        """Close the journal, before QGIS closes its layers: the last one to do so can end the write-ahead log."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _release(self, going: tuple[str, ...] = ()) -> None:
        self._shut()
        ours = [] if self._group is None or sip.isdeleted(self._group) else self._group.findLayerIds()
        ours = [layer for layer in ours if layer not in going]
        project, group = self._project, self._group

        def remove() -> None:
            with QgsProject.blockDirtying(project):
                project.removeMapLayers([layer for layer in ours if project.mapLayer(layer) is not None])
                if group is not None and not sip.isdeleted(group) and group.parent() is not None:
                    group.parent().removeChildNode(group)
            end_log(self.path)
            self._lock.unlock()

        if going:
            QTimer.singleShot(0, remove)
        else:
            remove()


def session_name(path: Path) -> str:
    """What a session is called on screen: many files are called review.gpkg."""
    return f"{path.parent.name}/{path.name}"


def left_in(project: QgsProject) -> list[tuple[QgsLayerTreeGroup, Path]]:
    """Groups of layers that no review is open for, because the project was saved while one was, and the session of each."""
    found = []
    for group in project.layerTreeRoot().findGroups(recursive=True):
        layers = [node.layer() for node in group.findLayers()] if group.customProperty(GROUP_PROPERTY) else []
        layers = [layer for layer in layers if isinstance(layer, QgsVectorLayer)]
        if layers and not any(layer.isEditable() for layer in layers):
            found.append((group, Path(QgsProviderRegistry.instance().decodeUri("ogr", layers[0].source())["path"])))
    return found


def _last_entry(recorder: Recorder) -> list[Entry]:
    """What would be undone, none or one."""
    return recorder.entries[: recorder.index][-1:]


def _next_entry(recorder: Recorder) -> list[Entry]:
    """What would be redone, none or one."""
    return recorder.entries[recorder.index :][:1]


def _component(feature: QgsFeature) -> int | None:
    """The correspondence of an outline; None for one without."""
    value = plain(feature["component"])
    return None if value is None else int(value)


def _attributes(state: State | None) -> dict[str, Any] | None:
    return None if state is None else {name: value for name, value in state.items() if name != GEOMETRY}


def _converted(fields: Any, index: int, value: Any) -> Any:
    """A value as its field holds it."""
    return NULL if plain(value) is None else fields.at(index).convertCompatible(value)


def _filled(feature: QgsFeature, name: str) -> bool:
    return feature.fields().lookupField(name) >= 0 and bool(plain(feature[name]))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_writable(path: Path) -> bool:
    try:
        with open(path, "r+b"):
            return True
    except OSError:
        return False
