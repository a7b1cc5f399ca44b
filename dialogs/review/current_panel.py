"""The outline that is looked at: what it is, how it compares, and what can be done with it."""

from __future__ import annotations

import math

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QEvent, QLocale, QObject, QSize, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QLineEdit, QSizePolicy, QToolBar, QToolButton, QVBoxLayout, QWidget

from ...processing_provider.translation import tr
from .actions import Actions
from .metrics import Comparison, compare
from .session import Review
from .wording import change_text, reason_text, relation_text, source_text, status_text

DECISIONS = (("accept", "reject"), ("uncertain", "reset"), ("take_manual", "keep_both"))
EDITING = ("edit", "level", "split", "snap", "restricted", "add", "undo", "redo")
LOOKING = ("previous", "next", "next_undecided", "here", "compare", "second_view", "profile", "google_earth")
UNKNOWN = "–"
PAUSE_MS = 60
"""How long an outline has to stay as it is before it is measured again: a slider moves it many times in a second."""


class CurrentPanel(QWidget):
    """Follows the review; its buttons are the actions of the review. ``decisions``, those that decide, have their place beside it."""

    left_text = pyqtSignal()
    """The comment is written; the keyboard can go back to the map."""

    def __init__(self, review: Review, actions: Actions, legend: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review = review
        self._commented = ""
        self._name = QLabel()
        self._name.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        font = self._name.font()
        font.setBold(True)
        self._name.setFont(font)
        self._facts, self._notice = QLabel(), QLabel()
        for label in (self._name, self._facts, self._notice):
            label.setWordWrap(True)
        self._comment = QLineEdit()
        self._comment.setPlaceholderText(tr("Comment"))
        self._comment.setAccessibleName(tr("Comment"))
        self._comment.editingFinished.connect(self._write_comment)
        review.settling.connect(self._write_comment)
        self._comment.returnPressed.connect(self.left_text)
        self._comment.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._name, self._facts, self._notice):
            layout.addWidget(widget)
        layout.addLayout(self._figures())
        layout.addWidget(legend)
        layout.addWidget(self._comment)
        layout.addWidget(_bar(tr("Correct"), EDITING, actions))
        layout.addWidget(_bar(tr("Look"), LOOKING, actions))
        self.decisions = self._decisions(actions)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._measure)
        review.current_changed.connect(self.show_current)
        review.changed.connect(self._follow)
        self.show_current()

    def comment(self) -> None:
        """Move the keyboard to the comment."""
        self._comment.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._comment.selectAll()

    def show_current(self, *_: str) -> None:
        """What there is to say about the outline, its figures included; a comment that is being written goes to the one before."""
        self._write_comment()
        self._show_comment()
        self._describe()
        self._measure()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Escape in the comment leaves it as it was."""
        if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
            self._show_comment()
            self.left_text.emit()
            return True
        return super().eventFilter(watched, event)

    def _figures(self) -> QGridLayout:
        """Rows of figures, one column for each thing that the outline is compared with."""
        grid = QGridLayout()
        self._with_manual, self._with_predicted = QLabel(tr("vs manual")), QLabel(tr("vs predicted"))
        self._figure_labels: dict[tuple[int, int], QLabel] = {}
        self._area = QLabel()
        for column, heading in ((1, self._with_manual), (2, self._with_predicted)):
            heading.setToolTip(tr("Compared with the manual outlines") if column == 1 else tr("Compared with the outlines as predicted"))
            grid.addWidget(heading, 0, column, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self._area, 0, 0)
        rows = (
            (tr("IoU"), tr("Shared area over the area of both together, 0 to 1")),
            (tr("Area"), tr("Area less the other one's area, in percent of the latter")),
            (tr("Boundary"), tr("Mean distance of every metre of both boundaries to the other one")),
        )
        for row, (text, tip) in enumerate(rows, start=1):
            label = QLabel(text)
            label.setToolTip(tip)
            grid.addWidget(label, row, 0)
            for column in (1, 2):
                value = self._figure_labels[row, column] = QLabel()
                value.setToolTip(tip)
                grid.addWidget(value, row, column, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(0, 1)
        grid.setVerticalSpacing(0)
        return grid

    def _decisions(self, actions: Actions) -> QWidget:
        buttons = QWidget()
        buttons.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        grid = QGridLayout(buttons)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for row, names in enumerate(DECISIONS):
            for column, name in enumerate(names):
                button = QToolButton()
                button.setDefaultAction(actions[name])
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
                button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                if name == "reject":
                    button.setMenu(actions.reasons)
                    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
                    self.reject_button = button
                grid.addWidget(button, row, column)
                grid.setColumnStretch(column, 1)
        return buttons

    def _follow(self, uids: list[str]) -> None:
        if self._review.current in uids:
            self._describe()
            self._pause.start()

    def _describe(self) -> None:
        uid = self._review.current
        self.setEnabled(bool(uid) or self._review.queue.total > 0)
        if not uid or uid not in self._review.queue:
            self._name.setText(tr("No outline is chosen"))
            self._facts.clear()
            self._notice.hide()
            return
        row, locale = self._review.queue.get(uid), QLocale()
        position, seen = self._review.queue.position(uid), len(self._review.queue)
        place = "" if position is None else tr("{} of {}").format(locale.toString(position + 1), locale.toString(seen))
        self._name.setText("  ·  ".join(filter(None, (str(row["name"] or uid), status_text(row["status"]), place))))
        facts = relation_text(row["relation"])
        self._facts.setText(facts if row["relation"] else f"{source_text(row['source'])}  ·  {facts}")
        notices = (
            tr("Rejected: {}").format(reason_text(row["reason"])) if row["reason"] else "",
            tr("Reviewers disagree: {}").format(row["conflict"]) if row["conflict"] else "",
            tr("New detection: {}").format(change_text(row["change"])) if row["change"] else "",
        )
        self._notice.setText("\n".join(filter(None, notices)))
        self._notice.setVisible(any(notices))
        if not self._comment.hasFocus():
            self._show_comment()

    def _measure(self) -> None:
        self._pause.stop()
        uid, review = self._review.current, self._review
        if not review.is_open:
            return
        references = (review.reference_ground, review.predicted_ground)
        context = QgsProject.instance().transformContext()
        outline = review.outline(uid) if uid else None
        figures = [Comparison() if outline is None else compare(outline, ground(uid), review.crs, context) for ground in references]
        self._area.setText(_number(figures[0].area_km2, 4, tr("{} km²")))
        for column, figure in enumerate(figures, start=1):
            self._figure_labels[1, column].setText(_number(figure.iou, 2, "{}"))
            self._figure_labels[2, column].setText(_number(figure.area_deviation, 1, "{} %", signed=True))
            self._figure_labels[3, column].setText(_number(figure.boundary_distance_m, 1, "{} m"))

    def _show_comment(self) -> None:
        self._commented = self._review.current
        self._comment.setText(self._comment_of(self._commented))

    def _write_comment(self) -> None:
        text = self._comment.text().strip()
        if self._review.is_open and self._commented in self._review.queue and text != self._comment_of(self._commented):
            self._review.set_comment(self._commented, text)

    def _comment_of(self, uid: str) -> str:
        feature = self._review.feature(uid) if uid else None
        return str(feature["comment"] or "") if feature is not None else ""


def _bar(title: str, names: tuple[str, ...], actions: Actions) -> QToolBar:
    """Buttons without text; those that do not fit are behind the arrow at its end."""
    bar = QToolBar(title)
    size = round(1.25 * bar.fontMetrics().height())
    bar.setIconSize(QSize(size, size))
    for name in names:
        bar.addAction(actions[name])
    return bar


def _number(value: float, decimals: int, unit: str, signed: bool = False) -> str:
    """A figure as people of this language write it, a dash where it is unknown."""
    if math.isnan(value):
        return UNKNOWN
    text = QLocale().toString(abs(value) if signed else value, "f", decimals)
    return unit.format((("+" if value >= 0 else "−") if signed else "") + text)
