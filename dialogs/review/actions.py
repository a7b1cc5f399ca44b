"""The commands of a review as QGIS actions, so that people find and change their keys in Settings > Keyboard Shortcuts.

Single keys that QGIS 3.40 itself uses in its main window are R (stream digitizing), S (snapping) and T (tracing); its vertex and
drawing tools take Escape, Backspace, Delete, comma and full stop, the map the arrows, the space bar, + and -. None of them is used here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable

from qgis.core import QgsApplication
from qgis.gui import QgsGui
from qgis.PyQt.QtCore import QEvent, QObject
from qgis.PyQt.QtGui import QIcon, QKeySequence
from qgis.PyQt.QtWidgets import QAction, QComboBox, QMenu, QWidget

from ...processing_provider.translation import tr
from ...review_session import REASONS
from .wording import reason_text

SESSION, OUTLINE, MANUAL, RESTING = "session", "outline", "manual", "resting"
"""What a command needs: an open session, an outline that is looked at, manual outlines that this one corresponds to, an outline while
no tool of the review is on: those have uses of their own for digits."""
PREFIX = "rockGlacierReview"
"""Of the object names, by which QGIS remembers changed keys."""


@dataclass(frozen=True)
class Command:
    """What a person can do in a review; ``key`` is the one it has until the person changes it."""

    name: str
    text: str
    tip: str
    icon: str
    key: str = ""
    needs: str = OUTLINE
    checkable: bool = False


def commands() -> tuple[Command, ...]:
    """All but the reasons of a rejection, in the language QGIS runs in."""
    return (
        Command("previous", tr("Previous"), tr("Previous outline of the queue"), "mActionArrowLeft", "P", SESSION),
        Command("next", tr("Next"), tr("Next outline of the queue"), "mActionArrowRight", "N", SESSION),
        Command(
            "next_undecided", tr("Next undecided"), tr("Next outline without a decision"), "mActionDoubleArrowRight", "Shift+N", SESSION
        ),
        Command("accept", tr("Accept"), tr("Accept the outline as it is"), "mIconSuccess", "A"),
        Command("reject", tr("Reject"), tr("Reject the outline, for a reason"), "mTaskCancel", "X"),
        Command("uncertain", tr("Uncertain"), tr("It cannot be told: kept, but no example to learn from"), "mActionHelpContents", "U"),
        Command("take_manual", tr("Take manual"), tr("Keep the manual outline instead of this one"), "mActionReplace", "M", MANUAL),
        Command("keep_both", tr("Keep both"), tr("Keep this outline and the manual one"), "mActionDuplicateFeature", "B", MANUAL),
        Command("reset", tr("Reopen"), tr("Take the decision back: the outline is unreviewed again"), "mActionReload", "O"),
        Command("comment", tr("Comment"), tr("Write a comment on the outline"), "mActionTextAnnotation", "C"),
        Command(
            "edit",
            tr("Edit boundary"),
            tr("Move vertices with QGIS's vertex tool; reshape, split and merge from its toolbars work, too"),
            "mActionVertexToolActiveLayer",
            "E",
            checkable=True,
        ),
        Command("add", tr("Draw outline"), tr("Draw a rock glacier that both missed"), "mActionCapturePolygon", "D", SESSION, True),
        Command("level", tr("Level"), tr("Let the boundary follow a level of the probability"), "mActionOffsetCurve", "L"),
        Command(
            "split", tr("Split"), tr("Split the outline along a proposed or a drawn line"), "mActionSplitFeatures", "K", checkable=True
        ),
        Command(
            "snap", tr("Snap to edge"), tr("Redraw a stretch of boundary along the strongest edge"), "mActionTracing", "G", checkable=True
        ),
        Command(
            "restricted",
            tr("Restricted outline"),
            tr("Make or edit the restricted outline inside"),
            "mIconInteriorRings",
            "I",
            checkable=True,
        ),
        Command("undo", tr("Undo"), tr("Undo the last decision or edit"), "mActionUndo", "Z", SESSION),
        Command("redo", tr("Redo"), tr("Redo what was undone"), "mActionRedo", "Shift+Z", SESSION),
        Command("here", tr("Back to outline"), tr("Show the outline on the map again"), "mActionZoomToSelected", "H"),
        Command(
            "compare",
            tr("Compare with prediction"),
            tr("On the map, compare with the outline as predicted"),
            "rendererCategorizedSymbol",
            "Y",
            SESSION,
            True,
        ),
        Command("second_view", tr("Second view"), tr("A second map beside the main one"), "mActionNewMap", "V", SESSION, True),
        Command("profile", tr("Profile"), tr("Elevation along the fall line"), "mActionElevationProfile", "F", SESSION, True),
        Command("google_earth", tr("Google Earth"), tr("Open the place in Google Earth"), "mIconProjectionEnabled", "W"),
        Command("queue", tr("Go to queue"), tr("Move the keyboard to the queue"), "mIconListView", "Q", SESSION),
        Command("attributes", tr("Go to attributes"), tr("Move the keyboard to the attributes"), "mActionFormView", "Shift+A", SESSION),
        Command(
            "confidence", tr("Go to confidence"), tr("Move the keyboard to the histogram of probability"), "histogram", "Shift+C", SESSION
        ),
        Command("finish", tr("Finish…"), tr("Write inventory, reports and training data"), "mActionExport", "", SESSION),
        Command("training_data", tr("Make training data…"), tr("Turn the session into training data"), "mActionSelectAll", "", SESSION),
        Command(
            "adapt", tr("Adapt…"), tr("Learn from this session, and detect again where nobody has looked"), "mActionRefresh", "", SESSION
        ),
        Command(
            "take_in", tr("Take in a new detection…"), tr("Bring newly predicted outlines into the queue"), "mActionAddLayer", "", SESSION
        ),
        Command("merge", tr("Merge another session…"), tr("Join this session with another person's"), "mActionMergeFeatures", "", SESSION),
        Command("changes", tr("Show what changed"), tr("Only what a new detection found or moved"), "mActionFilter2", "", SESSION),
        Command("conflicts", tr("Show conflicts"), tr("Only what reviewers disagree on"), "mActionFilter2", "", SESSION),
        Command(
            "save", tr("Save outlines"), tr("Write the outlines to the file; the steps to undo end there"), "mActionSaveEdits", "", SESSION
        ),
        Command("close", tr("Close session"), tr("Save and close; it opens again where it was"), "mActionFileExit", "", SESSION),
        Command("tile", tr("Next tile"), tr("Mark the tile as visited and go to the next one"), "mActionAtlasNext", "J", SESSION),
    )


class Actions(QObject):
    """One action for each command and for each reason of a rejection; disabled, so that their keys are free, until told otherwise."""

    def __init__(self, parent: QWidget, do: Callable[[str], None], reject: Callable[[str], None]) -> None:
        super().__init__(parent)
        self._actions: dict[str, QAction] = {}
        self._needs: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._tips: dict[str, str] = {}
        self._withheld: dict[str, str] = {}
        self._now: dict[str, str] = {}
        self._met: frozenset[str] = frozenset()
        self._interface: Any = None
        for command in commands():
            action = self._make(command.name, command.text, command.tip, theme_icon(command.icon), command.key, command.needs)
            action.setCheckable(command.checkable)
            action.triggered.connect(lambda _checked=False, name=command.name: do(name))
        self.reasons = QMenu(parent)
        for number, reason in enumerate(REASONS, start=1):
            text = tr("Reject: {}").format(reason_text(reason))
            action = self._make(f"reject_{reason}", text, text, theme_icon("mTaskCancel"), str(number), RESTING)
            action.triggered.connect(lambda _checked=False, reason=reason: reject(reason))
            entry = self.reasons.addAction(f"&{number}  {reason_text(reason)}")
            entry.triggered.connect(lambda _checked=False, reason=reason: reject(reason))
        self._show()

    def __getitem__(self, name: str) -> QAction:
        """The action of a command; of a reason under ``reject_<reason>``."""
        return self._actions[name]

    def register(self, interface: Any) -> None:
        """Give them to QGIS, with their keys; a key that another action has by now is left to it."""
        self._interface = interface
        for name, action in self._actions.items():
            key = self._keys[name]
            taken = QgsGui.shortcutsManager().objectForSequence(QKeySequence(key)) if key else None
            interface.registerMainWindowAction(action, "" if taken is not None else key)
            interface.mainWindow().addAction(action)  # its key works in all of the window, not where a button shows it alone
        self._show()

    def unregister(self) -> None:
        """Take them away from QGIS."""
        if self._interface is not None:
            for action in self._actions.values():
                self._interface.unregisterMainWindowAction(action)
                self._interface.mainWindow().removeAction(action)
            self._interface = None

    def enable(self, met: Iterable[str]) -> None:
        """Enable the commands whose needs are met, and no others."""
        self._met = frozenset(met)
        self._show()

    def withhold(self, reasons: dict[str, str]) -> None:
        """Disable commands by name, whatever they need, and say why in their tooltips; those not named are withheld no more."""
        self._withheld = dict(reasons)
        self._show()

    def check(self, names: Iterable[str], chosen: str = "") -> None:
        """Show one of several commands as switched on, the others as not."""
        for name in names:
            self._actions[name].setChecked(name == chosen)

    def describe(self, name: str, what: str) -> None:
        """Say in a command's tooltip what it would do now; without that it is disabled."""
        self._now[name] = what
        self._show()

    def _make(self, name: str, text: str, tip: str, icon: QIcon, key: str, needs: str) -> QAction:
        action = QAction(icon, text, self)
        action.setObjectName(PREFIX + "".join(word.capitalize() for word in name.replace("-", " ").replace("_", " ").split()))
        self._actions[name], self._needs[name], self._keys[name], self._tips[name] = action, needs, key, tip
        return action

    def _show(self) -> None:
        for name, action in self._actions.items():
            why, now = self._withheld.get(name, ""), self._now.get(name)
            action.setEnabled(not why and now != "" and self._needs[name] in self._met)
            key = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            tip = self._tips[name] + (f" ({key})" if key else "")
            action.setToolTip("\n".join(filter(None, (tip, now, why))))


class TypingGuard(QObject):
    """Lets single letters choose in drop-down lists, as people are used to, before they are taken for commands."""

    def watch(self, widget: QWidget) -> None:
        """Guard the drop-down lists inside a widget."""
        for box in widget.findChildren(QComboBox):
            box.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt before the key reaches an action."""
        if event.type() == QEvent.Type.ShortcutOverride and event.text().strip() and not event.modifiers():
            event.accept()
            return True
        return super().eventFilter(watched, event)


def theme_icon(name: str) -> QIcon:
    """An icon of QGIS's own, which fits the light and the dark themes."""
    return QgsApplication.getThemeIcon(f"/{name}.svg")
