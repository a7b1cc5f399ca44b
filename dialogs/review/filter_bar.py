"""What the queue is filtered by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable

from qgis.PyQt.QtCore import QLocale, Qt, QTimer
from qgis.PyQt.QtGui import QKeyEvent, QMouseEvent
from qgis.PyQt.QtWidgets import QAction, QHBoxLayout, QLineEdit, QMenu, QToolButton, QWidget

from ...processing_provider.translation import tr
from ...review_session import RELATIONS, SIZE_CLASSES, STATUSES
from .queue import Filter
from .wording import change_text, relation_text, status_text

SYMBOLS = {"unreviewed": "○", "accepted": "✓", "edited": "✎", "added": "+", "uncertain": "?", "rejected": "✕", "replaced": "⇄"}
"""Of the statuses, so that colour is never alone."""
CHANGES = ("found", "moved")
PAUSE_MS = 250
"""After a key in the search box, before the queue is searched."""


def size_class_text(name: str | None) -> str:
    """A size class with its range."""
    if not name:
        return tr("area unknown")
    smallest = dict(SIZE_CLASSES)[name]
    larger = [area for _, area in SIZE_CLASSES if area > smallest]
    words = {"small": tr("small"), "medium_s": tr("small medium"), "medium_l": tr("large medium"), "large": tr("large")}
    shown = QLocale().toString
    if not larger:
        return tr("{}, from {} km²").format(words[name], shown(smallest, "f", 2))
    if not smallest:
        return tr("{}, under {} km²").format(words[name], shown(larger[0], "f", 2))
    return tr("{}, {} to {} km²").format(words[name], shown(smallest, "f", 2), shown(larger[0], "f", 2))


def _relation(name: str) -> str:
    return f"{name}: {relation_text(name)}" if name else relation_text(None)


class StayingMenu(QMenu):
    """A menu that stays open while its boxes are checked."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """By the mouse."""
        if not self._toggle(self.activeAction()):
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """By the keyboard."""
        keys = (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event.key() not in keys or not self._toggle(self.activeAction()):
            super().keyPressEvent(event)

    def _toggle(self, action: QAction | None) -> bool:
        if action is None or not action.isCheckable() or not action.isEnabled():
            return False
        action.trigger()
        return True


class FilterBar(QWidget):
    """What the queue is filtered by: a search box, and a button with the conditions."""

    def __init__(self, model: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._filling = model, False
        self._groups: dict[str, tuple[QMenu, str, dict[str, QAction]]] = {}
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.apply)

        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Name, id, comment"))
        self.search.setAccessibleName(tr("Search outlines by name, id or comment"))
        self.search.setToolTip(self.search.accessibleName())
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumWidth(self.fontMetrics().averageCharWidth() * 8)
        self.search.textChanged.connect(lambda _text: self._pause.start())
        self.search.returnPressed.connect(self.apply)

        self._menu = QMenu(self)
        self._add_group("relations", tr("Relation"), (*RELATIONS, ""), _relation)
        self._add_group("statuses", tr("Status"), STATUSES, lambda name: f"{SYMBOLS[name]} {status_text(name)}")
        self._add_group("size_classes", tr("Size class"), (*(name for name, _ in SIZE_CLASSES), ""), size_class_text)
        self._add_group("changes", tr("New detection"), CHANGES, change_text)
        self._conflicts = self._menu.addAction(tr("Only conflicts between reviewers"))
        self._conflicts.setCheckable(True)
        self._conflicts.toggled.connect(lambda _checked: self.apply())
        self._menu.addSeparator()
        self._menu_clear = self._menu.addAction(tr("Clear all conditions"))
        self._menu_clear.triggered.connect(self.clear)
        self._menu.aboutToShow.connect(self._count)

        self.button = QToolButton()
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setMenu(self._menu)
        self.button.setToolTip(tr("Show only some outlines: by relation, status, size, what a new detection changed, conflicts"))
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.clear_button = QToolButton()
        self.clear_button.setText("✕")
        self.clear_button.setToolTip(tr("Clear all conditions and the search"))
        self.clear_button.setAccessibleName(self.clear_button.toolTip())
        self.clear_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.clear_button.clicked.connect(self.clear)

        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.search, 1), (self.button, 0), (self.clear_button, 0)):
            self.row.addWidget(widget, stretch)
        self._show(Filter())

    def conditions(self) -> Filter:
        """What is checked and typed."""
        chosen = {
            group: frozenset(name for name, action in actions.items() if action.isChecked())
            for group, (_, _, actions) in self._groups.items()
        }
        return Filter(**chosen, conflicts_only=self._conflicts.isChecked(), text=self.search.text().strip())

    def set_conditions(self, conditions: Filter) -> None:
        """Check and type what the conditions say, and filter."""
        self._filling = True
        for group, (_, _, actions) in self._groups.items():
            for name, action in actions.items():
                action.setChecked(name in getattr(conditions, group))
        self._conflicts.setChecked(conditions.conflicts_only)
        self.search.setText(conditions.text)
        self._filling = False
        self.apply()

    def clear(self) -> None:
        """Show all outlines."""
        self.set_conditions(Filter())

    def apply(self) -> None:
        """Filter the queue now."""
        if self._filling:
            return
        self._pause.stop()
        conditions = self.conditions()
        self._show(conditions)
        if conditions != self._model.queue.conditions:
            self._model.filter(conditions)

    def _add_group(self, group: str, title: str, names: Iterable[str], shown: Callable[[str], str]) -> None:
        menu = StayingMenu(title, self._menu)
        actions = {}
        for name in names:
            action = actions[name] = menu.addAction(shown(name))
            action.setCheckable(True)
            action.setData(shown(name))
            action.toggled.connect(lambda _checked: self.apply())
        self._menu.addMenu(menu)
        self._groups[group] = menu, title, actions

    def _count(self) -> None:
        """Say how many outlines there are of each relation and status."""
        for group, numbers in (("relations", self._model.queue.relations()), ("statuses", self._model.queue.counts())):
            for name, action in self._groups[group][2].items():
                action.setText(f"{action.data()} ({numbers.get(name, 0)})")

    def _show(self, conditions: Filter) -> None:
        number = conditions.active()
        self.button.setText(tr("Filter ({})").format(number) if number else tr("Filter"))
        self.clear_button.setEnabled(number > 0)
        self._menu_clear.setEnabled(number > 0)
        for group, (menu, title, _) in self._groups.items():
            chosen = len(getattr(conditions, group))
            menu.setTitle(f"{title} ({chosen})" if chosen else title)
