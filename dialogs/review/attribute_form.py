"""The attributes of the inventory that a person fills, of one outline or of several at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qgis.core import NULL, Qgis
from qgis.PyQt.QtCore import QEvent, QObject, Qt
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ...processing_provider.translation import tr
from ...review_session import ATTRIBUTES
from .session import Review, ReviewError
from .session_fields import domain_of, read_domains

OF_ONE_OUTLINE = ("primary_id", "alternative_id", "activity_class", "outline_comment")
"""Not copied from another outline: names, a comment, and the activity, which is never proposed."""
MANY = 500
"""Outlines whose values are looked at; of more, only what is set counts."""
DIFFERENT = object()


def sections() -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """Title of a section, and the name, label and explanation of each of its attributes."""
    sides = tr("How well the boundary can be told there")
    return (
        (
            tr("Unit"),
            (
                ("primary_id", tr("Primary id"), tr("PrimaryID of RGIK; given when the inventory is written where it is empty")),
                ("alternative_id", tr("Alternative id"), tr("Name in another inventory")),
                ("associated_rgs", tr("System"), tr("PrimaryID (RGS…) of the system that the unit belongs to")),
                ("system_type", tr("System type"), tr("Whether the system has one unit or several")),
                ("unit_morphology", tr("Morphology"), tr("Morphology of the unit")),
                ("completeness", tr("Completeness"), tr("Whether the whole landform is there")),
            ),
        ),
        (
            tr("Upslope connection"),
            (
                ("upslope_connection", tr("To"), tr("What the rock glacier comes from")),
                ("upslope_current", tr("Current"), tr("Whether it is still connected upslope")),
            ),
        ),
        (
            tr("Activity"),
            (
                ("activity_class", tr("Class"), tr("Cannot be told from one optical image; it is never proposed")),
                ("activity_assessment", tr("Assessed from"), tr("What the activity was assessed from")),
                ("destabilisation", tr("Destabilisation"), tr("Whether the rock glacier is destabilised")),
            ),
        ),
        (
            tr("Kinematics"),
            (
                ("kinematic_attribute", tr("Attribute"), tr("Order of magnitude of the surface velocity")),
                ("kinematic_reliability", tr("Reliability"), tr("Reliability of the kinematic attribute")),
                ("kinematic_period", tr("Period"), tr("Observation period, such as 2018-2021")),
            ),
        ),
        (
            tr("Outline"),
            (
                ("outline_type", tr("Type"), tr("Extended: with front and lateral margins; restricted: without")),
                ("imagery", tr("Imagery"), tr("What the outline was drawn on, with its date")),
                ("outline_comment", tr("Comment"), tr("Comment on the boundary")),
            ),
        ),
        (
            tr("Reliability of the outline"),
            (
                ("reliability_front", tr("Front"), sides),
                ("reliability_left", tr("Left margin"), sides),
                ("reliability_right", tr("Right margin"), sides),
                ("reliability_upslope", tr("Upslope"), sides),
            ),
        ),
    )


class AttributeForm(QWidget):
    """Follows the outline that is shown; ``show_outlines`` shows several. What is chosen or written is set at once, to be undone."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review = review
        self._uids: list[str] = []
        self._shown: dict[str, Any] = {}
        self._current = self._previous = ""
        self._domains = read_domains()
        self._title = QLabel()
        self._title.setWordWrap(True)
        self._copy = QPushButton(tr("&Copy from previous outline"))
        self._copy.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._copy.setToolTip(
            tr("Fills what is not set with the values of the outline shown before; never the ids, the activity and the comment")
        )
        self._copy.clicked.connect(self._copy_previous)
        self.widgets: dict[str, QComboBox | QLineEdit] = {}
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, attributes in sections():
            heading = QLabel(title)
            font = heading.font()
            font.setBold(True)
            heading.setFont(font)
            form.addRow(heading)
            for name, text, told in attributes:
                self._add_row(form, name, text, told)
                self.widgets[name].setAccessibleName(f"{title}: {text}")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._title)
        layout.addWidget(self._copy)
        layout.addLayout(form)
        self.setFocusProxy(self.widgets["system_type"])
        review.current_changed.connect(self._go)
        review.changed.connect(self._follow)
        review.settling.connect(self._finish)
        review.closed.connect(self._close)
        self._go(review.current)

    def show_outlines(self, uids: Iterable[str]) -> None:
        """Show what the outlines have in common; what is set is set for all of them."""
        uids = list(uids)
        if uids != self._uids:
            self._finish()
            self._uids = uids
        self._refresh()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls what the form is in and leaves values alone."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _add_row(self, form: QFormLayout, name: str, text: str, told: str) -> None:
        domain = self._domains.get(domain_of(name))
        widget: QComboBox | QLineEdit
        if domain is None:
            widget = QLineEdit()
            widget.editingFinished.connect(lambda name=name: self._write(name))
        else:
            widget = QComboBox()
            widget.addItem(tr("not set"), None)
            for value, label in zip(domain["values"], domain.get("labels", domain["values"])):
                widget.addItem(str(label), value)
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(8)
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.activated.connect(lambda _index, name=name: self._write(name))
            if not domain["verified"]:
                told += "\n" + tr("The values await a comparison with the template of RGIK.")
        widget.installEventFilter(self)
        label = QLabel(text)
        label.setBuddy(widget)
        for part in (label, widget):
            part.setToolTip(told)
        form.addRow(label, widget)
        self.widgets[name] = widget

    def _go(self, uid: str) -> None:
        if uid != self._current:
            self._previous, self._current = self._current, uid
        self.show_outlines([uid] if uid else [])

    def _follow(self, uids: list[str]) -> None:
        if not set(uids).isdisjoint(self._uids):
            self._refresh()

    def _close(self) -> None:
        self._uids = []
        self.setEnabled(False)

    def _refresh(self) -> None:
        features = [self._review.feature(uid) for uid in self._uids] if len(self._uids) <= MANY else []
        features = [feature for feature in features if feature is not None]
        self.setEnabled(bool(features) or len(self._uids) > MANY)
        count = len(self._uids)
        self._title.setText(tr("{} outlines: what you change is set for all of them.").format(count) if count > 1 else "")
        self._title.setVisible(count > 1)
        known = self._previous and self._previous != self._current and self._previous in self._review.queue
        self._copy.setEnabled(bool(known))
        for name, widget in self.widgets.items():
            values = {_value(feature[name]) for feature in features}
            value = values.pop() if len(values) == 1 else DIFFERENT if self._uids else None
            if isinstance(widget, QLineEdit):
                self._show_text(widget, value, changed=self._shown.get(name, DIFFERENT) != value)
            else:
                self._show_choice(widget, value, len(self._domains[domain_of(name)]["values"]) + 1)
            self._shown[name] = value

    @staticmethod
    def _show_text(widget: QLineEdit, value: Any, changed: bool) -> None:
        """What is being typed stays while the value behind it does."""
        widget.setPlaceholderText(tr("(different)") if value is DIFFERENT else "")
        if changed or not widget.isModified():
            widget.setText("" if value in (None, DIFFERENT) else str(value))
            widget.setCursorPosition(0)

    @staticmethod
    def _show_choice(widget: QComboBox, value: Any, choices: int) -> None:
        """A value that is none of the choices is listed below them."""
        while widget.count() > choices:
            widget.removeItem(choices)
        listed = [widget.itemData(index) for index in range(choices)]
        if value not in listed:
            widget.addItem(tr("(different)") if value is DIFFERENT else tr("{} (not in the list)").format(value), value)
            listed.append(value)
        widget.setCurrentIndex(listed.index(value))

    def _write(self, name: str) -> None:
        widget = self.widgets[name]
        if isinstance(widget, QLineEdit):
            if not widget.isModified():
                return
            widget.setModified(False)
            value = widget.text().strip() or None
        else:
            value = widget.currentData()
        if self._uids and value is not DIFFERENT and value != self._shown[name]:
            self._set(dict.fromkeys(self._uids, {name: value}), tr("Set {}").format(widget.accessibleName()))

    def _finish(self) -> None:
        """Write what is still being typed, before other outlines are shown."""
        for name, widget in self.widgets.items():
            if isinstance(widget, QLineEdit):
                self._write(name)

    def _copy_previous(self) -> None:
        """One command for all outlines that are shown."""
        self._finish()
        source = self._review.feature(self._previous)
        if source is None:
            return
        offered = {name: _value(source[name]) for name, _ in ATTRIBUTES if name not in OF_ONE_OUTLINE}
        changes = {}
        for uid in self._uids:
            feature = self._review.feature(uid)
            if feature is not None:
                missing = {name: value for name, value in offered.items() if value is not None and _value(feature[name]) is None}
                changes.update({uid: missing} if missing else {})
        if changes:
            self._set(changes, tr("Copy attributes"))

    def _set(self, changes: dict[str, dict[str, Any]], text: str) -> None:
        try:
            self._review.set_attributes(changes, text)
        except ReviewError as error:
            self._review.said.emit(str(error), Qgis.MessageLevel.Warning)
            self._refresh()


def _value(value: Any) -> Any:
    """None for NULL and empty texts."""
    return None if value is None or value in (NULL, "") else value
