"""The queue as a person sees it: a table, the conditions that it is filtered by, and how much is still to be judged."""

from __future__ import annotations

from typing import Any, Callable

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QAbstractTableModel, QItemSelectionModel, QLocale, QModelIndex, QSize, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QColor, QHideEvent, QKeySequence
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...processing_provider.translation import tr
from .filter_bar import SYMBOLS, FilterBar, StayingMenu, size_class_text
from .queue import SIZE_CLASS, Filter, Queue
from .session import Review
from .wording import change_text, reason_text, relation_text, status_text

VIEW_COLUMNS = (
    "name",
    "relation",
    "status",
    "area_km2",
    "probability",
    "iou",
    "area_deviation",
    "boundary_distance_m",
    "reviewer",
    "priority",
)
WIDTHS = {"name": 7, "relation": 7, "status": 14, "reviewer": 10}
"""Of columns at first, in characters."""
WIDTH = 7
DECIMALS = {"priority": 2, "area_km2": 3, "probability": 2, "iou": 2, "boundary_distance_m": 1}
FIGURES = (*DECIMALS, "area_deviation")
CONFLICT = "⚠"
COLOURS = {
    "accepted": QColor(0, 158, 115),
    "edited": QColor(86, 180, 233),
    "added": QColor(204, 121, 167),
    "uncertain": QColor(230, 159, 0),
    "rejected": QColor(213, 94, 0),
    "replaced": QColor(150, 150, 150),
    "unreviewed": QColor(Qt.GlobalColor.transparent),
}
"""Okabe and Ito (2008); the map and the effort report have the same, lighter or darker by what they lie on."""
HEADER_SETTING = f"rock_glacier_mapper/review/queue_header_{len(VIEW_COLUMNS)}"


def _number(flags: Any) -> int:
    return int(getattr(flags, "value", flags))


