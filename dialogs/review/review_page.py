"""An open session in the dock: queue, current outline, tools, and what each command does."""

from __future__ import annotations

from typing import Any, Callable

from qgis.core import Qgis, QgsProject, QgsSettings
from qgis.gui import QgsCollapsibleGroupBox, QgsFloatingWidget, QgsMapCanvas, QgsMapTool
from qgis.PyQt.QtCore import QElapsedTimer, QEvent, QObject, QPoint, QSize, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QFrame, QLabel, QScrollArea, QSplitter, QVBoxLayout, QWidget
from qgis.utils import OverrideCursor

from ...processing_provider.translation import tr
from .actions import MANUAL, OUTLINE, RESTING, SESSION, Actions, TypingGuard
from .attribute_form import AttributeForm
from .confidence import ConfidencePanel
from .current_panel import CurrentPanel
from .editing_options import EditingOptions
from .filter_bar import CHANGES
from .google_earth import open_in_google_earth
from .level_control import LevelControl
from .map_view import LegendLine, MapView
from .navigator import Navigator
from .profile_view import ProfileView
from .queue import Filter
from .queue_view import QueueView
from .second_view import SecondView
from .session import Review, ReviewError
from .snap_tool import SnapTool
from .split_tool import SplitTool

ADVANCE_SETTING = "rock_glacier_mapper/review/advance"
SPLITTER_SETTING = "rock_glacier_mapper/review/splitter"
GROUPS_SETTING = "rock_glacier_mapper/review/groups"
TOOLS = ("edit", "add", "split", "snap", "restricted")
"""Commands that stay on until the person leaves them; one at a time."""
MATCHED = ("1-1", "n-1", "1-n", "n-m")
"""Relations of outlines that have a manual counterpart."""


