"""What edit commands do to a layer, whoever gives them: before and after of every feature that they touch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Callable

from qgis.core import QgsFeature, QgsFeatureRequest, QgsGeometry, QgsVectorLayer
from qgis.PyQt.QtCore import QByteArray, QDate, QDateTime, Qt, QTime, QVariant

GEOMETRY = ""
"""The geometry's place among the attributes; no field is called so."""

State = dict[str, Any]
"""Attributes by name as JSON knows them, and the geometry as well-known binary under :data:`GEOMETRY`."""


def plain(value: Any) -> Any:
    """A value of an attribute as JSON knows it; None where unknown."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, QVariant):
        return None if value.isNull() else str(value.value())
    if isinstance(value, (QDateTime, QTime)):
        return value.toString(Qt.DateFormat.ISODateWithMs) if value.isValid() else None
    if isinstance(value, QDate):
        return value.toString(Qt.DateFormat.ISODate) if value.isValid() else None
    if isinstance(value, (bytes, QByteArray)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return str(value)


def geometry_of(wkb: bytes | None) -> QgsGeometry:
    """A geometry from well-known binary; empty from None."""
    geometry = QgsGeometry()
    if wkb:
        geometry.fromWkb(wkb)
    return geometry


@dataclass
class Touch:
    """A feature before and after a command; of one that stayed only what changed, None = not there."""

    fid: int
    before: State | None
    after: State | None


@dataclass(eq=False)
class Entry:
    """A command on the layer's undo stack."""

    commands: list[int] = field(default_factory=list)  # their numbers in the journal; the stack may join commands to one
    touches: list[Touch] = field(default_factory=list)
    is_bare: bool = False  # made outside of an edit command