# as a number, which both PyQt5 and PyQt6 hand on to the delegate
RIGHT = _number(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


def heading(column: str) -> str:
    """Short title of a column."""
    return {
        "name": tr("Name"),
        "relation": tr("Relation"),
        "status": tr("Status"),
        "area_km2": tr("km²"),
        "probability": tr("Prob."),
        "iou": tr("IoU"),
        "area_deviation": tr("Area %"),
        "boundary_distance_m": tr("Bound. m"),
        "reviewer": tr("Reviewer"),
        "priority": tr("Attention"),
    }[column]


def explanation(column: str) -> str:
    """What a column holds."""
    return {
        "name": tr("Name of the outline in the layer that it came from"),
        "relation": tr("Manual to predicted outlines that overlap: 1-1, n-1, 1-n, n-m, missed or false"),
        "status": tr("What was decided"),
        "area_km2": tr("Area of the outline, km²"),
        "probability": tr("Mean probability over the outline, 0 to 1"),
        "iou": tr("Intersection over union of the predicted and the manual outlines, 0 to 1"),
        "area_deviation": tr("Predicted less manual area, in percent of the manual one"),
        "boundary_distance_m": tr("Mean distance between the predicted and the manual boundaries, metres"),
        "reviewer": tr("Who decided"),
        "priority": tr("What deserves attention first, 0 to 1: disagreement, low probability, large deviation, merged neighbours"),
    }[column]


class QueueModel(QAbstractTableModel):
    """The rows in view of a queue, :data:`VIEW_COLUMNS` across."""

    def __init__(self, queue: Queue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queue, self._rows = queue, len(queue)
        self._locale = QLocale()

    @property
    def queue(self) -> Queue:
        """What it shows."""
        return self._queue

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 Qt's own default
        """Rows in view."""
        return 0 if parent.isValid() else self._rows

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 Qt's own default
        """Columns, hidden ones too."""
        return 0 if parent.isValid() else len(VIEW_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns, what they mean, and that figures sort from the highest."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return heading(VIEW_COLUMNS[section])
        if role == Qt.ItemDataRole.InitialSortOrderRole:
            return _number(Qt.SortOrder.DescendingOrder if VIEW_COLUMNS[section] in FIGURES else Qt.SortOrder.AscendingOrder)
        return explanation(VIEW_COLUMNS[section]) if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell."""
        position, column = index.row(), VIEW_COLUMNS[index.column()]
        if position >= len(self._queue):  # until the change is told
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(position, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT if column in FIGURES else None
        if role == Qt.ItemDataRole.DecorationRole:
            return COLOURS.get(self._queue.value(position, "status")) if column == "status" else None
        return self._tooltip(position, column) if role == Qt.ItemDataRole.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order the queue; called by the header."""
        if column >= 0:
            self._anew(lambda: self._queue.sort(VIEW_COLUMNS[column], order == Qt.SortOrder.DescendingOrder))

    def filter(self, conditions: Filter) -> None:
        """Show what meets the conditions."""
        self._anew(lambda: self._queue.filter(conditions))

    def refresh(self) -> None:
        """Filter and sort again, after decisions."""
        self._anew(self._queue.apply)

    def follow(self) -> None:
        """The queue has changed: values, or rows that came or went."""
        if len(self._queue) != self._rows:
            self._anew(lambda: None)
        elif self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(self._rows - 1, len(VIEW_COLUMNS) - 1))

    def _anew(self, change: Callable[[], None]) -> None:
        self.beginResetModel()
        change()
        self._rows = len(self._queue)
        self.endResetModel()

    def _text(self, position: int, column: str) -> str:
        value = self._queue.value(position, column)
        if value is None:
            return ""
        if column == "status":
            sign = CONFLICT if self._queue.value(position, "conflict") else SYMBOLS.get(value, "")
            return f"{sign} {status_text(value)}"
        if column == "area_deviation":
            return f"{'+' if value > 0 else ''}{self._locale.toString(value, 'f', 0)}"
        return self._locale.toString(value, "f", DECIMALS[column]) if column in DECIMALS else value

    def _tooltip(self, position: int, column: str) -> str:
        row = self._queue.row_at(position)
        if column == "relation":
            return relation_text(row["relation"])
        if column == "area_km2":
            return size_class_text(self._queue.value(position, SIZE_CLASS))
        if column == "status":
            told = (
                status_text(row["status"]),
                reason_text(row["reason"]) if row["reason"] else "",
                tr("Reviewers disagree: {}").format(row["conflict"]) if row["conflict"] else "",
                tr("New detection: {}").format(change_text(row["change"])) if row["change"] else "",
                row["comment"],
            )
            return "\n".join(line for line in told if line)
        if column == "name":
            return f"{row['name'] or ''}\n{row['uid']}".strip()
        return explanation(column)


class QueueView(QWidget):
    """The queue of a review; the row that a person goes to is the outline that is shown."""

    view_changed = pyqtSignal()
    """Filtered or sorted anew."""
    selection_changed = pyqtSignal(list)
    """The uids that are selected now."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review, self._is_going = review, False
        self.model = QueueModel(review.queue, self)
        self.filter_bar = FilterBar(self.model)
        self.table = self._make_table()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(self.fontMetrics().height() // 2)
        self.progress.setAccessibleName(tr("Share of the outlines that are decided"))
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.filter_bar.row.addWidget(self._make_arrangement())

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filter_bar)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.state)
        layout.addWidget(self.progress)
        self.setFocusProxy(self.table)

        self._selecting = QTimer(self)
        self._selecting.setSingleShot(True)
        self._selecting.timeout.connect(lambda: self.selection_changed.emit(self.selected_uids()))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._selecting.start())
        self.model.modelReset.connect(self._show_current)
        self.model.modelReset.connect(self.view_changed)
        self.model.modelReset.connect(self._show_state)
        self.table.selectionModel().currentRowChanged.connect(self._go)
        self.table.activated.connect(lambda index: self._review.show(self.model.queue.uid_at(index.row())))
        review.changed.connect(self._follow)
        review.current_changed.connect(lambda _uid: self._show_current())
        review.closed.connect(self._close)
        self._arrange()
        self._show_current()
        self._show_state()

    def selected_uids(self) -> list[str]:
        """Outlines that are selected, from above; the one that is shown where none is."""
        ranges = self.table.selectionModel().selection()
        rows = sorted({row for part in ranges for row in range(part.top(), part.bottom() + 1)})
        return [self.model.queue.uid_at(row) for row in rows] or [uid for uid in [self._review.current] if uid]

    def refresh(self) -> None:
        """Filter and sort again: what was decided leaves a view that does not want it."""
        self.model.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Remember how the columns are arranged."""
        self._remember()
        super().hideEvent(event)

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName(tr("Outlines to review"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        height = self.fontMetrics().height()
        table.setIconSize(QSize(height // 2, height // 2))
        rows = table.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setMinimumSectionSize(height)
        rows.setDefaultSectionSize(height + height // 3)
        header = table.horizontalHeader()
        header.setSectionsMovable(True)
        header.setHighlightSections(False)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(lambda point: self._columns.popup(header.mapToGlobal(point)))
        return table

    def _make_arrangement(self) -> QToolButton:
        """The button that does from the keyboard what the table's header does with the mouse."""
        button = QToolButton(self)
        button.setText(tr("View"))
        button.setToolTip(tr("Sort the outlines, and choose the columns"))
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        menu = QMenu(button)
        sorting = menu.addMenu(tr("Sort by"))
        sorting.setToolTipsVisible(True)
        for number, column in enumerate(VIEW_COLUMNS):
            action = sorting.addAction(heading(column))
            action.setToolTip(explanation(column))
            action.triggered.connect(lambda _checked=False, number=number: self._sort_by(number))
        self._columns = StayingMenu(tr("Columns"), menu)
        for number, column in enumerate(VIEW_COLUMNS):
            action = self._columns.addAction(heading(column))
            action.setCheckable(True)
            action.toggled.connect(lambda shown, number=number: self.table.setColumnHidden(number, not shown))
        self._columns.aboutToShow.connect(self._check_columns)
        menu.addMenu(self._columns)
        refresh = menu.addAction(tr("Filter and sort again"))
        refresh.setShortcut(QKeySequence(Qt.Key.Key_F5))
        refresh.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        refresh.triggered.connect(self.refresh)
        self.addAction(refresh)
        button.setMenu(menu)
        return button

    def _arrange(self) -> None:
        """The columns as they were left, else the usual ones; by attention at first."""
        header = self.table.horizontalHeader()
        for number, column in enumerate(VIEW_COLUMNS):
            header.resizeSection(number, self.fontMetrics().horizontalAdvance("0") * WIDTHS.get(column, WIDTH))
        attention = VIEW_COLUMNS.index("priority")
        header.setSortIndicator(attention, Qt.SortOrder.DescendingOrder)
        header.hideSection(attention)
        saved = QgsSettings().value(HEADER_SETTING)
        if saved:
            header.restoreState(saved)
        self.table.setSortingEnabled(True)

    def _check_columns(self) -> None:
        shown = [number for number in range(len(VIEW_COLUMNS)) if not self.table.isColumnHidden(number)]
        for number, action in enumerate(self._columns.actions()):
            action.blockSignals(True)
            action.setChecked(number in shown)
            action.blockSignals(False)

    def _sort_by(self, number: int) -> None:
        """Numbers from the highest, texts from the first; the other way round when it is so already."""
        header = self.table.horizontalHeader()
        descending = VIEW_COLUMNS[number] in FIGURES
        if header.sortIndicatorSection() == number:
            descending = header.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
        self.table.sortByColumn(number, Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder)

    def _remember(self) -> None:
        QgsSettings().setValue(HEADER_SETTING, self.table.horizontalHeader().saveState())

    def _go(self, index: QModelIndex, _previous: QModelIndex) -> None:
        if index.isValid():
            uid = self.model.queue.uid_at(index.row())
            if uid != self._review.current:
                self._is_going = True  # the table is about to select by itself
                self._review.show(uid)
                self._is_going = False

    def _follow(self, _uids: list[str]) -> None:
        self.model.follow()
        self._show_state()

    def _show_current(self) -> None:
        """Select the outline that is shown and scroll to it; a selection that holds it stays."""
        if self._is_going:
            return
        position = self.model.queue.position(self._review.current) if self._review.current else None
        selection = self.table.selectionModel()
        if position is None:
            selection.clear()
            return
        index = self.model.index(position, max(0, self.table.horizontalHeader().logicalIndex(0)))
        if selection.currentIndex().row() != position or not selection.isRowSelected(position, QModelIndex()):
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            selection.setCurrentIndex(index, flags)
        self.table.scrollTo(index)

    def _show_state(self) -> None:
        queue = self.model.queue
        total, open_ = queue.total, queue.undecided()
        percent = 100 * (total - open_) // total if total else 100
        text = tr("{} of {} undecided · {} % done").format(open_, total, percent)
        if len(queue) != total:
            text += " · " + tr("{} shown").format(len(queue))
        self.state.setText(text)
        self.progress.setValue(percent)

    def _close(self) -> None:
        self._remember()
        self.setEnabled(False)