class ReviewPage(QWidget):
    """Made for one open session and thrown away with it; commands are its methods, by the names of the actions."""

    said = pyqtSignal(str, object)
    """A text for the message bar and its ``Qgis.MessageLevel``."""
    all_decided = pyqtSignal()

    def __init__(self, interface: Any, review: Review, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._interface, self._review, self._actions = interface, review, actions
        self._canvas: QgsMapCanvas = interface.mapCanvas()
        self._using, self._is_awake = "", True
        self._options: EditingOptions | None = None
        self._views: dict[str, QWidget] = {}
        self._map = MapView(review, self._canvas)
        self._snap = SnapTool(review, self._canvas)
        self._map_tools: dict[str, QgsMapTool] = {"split": SplitTool(review, self._canvas), "snap": self._snap}
        self._escape = _DoubleEscape(self._canvas, self.leave_tool)
        self._hint = _Hint(self._canvas)
        self._guard = TypingGuard(self)
        self._compose()
        review.current_changed.connect(self._follow)
        review.changed.connect(self._follow)
        self._canvas.mapToolSet.connect(self._notice_tool)
        self._follow()

    def _compose(self) -> None:
        self.queue_view = QueueView(self._review)
        self.panel = CurrentPanel(self._review, self._actions, LegendLine(self._map))
        self.panel.left_text.connect(self._canvas.setFocus)
        self.level_control = LevelControl(self._review, self._canvas)
        self.attribute_form = AttributeForm(self._review)
        self.confidence_panel = ConfidencePanel(self._review)
        self.queue_view.table.activated.connect(lambda _index: self.here())
        self.queue_view.view_changed.connect(self.confidence_panel.follow)
        self.queue_view.selection_changed.connect(self.attribute_form.show_outlines)
        self.navigator = Navigator(self._review, self._canvas, self._actions["add"].trigger)
        lower = QWidget()
        layout = QVBoxLayout(lower)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._groups = {
            "level": _group("level", tr("Level"), self.level_control, layout),
            "attributes": _group("attributes", tr("Attributes"), self.attribute_form, layout),
            "confidence": _group("confidence", tr("Confidence"), self.confidence_panel, layout),
            "tiles": _group("tiles", tr("Tiles"), self.navigator, layout),
        }
        layout.addStretch(1)
        self._scroll = _Room()
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(lower)
        current = QWidget()
        layout = QVBoxLayout(current)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel.decisions)  # in sight whatever is scrolled to
        layout.addWidget(self._scroll)
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.addWidget(self.queue_view)
        self._splitter.addWidget(current)
        self._splitter.setStretchFactor(0, 1)  # what is left over goes to the queue
        self._splitter.setChildrenCollapsible(False)
        state = QgsSettings().value(SPLITTER_SETTING)
        if state:
            self._splitter.restoreState(state)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._splitter)
        self._guard.watch(self)

    def release(self) -> None:
        """Give everything back that the page took: tools, options, views, what is drawn on the map."""
        QgsSettings().setValue(SPLITTER_SETTING, self._splitter.saveState())
        self.leave_tool()
        self.queue_view.selection_changed.disconnect(self.attribute_form.show_outlines)
        self._canvas.mapToolSet.disconnect(self._notice_tool)
        self._review.current_changed.disconnect(self._follow)
        self._review.changed.disconnect(self._follow)
        for tool in self._map_tools.values():
            self._canvas.unsetMapTool(tool)
            tool.deleteLater()  # they and what listens for Escape belong to the map, which stays
        self._escape.deleteLater()
        self._hint.deleteLater()
        for view in self._views.values():
            view.release()
        self._views.clear()
        self._map.release()
        self._actions.check(("compare", "second_view", "profile"))
        self._actions.enable(())

    @property
    def is_at_rest(self) -> bool:
        """Whether no tool of the review is on: nothing is half drawn."""
        return not self._using

    def set_awake(self, awake: bool) -> None:
        """While the dock is put away no tool is on and no key does anything."""
        if not awake:
            self.leave_tool()
        self._is_awake = awake
        self._follow()

    def do(self, name: str, *what: str) -> None:
        """Carry out a command by its name.

        Raises
        ------
        ReviewError
            says what cannot be done.
        """
        self._review.settle()
        try:
            getattr(self, name)(*what)
        finally:
            self._actions.check(TOOLS, self._using)

    # going through the queue

    def previous(self) -> None:
        """The outline before in the queue."""
        self._show_next(-1, undecided=False)

    def next(self) -> None:
        """The next outline of the queue."""
        self._show_next(1, undecided=False)

    def next_undecided(self) -> None:
        """The next outline without a decision."""
        self._show_next(1, undecided=True)

    def here(self) -> None:
        """Show the outline on the map again."""
        self._map.show_current()

    def tile(self) -> None:
        """Mark the tile as visited and go to the next one."""
        self._open_group("tiles")
        self.navigator.next_tile()

    # deciding

    def accept(self) -> None:
        """Accept the selected outlines."""
        self._decide(self._review.accept, tr("{} outlines accepted"))

    def reject(self) -> None:
        """Ask for the reason; digits choose."""
        button, menu = self.panel.reject_button, self._actions.reasons
        menu.popup(button.mapToGlobal(QPoint(0, button.height())))
        menu.setActiveAction(menu.actions()[0])

    def reject_for(self, reason: str) -> None:
        """Reject the selected outlines."""
        self._decide(lambda uids: self._review.reject(uids, reason), tr("{} outlines rejected"))

    def uncertain(self) -> None:
        """Keep the selected outlines, as what cannot be told."""
        self._decide(self._review.mark_uncertain, tr("{} outlines marked as uncertain"))

    def reset(self) -> None:
        """Take decisions back and stay."""
        self.leave_tool()
        self._review.reset(self.queue_view.selected_uids())

    def take_manual(self) -> None:
        """Keep the manual outline instead."""
        self._decide_current(self._review.take_manual)

    def keep_both(self) -> None:
        """Keep the outline and the manual one."""
        self._decide_current(self._review.keep_both)

    def comment(self) -> None:
        """Move the keyboard to the comment."""
        self._scroll.ensureWidgetVisible(self.panel)
        self.panel.comment()

    def undo(self) -> None:
        """Undo the last command of the review."""
        self._review.undo()

    def redo(self) -> None:
        """Redo what was undone last."""
        self._review.redo()

    # correcting

    def edit(self) -> None:
        """Edit the boundary with QGIS's vertex tool, or stop that."""
        self._toggle_tool("edit", self._start_editing)

    def add(self) -> None:
        """Draw a new outline, or stop that."""
        self._toggle_tool("add", lambda: self._start_native(self._review.outlines, self._interface.actionAddFeature()))

    def split(self) -> None:
        """Propose cuts and let the person choose or draw one, or stop that."""
        self._toggle_tool("split", lambda: self._canvas.setMapTool(self._map_tools["split"]))

    def snap(self) -> None:
        """Redraw a stretch of boundary along the strongest edge, or stop that."""
        self._toggle_tool("snap", lambda: self._canvas.setMapTool(self._map_tools["snap"]))

    def restricted(self) -> None:
        """Edit the restricted outline, made from the extended one where there is none, or stop that."""
        self._toggle_tool("restricted", self._start_restricted)

    def level(self) -> None:
        """Move the keyboard to the level's slider."""
        self._open_group("level")
        self.level_control.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def leave_tool(self) -> None:
        """Back from any tool of the review to what the person had before."""
        if not self._using:
            return
        using, self._using = self._using, ""
        self._escape.stop()
        self._hint.hide()
        if using == "edit":
            self._review.outlines.removeSelection()
        if using in self._map_tools:
            self._canvas.unsetMapTool(self._map_tools[using])
        options, self._options = self._options, None
        if options is not None:
            options.restore()
        self._actions.check(TOOLS)
        self._follow()

    # looking

    def compare(self) -> None:
        """Compare on the map with the outline as predicted, or with the manual one."""
        self._map.set_comparison("predicted" if self._actions["compare"].isChecked() else "reference")

    def second_view(self) -> None:
        """Show or hide the second map."""
        self._toggle_view("second_view", lambda: SecondView(self._review, self._canvas, self._interface.mainWindow()))

    def profile(self) -> None:
        """Show or hide the profile along the fall line."""
        self._toggle_view("profile", lambda: ProfileView(self._review, self._canvas, self._interface.mainWindow()))

    def google_earth(self) -> None:
        """Open the place in Google Earth."""
        open_in_google_earth(self._review)

    def queue(self) -> None:
        """Move the keyboard to the queue."""
        self.queue_view.table.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def attributes(self) -> None:
        """Move the keyboard to the attributes."""
        self._open_group("attributes")
        self.attribute_form.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def confidence(self) -> None:
        """Move the keyboard to the histogram."""
        self._open_group("confidence")
        self.confidence_panel.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def changes(self) -> None:
        """Filter the queue to what a new detection changed."""
        self.queue_view.filter_bar.set_conditions(Filter(changes=frozenset(CHANGES)))

    def conflicts(self) -> None:
        """Filter the queue to what reviewers disagree on."""
        self.queue_view.filter_bar.set_conditions(Filter(conflicts_only=True))

    # how it is done

    def _decide(self, decide: Callable[[list[str]], None], told: str) -> None:
        """A decision on all selected outlines, then on to the next."""
        uids = self.queue_view.selected_uids()
        self.leave_tool()
        with OverrideCursor(Qt.CursorShape.WaitCursor):  # thousands of outlines take seconds
            decide(uids)
        if len(uids) > 1:
            self.said.emit(told.format(len(uids)), Qgis.MessageLevel.Success)
        self._go_on()

    def _decide_current(self, decide: Callable[[str], None]) -> None:
        self.leave_tool()
        decide(self._review.current)
        self._go_on()

    def _go_on(self) -> None:
        if not advances():
            return
        if self._review.queue.undecided(in_view=True):
            self._show_next(1, undecided=True)
        elif self._review.queue.undecided():
            self.said.emit(tr("All outlines that the filter shows are decided."), Qgis.MessageLevel.Success)
        else:
            self.all_decided.emit()

    def _show_next(self, step: int, undecided: bool) -> None:
        self.leave_tool()
        uid = self._review.queue.next_uid(self._review.current, step, undecided)
        if uid is not None:
            self._review.show(uid)
        elif undecided:
            self.said.emit(tr("No other outline that the filter shows is undecided."), Qgis.MessageLevel.Info)

    def _toggle_tool(self, name: str, start: Callable[[], None]) -> None:
        was, _ = self._using, self.leave_tool()
        if was == name:
            return
        self._options = EditingOptions(QgsProject.instance(), self._interface)
        self._using = name
        try:
            start()
        except ReviewError:
            self.leave_tool()
            raise
        self._escape.start()
        self._hint.show_text(tr("{}: Escape twice, or the button again, ends it").format(self._actions[name].text()))
        self._follow()

    def _start_editing(self) -> None:
        self._start_native(self._review.outlines, self._interface.actionVertexToolActiveLayer())
        self._review.outlines.selectByIds([self._review.queue.value_of(self._review.current, "fid")])

    def _start_restricted(self) -> None:
        uid = self._review.current
        if self._review.restricted_outline(uid).isEmpty():
            self._review.set_restricted(uid, self._review.outline(uid))
            self.said.emit(tr("It begins as the extended outline: move its front and margins inwards."), Qgis.MessageLevel.Info)
        self._start_native(self._review.restricted, self._interface.actionVertexToolActiveLayer())

    def _start_native(self, layer: Any, action: Any) -> None:
        self._options.edit(layer, (self._review.reference,))
        action.trigger()
        self._canvas.setFocus()

    def _notice_tool(self, tool: QgsMapTool | None, _before: QgsMapTool | None) -> None:
        """The person took another tool of QGIS's while one of ours was on."""
        if self._using in self._map_tools and tool is not self._map_tools[self._using]:
            self.leave_tool()
            self._canvas.setMapTool(tool)

    def _toggle_view(self, name: str, make: Callable[[], Any]) -> None:
        self._keep_width()
        if name not in self._views:
            view = self._views[name] = make()
            view.visibilityChanged.connect(lambda _visible: self._actions[name].setChecked(view.isVisible()))
            view.show_in(self._interface.mainWindow())
        else:
            self._views[name].setUserVisible(not self._views[name].isUserVisible())
        self._actions[name].setChecked(self._views[name].isUserVisible())

    def _keep_width(self) -> None:
        """QGIS shares the room of a view that comes or goes among its neighbours; this dock stays as wide as it is."""
        dock = self.parentWidget()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is not None and not dock.isFloating():
            window, width = self._interface.mainWindow(), dock.width()
            QTimer.singleShot(0, lambda: window.resizeDocks([dock], [width], Qt.Orientation.Horizontal))

    def _open_group(self, name: str) -> None:
        self._groups[name].setCollapsed(False)
        QApplication.processEvents()  # the group has its place only after that
        bar = self._scroll.verticalScrollBar()
        self._scroll.ensureWidgetVisible(self._groups[name])
        bar.setValue(min(bar.value(), self._groups[name].y()))  # what does not fit is cut off below

    def _follow(self, *_: Any) -> None:
        """Which commands can be used now."""
        lacks = self._lacking()
        if self._using in lacks:
            self.leave_tool()
        for name in self._views.keys() & lacks:
            self._views[name].setUserVisible(False)
        self._actions.withhold(lacks)
        uid = self._review.current
        met = {SESSION}
        if uid in self._review.queue:
            met.add(OUTLINE)
            if not self._using:
                met.add(RESTING)
            if self._review.queue.get(uid)["relation"] in MATCHED:
                met.add(MANUAL)
        self._actions.enable(met if self._is_awake else ())
        self._actions.describe("undo", self._review.undo_text())
        self._actions.describe("redo", self._review.redo_text())

    def _lacking(self) -> dict[str, str]:
        """Commands that need rasters which are not there, and why they cannot be used."""
        review, lacks = self._review, {}
        for name, why, rasters in (
            ("level", tr("The session has no probability raster."), ("probability",)),
            ("profile", tr("The session has no elevation model."), ("dem",)),
            ("snap", self._snap.why_not(), ("imagery", "dem")),
        ):
            if all(getattr(review, raster) is None for raster in rasters):
                lost = any(review.settings.get(raster) for raster in rasters)
                hint = tr("The one it was started with is not loaded: see that the file is there, and open the session again.")
                lacks[name] = f"{why}\n{hint}" if lost else why
        return lacks


