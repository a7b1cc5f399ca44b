"""The dock Rock Glacier Review: sessions are started, opened, worked in and closed here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable

from qgis.core import Qgis, QgsApplication, QgsProject, QgsSettings
from qgis.gui import QgsDockWidget
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QEvent, QObject, Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QAction,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...jobs import Job, MergeReviewsJob, UpdateReviewJob
from ...processing_provider.translation import tr
from .actions import Actions
from .adapt import AdaptDialog, TakeInDialog
from .adaptation import Adaptation
from .finish_dialog import FinishDialog
from .help_page import show_help
from .job_bar import JobBar
from .review_page import ADVANCE_SETTING, ReviewPage, advances
from .session import Review, ReviewError, left_in, session_name
from .start_page import SESSION_FILTER, StartPage
from .training_dialog import TrainingDialog

OWN_COMMANDS = ("finish", "training_data", "adapt", "take_in", "merge", "save", "close")
"""Commands on the session as a whole; the others are the page's."""
MENU = ("finish", "training_data", None, "adapt", "take_in", "changes", None, "merge", "conflicts", None, "save", "close")
SHORT_S, LONG_S = 5, 0
"""How long messages stay in the bar; 0: until they are closed."""


class ReviewDock(QgsDockWidget):
    """An empty page that explains itself, an open session, or an engine's job on a closed one."""

    def __init__(self, interface: Any, set_up_engine: Callable[[], None]) -> None:
        super().__init__(tr("Rock Glacier Review"), interface.mainWindow())
        self.setObjectName("RockGlacierReview")  # by which QGIS remembers where it was
        self._interface = interface
        self.review: Review | None = None
        self.page: ReviewPage | None = None
        self._offers: list[Any] = []
        self.commands = Actions(self, self._do, lambda reason: self._do("reject_for", reason))
        self.start_page = StartPage(set_up_engine)
        self.start_page.chosen.connect(lambda path: self.open_session(Path(path)))
        self.start_page.said.connect(self.say)
        self._compose()
        self.commands.register(interface)
        self.visibilityChanged.connect(self._sleep_or_wake)
        QgsProject.instance().aboutToBeCleared.connect(self.close_session)
        QgsProject.instance().readProject.connect(self._offer_to_open)
        self._quitting = _Quitting(self)
        for asked in (interface.mainWindow(), interface.actionExit()):
            asked.installEventFilter(self._quitting)
        self._offer_to_open()

    def release(self) -> None:
        """Close what is open and take away all that the dock gave to QGIS."""
        self.close_session()
        self._close_page()
        self.bar.cancel()
        self.start_page.release()
        for asked in (self._interface.mainWindow(), self._interface.actionExit()):
            asked.removeEventFilter(self._quitting)
        QgsProject.instance().aboutToBeCleared.disconnect(self.close_session)
        QgsProject.instance().readProject.disconnect(self._offer_to_open)
        self.commands.unregister()

    def open_session(self, path: Path) -> None:
        """Open a session, an open one is closed before; what is wrong is said."""
        self.close_session()
        if self.review is not None:
            return
        try:
            review = Review(path, self.start_page.operator, QgsProject.instance())
        except ReviewError as error:
            self.say(str(error), Qgis.MessageLevel.Critical)
            return
        self.review = review
        review.said.connect(self.say)
        review.closed.connect(self._close_page)
        with QgsProject.blockDirtying(QgsProject.instance()):  # QGIS moves the map to a project's first layers: before the page does
            self._interface.layerTreeCanvasBridge().setCanvasLayers()
        self.page = ReviewPage(self._interface, review, self.commands)
        self.page.said.connect(self.say)
        self.page.all_decided.connect(self._offer_to_finish)
        self._name.setText(session_name(path))
        self._name.setToolTip(str(path))
        self._room.addWidget(self.page)
        self._pages.setCurrentWidget(self._session)
        self.start_page.remember(path)
        if not review.current and len(review.queue):
            review.show(review.queue.uid_at(0))
        if review.discarded:
            count = len({number for numbers in review.discarded.values() for number in numbers})
            text = tr("{} edits were discarded when the session was open last.").format(count)
            self._say_with_button(text, tr("Bring them back"), self.commands["redo"].trigger)
        if review.inputs_changed:  # after what the review itself has to say about it
            QTimer.singleShot(0, self._offer_to_update)

    def close_session(self) -> None:
        """Save and close the session, if one is open; it stays open where nothing can be written."""
        if self.review is not None:
            self.page.leave_tool()
            self.review.close()  # and the page with it

    def save_session(self) -> None:
        """Write the outlines to the session's file, so that QGIS does not ask about them."""
        if self.review is not None and self.review.is_open:
            if self.page is not None:
                self.page.leave_tool()
            self.review.save()

    def say(self, text: str, level: Qgis.MessageLevel = Qgis.MessageLevel.Info) -> None:
        """Put a text into the message bar."""
        is_short = level in (Qgis.MessageLevel.Info, Qgis.MessageLevel.Success)
        self._interface.messageBar().pushMessage(tr("Review"), text, level, SHORT_S if is_short else LONG_S)

    # commands on the session as a whole

    def finish(self) -> None:
        """Ask what is wanted and write it."""
        self._show_dialog(FinishDialog(self.review, self))

    def training_data(self) -> None:
        """Ask for the stacks and write samples."""
        self._show_dialog(TrainingDialog(self.review, self))

    def adapt(self) -> None:
        """Ask for the model to start from, and learn from the session."""
        if self.learning.is_busy:
            raise ReviewError(tr("A model is being adapted already. Wait for it, or cancel it below the session's name."))
        dialog = AdaptDialog(self.review, self.training_data, self.take_in, self)
        dialog.accepted.connect(lambda: self._adapt(dialog))
        self._show_dialog(dialog)

    def take_in(self) -> None:
        """Ask for a new detection and take it into the session."""
        dialog = TakeInDialog(self.review, self)
        dialog.accepted.connect(lambda: self._take_in(dialog))
        self._show_dialog(dialog)

    def update_inputs(self) -> None:
        """Bring the input layers, which changed meanwhile, into the session."""
        path = str(self.review.path)
        self._work(tr("Bringing the changed layers into the session"), UpdateReviewJob(path, path))

    def merge(self) -> None:
        """Ask for another person's session and merge it with this one to a third."""
        path = self.review.path
        other, _ = QFileDialog.getOpenFileName(self, tr("The other person's session"), str(path.parent), SESSION_FILTER)
        if not other:
            return
        suggestion = str(path.with_name(f"{path.stem}_merged.gpkg"))
        merged, _ = QFileDialog.getSaveFileName(self, tr("Keep the merged session in"), suggestion, SESSION_FILTER)
        if merged:
            job = MergeReviewsJob((str(path), other), str(Path(merged).with_suffix(".gpkg")))
            self._work(tr("Merging the sessions"), job, Path(job.output))

    def save(self) -> None:
        """Write the outlines to the session's file."""
        self.save_session()
        self.say(tr("Saved."), Qgis.MessageLevel.Success)

    # how it is done

    def _do(self, name: str, *what: str) -> None:
        if self.page is None or self.review is None:
            return
        try:
            if name == "close":
                self.close_session()
            elif name in OWN_COMMANDS:
                getattr(self, name)()
            else:
                self.page.do(name, *what)
        except ReviewError as error:
            self.say(str(error), Qgis.MessageLevel.Warning)

    def _adapt(self, dialog: AdaptDialog) -> None:
        """In the background, while the session is open."""
        adaptation = Adaptation(self.review, dialog.order(), self.learning, self.page)
        adaptation.said.connect(self.say)
        adaptation.got_worse.connect(lambda why: self._say_with_button(why, tr("Detect anyway"), adaptation.detect))
        adaptation.detected.connect(self._take_in_adapted)
        try:
            adaptation.start()
        except ReviewError as error:
            self.say(str(error), Qgis.MessageLevel.Warning)

    def _take_in_adapted(self, job: UpdateReviewJob) -> None:
        """At once, unless something is half drawn."""
        take_in = partial(self._work, tr("Taking in the new detection"), job)
        if self.page.is_at_rest:
            take_in()
        else:
            self._say_with_button(tr("The adapted model has detected anew."), tr("Take it in"), take_in)

    def _take_in(self, dialog: TakeInDialog) -> None:
        try:
            job, told = dialog.job()
        except ReviewError as error:
            self.say(str(error), Qgis.MessageLevel.Warning)
            return
        if told:
            self.say(told)
        self._work(tr("Taking in the new detection"), job)

    def _work(self, description: str, job: Job, then_open: Path | None = None) -> None:
        """Run a job on the saved and closed session, and open it again, or the one that the job wrote, whatever comes of it."""
        if self.learning.is_busy:
            self.say(tr("A model is being adapted to this session. Wait for it, or cancel it first."), Qgis.MessageLevel.Warning)
            return
        path = self.review.path
        self.close_session()
        if self.review is not None:
            return
        self._pages.setCurrentWidget(self._busy)

        def done(result: dict[str, Any], warnings: list[str]) -> None:
            self.open_session(then_open or path)
            for text in warnings:
                self.say(text, Qgis.MessageLevel.Warning)
            if self.review is not None:
                self._say_what_came(result)

        def failed(text: str) -> None:
            self.open_session(path)
            self.say(text, Qgis.MessageLevel.Critical)

        self.bar.run(description, job, done, failed, lambda: self.open_session(path))

    def _say_what_came(self, result: dict[str, Any]) -> None:
        """Of an update or a merge."""
        sides = [result[side] for side in ("predicted", "manual") if isinstance(result.get(side), dict)]
        found, lost, moved = (sum(side.get(change, 0) for side in sides) for change in ("found", "lost", "moved"))
        if result.get("conflicts"):
            text = tr("{} outlines are undecided again because the reviewers disagree.").format(result["conflicts"])
            self._say_with_button(text, tr("Show them"), self.commands["conflicts"].trigger)
        elif found or lost or moved:
            text = tr("{} outlines found, {} lost, {} moved.").format(found, lost, moved)
            if found or moved:
                self._say_with_button(text, tr("Show them"), self.commands["changes"].trigger)
            else:
                self.say(text)
        else:
            self.say(tr("The sessions are merged.") if "conflicts" in result else tr("Nothing has changed."), Qgis.MessageLevel.Success)

    def _sleep_or_wake(self, *_: Any) -> None:
        """Put away is not the same as behind another dock's tab."""
        if self.page is not None:
            self.page.set_awake(not self.isHidden())

    def _offer_to_finish(self) -> None:
        self._say_with_button(tr("All outlines are decided."), tr("Finish…"), self.commands["finish"].trigger)

    def _offer_to_open(self, *_: Any) -> None:
        """A project that was saved with a review shows its layers, but what is done to them is in no journal."""
        for _group, path in left_in(QgsProject.instance()):
            text = tr("This project was saved with the review {}.").format(session_name(path))
            self._say_with_button(text, tr("Open the review"), partial(self.open_session, path))

    def _offer_to_update(self) -> None:
        if self.review is not None:
            text = tr("Take the changed layers into the session? No decision is changed.")
            self._say_with_button(text, tr("Update"), self.update_inputs)

    def _say_with_button(self, text: str, button_text: str, do: Callable[[], None]) -> None:
        bar = self._interface.messageBar()
        item = bar.createMessage(tr("Review"), text)
        button = QPushButton(button_text)
        button.clicked.connect(lambda: (bar.popWidget(item), do()))
        item.layout().addWidget(button)
        self._offers.append(item)
        bar.pushWidget(item, Qgis.MessageLevel.Info)

    def _withdraw_offers(self) -> None:
        """They speak of the session or the project that was open."""
        offers, self._offers = self._offers, []
        for item in offers:
            if not sip.isdeleted(item):
                self._interface.messageBar().popWidget(item)

    def _show_dialog(self, dialog: Any) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def _close_page(self) -> None:
        """The page goes with its session, whoever closed it."""
        page, self.page, self.review = self.page, None, None
        self._withdraw_offers()
        self.learning.cancel()
        if page is not None:
            page.release()
            self._room.removeWidget(page)
            page.hide()
            page.deleteLater()
            self._pages.setCurrentWidget(self.start_page)

    def _compose(self) -> None:
        self._name = QLabel()
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        finish = QToolButton()
        finish.setDefaultAction(self.commands["finish"])
        finish.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        more = QToolButton()
        more.setIcon(QgsApplication.getThemeIcon("/mIconHamburgerMenu.svg"))
        more.setText(tr("Menu"))
        more.setToolTip(tr("What can be done with the session"))
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setMenu(self._make_menu(more))
        header = QHBoxLayout()
        for widget, stretch in ((self._name, 1), (finish, 0), (more, 0)):
            header.addWidget(widget, stretch)
        self._session = QWidget()
        self._room = QVBoxLayout(self._session)
        self._room.setContentsMargins(4, 4, 4, 4)
        self._room.addLayout(header)
        self.learning = JobBar()
        self._room.addWidget(self.learning)
        self._busy = QWidget()
        self.bar = JobBar()
        waiting = QLabel(tr("The session is saved and closed meanwhile; it opens again by itself."))
        waiting.setWordWrap(True)
        layout = QVBoxLayout(self._busy)
        layout.addWidget(waiting)
        layout.addWidget(self.bar)
        layout.addStretch(1)
        self._pages = QStackedWidget()
        for page in (self.start_page, self._session, self._busy):
            self._pages.addWidget(page)
        self.setWidget(self._pages)

    def _make_menu(self, parent: QWidget) -> QMenu:
        menu = QMenu(parent)
        for name in MENU:
            if name is None:
                menu.addSeparator()
            else:
                menu.addAction(self.commands[name])
        go_on = QAction(tr("After a decision, go on to the next outline"), menu)
        go_on.setCheckable(True)
        go_on.setChecked(advances())
        go_on.toggled.connect(lambda on: QgsSettings().setValue(ADVANCE_SETTING, on))
        menu.insertAction(self.commands["save"], go_on)
        menu.addSeparator()
        menu.addAction(QgsApplication.getThemeIcon("/mActionHelpContents.svg"), tr("How a review goes"), show_help)
        return menu


class _Quitting(QObject):
    """Saves the session before QGIS, on its way out, would ask what to do with layers that are being edited."""

    def __init__(self, dock: ReviewDock) -> None:
        super().__init__(dock)
        self._dock = dock

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Called by Qt for the main window that is closed, and for the key of Project > Exit QGIS."""
        if event.type() in (QEvent.Type.Close, QEvent.Type.Shortcut):
            try:
                self._dock.save_session()
            except ReviewError as error:
                self._dock.say(str(error), Qgis.MessageLevel.Critical)
        return super().eventFilter(watched, event)