class Recorder:
    """Listens to a layer in edit mode.

    Parameters
    ----------
    layer
        Whose commands are followed.
    on_command
        Called when a command is done, with what it touched, its entry and the recorder.
    on_moved
        Called when commands were undone or redone, with their entries, what that touched, whether undone, and the recorder.
    on_shape
        Called within a running command when a feature's geometry changes, with its id and its geometry before the command and now,
        until it says that it has seen enough of this feature.
    """

    def __init__(
        self,
        layer: QgsVectorLayer,
        on_command: Callable[[Recorder, Entry, list[Touch]], None],
        on_moved: Callable[[Recorder, list[Entry], list[Touch], bool], None],
        on_shape: Callable[[int, QgsGeometry, QgsGeometry], bool],
    ) -> None:
        self.layer = layer
        self.entries: list[Entry] = []
        self.index = 0
        self.is_paused = False
        self._on_command, self._on_moved, self._on_shape = on_command, on_moved, on_shape
        self._known: dict[int, State | None] = {}  # of features that are not as the file has them
        self._is_ending = False
        self._forget()
        self._shaped: set[int] = set()
        self._skip = set(layer.primaryKeyAttributes())
        self._stack = layer.undoStack()
        self._connections = (
            (layer.editCommandStarted, self._started),
            (layer.editCommandEnded, self._ended),
            (layer.editCommandDestroyed, self._destroyed),
            (layer.geometryChanged, self._geometry_changed),
            (layer.attributeValueChanged, self._attribute_changed),
            (layer.featureAdded, self._added),
            (layer.featureDeleted, self._deleted),
            (self._stack.indexChanged, self._index_changed),
        )
        for signal, slot in self._connections:
            signal.connect(slot)

    def stop(self) -> None:
        """Listen no more."""
        for signal, slot in self._connections:
            with contextlib.suppress(TypeError, RuntimeError):  # the layer is gone
                signal.disconnect(slot)

    def committed(self) -> None:
        """The file holds everything now, and the undo stack is empty."""
        self._known.clear()
        self.entries.clear()
        self.index = 0
        self._forget()

    def name(self, index: int) -> str:
        """Of a field."""
        return self.layer.fields().at(index).name()

    def state(self, feature: QgsFeature) -> State:
        """All of a feature."""
        names = self.layer.fields().names()
        values = {name: plain(value) for index, (name, value) in enumerate(zip(names, feature.attributes())) if index not in self._skip}
        values[GEOMETRY] = bytes(feature.geometry().asWkb()) or None
        return values

    def _forget(self) -> None:
        self._values: dict[int, State] = {}
        self._presence: dict[int, bool] = {}

    def _started(self, _text: str = "") -> None:
        self._is_ending = False
        self._shaped.clear()

    def _attribute_changed(self, fid: int, index: int, value: Any) -> None:
        if index not in self._skip:
            self._values.setdefault(fid, {})[self.name(index)] = plain(value)

    def _geometry_changed(self, fid: int, geometry: QgsGeometry) -> None:
        self._values.setdefault(fid, {})[GEOMETRY] = bytes(geometry.asWkb()) or None
        if self.layer.isEditCommandActive() and not self._is_ending and not self.is_paused and fid not in self._shaped:
            known = self._known.get(fid, {})
            if known is None or (fid < 0 and GEOMETRY not in known):  # it is new in this command
                return
            before = geometry_of(self._before([fid], {fid: {GEOMETRY: None}})[fid].get(GEOMETRY))
            if self._on_shape(fid, before, geometry):
                self._shaped.add(fid)

    def _added(self, fid: int) -> None:
        self._presence[fid] = True

    def _deleted(self, fid: int) -> None:
        self._presence[fid] = False

    def _ended(self) -> None:
        self._is_ending = False
        self._push(Entry())

    def _destroyed(self) -> None:
        self._is_ending = False
        self._forget()
        del self.entries[self._stack.index() :]
        self.index = self._stack.index()

    def _index_changed(self, index: int) -> None:
        if self.layer.isEditCommandActive():
            self._is_ending = True  # what follows until the command's end is its undoing, if anything
        elif self._stack.count() == 0:
            self._forget()
        elif index < self.index:
            self._move(self.entries[index : self.index], index, undone=True)
        elif index == self.index:
            self._push(self.entries[index - 1] if index else Entry(is_bare=True))
        elif self._is_redo(index):
            self._move(self.entries[self.index : index], index, undone=False)
        else:
            self._push(Entry(is_bare=True))

    def _is_redo(self, index: int) -> bool:
        """Whether the commands up to an index were there already: a command given outside of an edit command looks the same."""
        if index > len(self.entries):
            return False
        last = self.entries[index - 1]
        if not last.is_bare or index - self.index > 1:
            return last.is_bare or self._stack.command(index - 1).childCount() > 0
        after = {touch.fid: touch.after for touch in last.touches}
        if {*self._presence, *self._values} != after.keys() or any(
            (after[fid] is not None) != there for fid, there in self._presence.items()
        ):
            return False
        changed = {fid: values for fid, values in self._values.items() if fid not in self._presence}
        return all((after[fid] or {}).get(name, self) == value for fid, values in changed.items() for name, value in values.items())

    def _push(self, entry: Entry) -> None:
        touches = self._touches()
        index = self._stack.index()
        if self.is_paused:
            return
        if index and (index > len(self.entries) or entry is not self.entries[index - 1]):
            del self.entries[index - 1 :]
            self.entries.append(entry)
        self.index = index
        if touches:
            if entry.is_bare:
                entry.touches += touches
            self._on_command(self, entry, touches)

    def _move(self, entries: list[Entry], index: int, undone: bool) -> None:
        self.index = index
        self._on_moved(self, entries, self._touches(), undone)

    def _touches(self) -> list[Touch]:
        """What changed since the last time, feature by feature."""
        values, presence = self._values, self._presence
        self._forget()
        there = {fid: (self._known[fid] is not None if fid in self._known else fid >= 0) for fid in {**values, **presence}}
        whole = [fid for fid in presence if there[fid] or presence[fid]]
        parts = [fid for fid in values if fid not in presence and there[fid]]
        now = self._fetched(self.layer, [fid for fid in whole if presence[fid]], None)
        before = self._before([fid for fid in whole if there[fid]], None)
        before.update(self._before(parts, values))
        touches = []
        for fid in whole:
            old, new = before.get(fid), now.get(fid)
            if old and new:
                changed = [name for name in new if old.get(name) != new[name]]
                old, new = {name: old.get(name) for name in changed}, {name: new[name] for name in changed}
            self._know(fid, now.get(fid))
            if old or new:
                touches.append(Touch(fid, old, new))
        for fid in parts:
            changed = [name for name, value in values[fid].items() if before[fid].get(name) != value]
            self._known.setdefault(fid, {}).update(values[fid])
            if changed:
                touches.append(Touch(fid, {name: before[fid].get(name) for name in changed}, {name: values[fid][name] for name in changed}))
        return touches

    def _know(self, fid: int, state: State | None) -> None:
        self._known[fid] = None if state is None else dict(state)

    def _before(self, fids: list[int], values: dict[int, State] | None) -> dict[int, State]:
        """What features were before the command; with ``values`` only the attributes that those name."""
        if values is None:
            unknown = [fid for fid in fids if fid >= 0]
            names = None
        else:
            unknown = [fid for fid in fids if fid >= 0 and not values[fid].keys() <= self._known.get(fid, {}).keys()]
            names = {name for fid in unknown for name in values[fid]}
        stored = self._fetched(self.layer.dataProvider(), unknown, names)
        return {fid: {**stored.get(fid, {}), **(self._known.get(fid) or {})} for fid in fids}

    def _fetched(self, source: Any, fids: Iterable[int], names: set[str] | None) -> dict[int, State]:
        fids = list(fids)
        if not fids:
            return {}
        request = QgsFeatureRequest().setFilterFids(fids)
        if names is None:
            return {feature.id(): self.state(feature) for feature in source.getFeatures(request)}
        fields = self.layer.fields()
        indices = {name: fields.lookupField(name) for name in names if name != GEOMETRY}
        request.setSubsetOfAttributes(list(indices.values()))
        if GEOMETRY not in names:
            request.setFlags(QgsFeatureRequest.Flag.NoGeometry)
        found = {}
        for feature in source.getFeatures(request):
            state = {name: plain(feature.attribute(index)) for name, index in indices.items()}
            if GEOMETRY in names:
                state[GEOMETRY] = bytes(feature.geometry().asWkb()) or None
            found[feature.id()] = state
        return found