class _Room(QScrollArea):
    """As high as what is in it, and never higher, and so is what it stands in: the queue gets what is left over.

    What it holds may grow, as when a group is opened: it grows along while it shows all, and leaves the queue a third.
    """

    def sizeHint(self) -> QSize:
        """Called by Qt."""
        return self.widget().sizeHint()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt for what is in it."""
        result = super().eventFilter(watched, event)
        if watched is self.widget() and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._fit()
        return result

    def _fit(self) -> None:
        inside, around = self.widget(), self.parentWidget()
        splitter = around.parentWidget()
        wanted = inside.heightForWidth(inside.width()) if inside.hasHeightForWidth() else inside.sizeHint().height()
        wanted += self.height() - self.viewport().height()  # a theme's frame
        if wanted == self.maximumHeight():
            return
        shows_all = self.height() >= min(wanted, self.maximumHeight())
        beside = around.minimumSizeHint().height() - self.minimumSizeHint().height()
        self.setMaximumHeight(wanted)
        around.setMaximumHeight(wanted + beside)
        if shows_all and isinstance(splitter, QSplitter):
            together = sum(splitter.sizes())
            own = min(wanted + beside, together - together // 3)
            splitter.setSizes([together - own, own])


class _DoubleEscape(QObject):
    """Escape twice on the map leaves a tool; once is the tool's own."""

    def __init__(self, canvas: QgsMapCanvas, leave: Callable[[], None]) -> None:
        super().__init__(canvas)
        self._canvas, self._leave = canvas, leave
        self._since = QElapsedTimer()

    def start(self) -> None:
        self._since.invalidate()
        self._canvas.installEventFilter(self)

    def stop(self) -> None:
        self._canvas.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt."""
        if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape and not event.isAutoRepeat():
            if self._since.isValid() and self._since.elapsed() < 2 * QApplication.doubleClickInterval():
                self._leave()
                return True
            self._since.start()
        return super().eventFilter(watched, event)


class _Hint(QgsFloatingWidget):
    """A line at the lower edge of the map, which the mouse goes through."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._label = QLabel()
        self._label.setFrameShape(QFrame.Shape.StyledPanel)
        self._label.setAutoFillBackground(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._label)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAnchorWidget(canvas)
        self.setAnchorPoint(QgsFloatingWidget.AnchorPoint.BottomMiddle)
        self.setAnchorWidgetPoint(QgsFloatingWidget.AnchorPoint.BottomMiddle)
        self.hide()

    def show_text(self, text: str) -> None:
        self._label.setText(text)
        self.adjustSize()
        self.show()


def advances() -> bool:
    """Whether a decision is followed by the next undecided outline."""
    return QgsSettings().value(ADVANCE_SETTING, True, type=bool)


def _group(name: str, title: str, widget: QWidget, into: QVBoxLayout) -> QgsCollapsibleGroupBox:
    group = QgsCollapsibleGroupBox(title)
    group.setObjectName(f"rockGlacierReview_{name}")  # by which QGIS remembers whether it is open
    group.setSettingGroup(GROUPS_SETTING)
    group.setSaveCollapsedState(True)
    group.setCollapsed(True)
    inside = QVBoxLayout(group)
    inside.setContentsMargins(4, 4, 4, 4)
    inside.addWidget(widget)
    into.addWidget(group)
    return group
