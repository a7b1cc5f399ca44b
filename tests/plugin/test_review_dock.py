"""The review dock: sessions opened and closed on every way, each command on a real session, tools that give back what they took."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
from qgis.core import Qgis, QgsFeature, QgsGeometry, QgsPointXY, QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtCore import QEvent, QItemSelectionModel, QObject, Qt
from qgis.PyQt.QtGui import QCloseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QDialog, QFileDialog, QLabel, QPushButton, QToolButton

from tests.plugin.interface import Interface
from tests.plugin.reviews import make_review
from tests.plugin.samples import square

SLOWEST_MS = 20_000
SELECT_ROW = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows


@pytest.fixture
def interface(qgis_parent, qtbot, qgis_new_project):
    for group in ("rock_glacier_mapper/review", "QgsCollapsibleGroupBox/rock_glacier_mapper/review"):
        QgsSettings().remove(group)
    interface = Interface()
    qtbot.addWidget(interface.mainWindow())
    return interface


@pytest.fixture
def dock(module, interface):
    dock = module("dialogs.review.dock").ReviewDock(interface, lambda: None)
    dock.start_page._operator.setText("Ada")
    interface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    yield dock
    dock.release()


@pytest.fixture
def path(tmp_path):
    return make_review(tmp_path)


@pytest.fixture
def window(interface, dock, qtbot):
    """The main window, active."""
    window = interface.mainWindow()
    with qtbot.waitExposed(window):
        window.show()
    dock.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


@pytest.fixture
def opened(dock, path):
    """The dock with a session of which the first outline is looked at."""
    dock.open_session(path)
    dock.review.show(dock.review.queue.uid_at(0))
    return dock


def do(dock, name):
    assert dock.commands[name].isEnabled(), f"{name} is off: {dock.commands[name].toolTip()}"
    dock.commands[name].trigger()


def status(dock, uid):
    return dock.review.queue.get(uid)["status"]


def uid_of(dock, relation):
    queue = dock.review.queue
    return next(queue.uid_at(position) for position in range(len(queue)) if queue.value(position, "relation") == relation)


def with_button(interface, text):
    """The button of this text in the message bar."""
    return next(
        button
        for item in interface.messageBar().items()
        for button in item.findChildren(QPushButton)
        if button.text() == text and not button.isHidden()
    )


class TestSessions:
    """Open and close."""

    def test_opened_it_is_shown_and_remembered(self, dock, path):
        assert not dock.commands["accept"].isEnabled()
        dock.open_session(path)
        assert dock._pages.currentWidget() is dock._session and dock.page.queue_view.model.rowCount() == 16
        assert dock.review.current == dock.review.queue.uid_at(0)
        assert dock.review.operator == "Ada" and dock.commands["next"].isEnabled()
        assert dock.start_page._recent.item(0).data(Qt.ItemDataRole.UserRole) == str(path)

    def test_closed_everything_is_given_back_and_it_opens_where_it_was(self, dock, path, interface):
        dock.open_session(path)
        items = len(interface.mapCanvas().scene().items())
        dock.close_session()
        before = len(interface.mapCanvas().scene().items())
        assert before < items and not QgsProject.instance().mapLayers()
        assert dock._pages.currentWidget() is dock.start_page and not dock.commands["next"].isEnabled()
        dock.open_session(path)
        uid = dock.review.queue.uid_at(4)
        dock.review.show(uid)
        do(dock, "close")
        assert len(interface.mapCanvas().scene().items()) == before
        dock.open_session(path)
        assert dock.review.current == uid

    def test_the_queue_gets_the_room_that_the_rest_does_not_need(self, dock, window, path, qtbot):
        window.resize(1200, 1000)
        dock.open_session(path)
        room, table = dock.page._scroll, dock.page.queue_view.table
        room.setStyleSheet("QScrollArea { border: 3px solid; }")  # as themes have it
        qtbot.waitUntil(lambda: room.height() == room.widget().height() + 6)
        before = table.height()
        do(dock, "level")
        qtbot.waitUntil(lambda: table.height() < before and room.height() == room.widget().height() + 6)
        dock.page._groups["level"].setCollapsed(True)
        qtbot.waitUntil(lambda: table.height() == before)

    def test_a_group_that_is_opened_is_seen_from_its_title_on(self, dock, window, path, qtbot):
        window.resize(1200, 600)
        dock.open_session(path)
        do(dock, "attributes")
        page = dock.page
        group, bar = page._groups["attributes"], page._scroll.verticalScrollBar()
        assert group.height() > page._scroll.height() and bar.value() == group.y()

    def test_decisions_stay_in_sight(self, dock, window, path, qtbot):
        window.resize(1200, 550)
        dock.open_session(path)
        do(dock, "attributes")
        bar = dock.page._scroll.verticalScrollBar()
        bar.setValue(bar.maximum())
        for name in ("accept", "reject", "keep_both"):
            (button,) = [button for button in dock.findChildren(QToolButton) if button.defaultAction() is dock.commands[name]]
            assert button.visibleRegion().boundingRect() == button.rect()

    def test_another_one_closes_the_first(self, dock, path, tmp_path):
        (tmp_path / "other").mkdir()
        other = make_review(tmp_path / "other")
        dock.open_session(path)
        first = dock.review
        dock.open_session(other)
        assert not first.is_open and dock.review.path == other
        dock.open_session(path)
        assert dock.review.path == path

    def test_what_is_no_session_is_said(self, dock, tmp_path, interface):
        (tmp_path / "no.gpkg").write_text("text")
        dock.open_session(tmp_path / "no.gpkg")
        assert interface.texts(Qgis.MessageLevel.Critical) and dock.review is None
        assert dock._pages.currentWidget() is dock.start_page

    def test_a_new_project_closes_it(self, opened, path):
        uid = opened.review.current
        do(opened, "accept")
        QgsProject.instance().clear()
        assert opened.review is None and opened._pages.currentWidget() is opened.start_page
        opened.open_session(path)
        assert status(opened, uid) == "accepted"

    def test_a_layer_of_it_that_is_removed_closes_it(self, opened, path, interface, qtbot):
        uid = opened.review.current
        do(opened, "accept")
        QgsProject.instance().removeMapLayer(opened.review.outlines.id())
        qtbot.waitUntil(lambda: not QgsProject.instance().mapLayers(), timeout=SLOWEST_MS)
        assert opened.review is None
        assert opened._pages.currentWidget() is opened.start_page
        opened.open_session(path)
        assert status(opened, uid) == "accepted"

    def test_put_away_it_rests(self, opened, window, interface):
        interface.actionAddFeature().trigger()
        tool = interface.mapCanvas().mapTool()
        do(opened, "edit")
        opened.close()
        assert interface.mapCanvas().mapTool() is tool and opened.review.is_open
        assert not opened.commands["accept"].isEnabled() and not opened.commands["next"].isEnabled()
        opened.setUserVisible(True)
        assert opened.commands["accept"].isEnabled()

    def test_when_qgis_closes_nothing_is_left_to_ask_about(self, opened, interface):
        do(opened, "accept")
        assert opened.review.outlines.isModified()
        QApplication.sendEvent(interface.mainWindow(), QCloseEvent())
        assert not opened.review.outlines.isModified()

    def test_what_is_unfinished_is_settled_before_it_closes(self, opened, path, window, qtbot):
        uid, review = opened.review.current, opened.review
        before = review.outline(uid).area()
        step_level(opened, qtbot)
        type_into(opened.page.attribute_form.widgets["imagery"], "Planet")
        type_into(opened.page.panel._comment, "steep")
        opened.close_session()
        opened.open_session(path)
        feature = opened.review.feature(uid)
        assert opened.review.outline(uid).area() < before and feature["status"] == "edited"
        assert (feature["imagery"], feature["comment"]) == ("Planet", "steep")

    def test_what_is_unfinished_is_settled_before_qgis_closes(self, opened, window, interface, qtbot):
        uid, before = opened.review.current, opened.review.outline(opened.review.current).area()
        step_level(opened, qtbot)
        type_into(opened.page.attribute_form.widgets["imagery"], "Planet")
        QApplication.sendEvent(interface.mainWindow(), QCloseEvent())
        assert opened.review.outline(uid).area() < before and opened.review.feature(uid)["imagery"] == "Planet"
        assert not opened.review.outlines.isModified()

    def test_what_cannot_be_written_anywhere_keeps_it_open(self, opened, path, tmp_path, interface, monkeypatch, module):
        other = make_review(tmp_path, "other.gpkg")
        error, journal_error = module("dialogs.review.session").ReviewError, module("dialogs.review.journal").JournalError

        def full(kind):
            def fail(*_):
                raise kind("disk full.")

            return fail

        with monkeypatch.context() as patch:
            patch.setattr(opened.review, "save", full(error))
            patch.setattr(opened.review._journal, "write", full(journal_error))
            do(opened, "accept")
            review = opened.review
            for leave in (opened.close_session, lambda: opened.open_session(other), opened.update_inputs):
                leave()
                assert opened.review is review and review.is_open and opened._pages.currentWidget() is opened._session
            interface.messageBar().clearWidgets()
            QApplication.sendEvent(interface.mainWindow(), QCloseEvent())
            assert interface.texts(Qgis.MessageLevel.Critical) == ["disk full."]
        opened.close_session()
        assert opened.review is None and opened._pages.currentWidget() is opened.start_page

    def test_a_project_that_was_saved_with_it_offers_it(self, opened, path, tmp_path, interface, qtbot):
        project = QgsProject.instance()
        assert project.write(str(tmp_path / "project.qgz"))
        interface.messageBar().clearWidgets()
        opened.close_session()
        project.read(str(tmp_path / "project.qgz"))
        with_button(interface, "Open the review").click()
        assert opened.review is not None and opened.review.path == path and interface.texts() == []
        project.clear()
        assert opened.review is None

    def test_what_was_discarded_is_offered(self, opened, path, interface, qtbot):
        uid = opened.review.current
        do(opened, "accept")
        opened.review.outlines.rollBack()
        qtbot.waitUntil(opened.review.outlines.isEditable)
        opened.close_session()
        interface.messageBar().clearWidgets()
        opened.open_session(path)
        button = next(one for item in interface.messageBar().items() for one in item.findChildren(QPushButton) if "Bring" in one.text())
        button.click()
        assert status(opened, uid) == "accepted"

    def test_nothing_of_it_stays_with_the_map(self, dock, path, interface):
        def ours():
            names = (child.metaObject().className() for child in interface.mapCanvas().findChildren(QObject))
            return [name for name in names if not name.startswith("Q")]

        dock.open_session(path)
        do(dock, "snap")
        assert "SnapTool" in ours()
        dock.close_session()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        assert ours() == []

    def test_released_the_plugin_can_be_loaded_again(self, module, interface, path):
        for _ in range(2):
            dock = module("dialogs.review.dock").ReviewDock(interface, lambda: None)
            dock.open_session(path)
            assert dock.review.is_open
            dock.release()
            assert dock.review is None and not QgsProject.instance().mapLayers()

    def test_without_manual_layer_and_rasters(self, dock, tmp_path):
        dock.open_session(make_review(tmp_path, manual=False, probability=False, imagery=False, dem=False))
        do(dock, "next")
        for name, why in (("level", "probability"), ("profile", "elevation"), ("snap", "imagery")):
            assert not dock.commands[name].isEnabled() and why in dock.commands[name].toolTip()
        assert not dock.commands["take_manual"].isEnabled() and dock.commands["edit"].isEnabled()
        assert dock.page.panel._figure_labels[1, 1].text() == "–"

    @pytest.mark.parametrize(
        ("rasters", "off"), [(("probability",), ["level"]), (("dem",), ["profile"]), (("imagery", "dem"), ["profile", "snap"])]
    )
    def test_a_raster_that_is_removed_takes_its_commands_along(self, opened, path, rasters, off):
        names = ("level", "profile", "snap")
        for name in off:
            do(opened, name)
        for raster in rasters:
            QgsProject.instance().removeMapLayer(getattr(opened.review, raster).id())
        assert [name for name in names if not opened.commands[name].isEnabled()] == off
        assert all("open the session again" in opened.commands[name].toolTip() for name in off)
        assert not any(opened.commands[name].isChecked() for name in off) and not opened.page._using
        opened.close_session()
        opened.open_session(path)
        assert all(opened.commands[name].isEnabled() for name in names)


def test_started_from_layers_of_the_project(engine, dock, tmp_path, qtbot, interface):
    make_review(tmp_path, "first.gpkg")
    for name in ("predicted", "manual"):
        QgsProject.instance().addMapLayer(QgsVectorLayer(f"{tmp_path / name}.gpkg|layername={name}", f"{name} outlines", "ogr"))
    for name in ("imagery", "probability", "dem"):
        QgsProject.instance().addMapLayer(QgsRasterLayer(f"{tmp_path / name}.tif", name))
    dock.start_page._show_engine()
    dock.start_page._start.click()
    qtbot.waitUntil(lambda: dock.review is not None, timeout=60_000)
    review = dock.review
    assert review.path == tmp_path / "review.gpkg" and review.queue.total == 16
    assert (review.imagery.name(), review.probability.name(), review.dem.name()) == ("imagery", "probability", "dem")
    relations = review.queue.relations()
    assert (relations["missed"], relations["false"], relations["n-1"]) == (2, 3, 2)


def step_level(dock, qtbot):
    """One key on the level's slider, which waits for more."""
    do(dock, "level")
    control = dock.page.level_control
    qtbot.waitUntil(control._slider.isEnabled, timeout=SLOWEST_MS)
    QTest.keyClick(control._slider, Qt.Key.Key_Right)


def type_into(field, text):
    """Without leaving the field."""
    field.setText(text)
    field.setModified(True)


class TestDecisions:
    """Commands on an outline, and what comes next."""

    def test_a_step_of_the_level_comes_before_the_decision(self, opened, window, qtbot):
        uid, before = opened.review.current, opened.review.outline(opened.review.current).area()
        step_level(opened, qtbot)
        do(opened, "reject_other")
        qtbot.wait(opened.page.level_control._settling.interval() + 50)
        assert opened.review.outline(uid).area() < before and status(opened, uid) == "rejected"

    @pytest.mark.parametrize(
        ("command", "expected"),
        [("accept", "accepted"), ("uncertain", "uncertain"), ("reject_moraine", "rejected"), ("take_manual", "replaced")],
    )
    def test_each_is_one_command_and_goes_on(self, opened, command, expected):
        uid, review = opened.review.current, opened.review
        before = review.outlines.undoStack().count()
        do(opened, command)
        assert status(opened, uid) == expected and review.outlines.undoStack().count() == before + 1
        assert review.current == review.queue.uid_at(1)
        do(opened, "undo")
        assert status(opened, uid) == "unreviewed"
        do(opened, "redo")
        assert status(opened, uid) == expected

    def test_a_reason_is_kept(self, opened):
        uid = opened.review.current
        opened.commands.reasons.actions()[1].trigger()
        assert opened.review.queue.get(uid)["reason"] == "moraine"

    def test_keep_both(self, opened):
        uid = opened.review.current
        do(opened, "keep_both")
        assert status(opened, uid) == "accepted" and opened.review.queue.counts()["added"] == 1

    def test_reopen_stays_where_it_is(self, opened):
        uid = opened.review.current
        do(opened, "accept")
        opened.review.show(uid)
        do(opened, "reset")
        assert status(opened, uid) == "unreviewed" and opened.review.current == uid

    def test_who_wants_to_stay_stays(self, opened, module):
        QgsSettings().setValue(module("dialogs.review.review_page").ADVANCE_SETTING, False)
        uid = opened.review.current
        do(opened, "accept")
        assert opened.review.current == uid

    def test_who_rejects_is_asked_for_the_reason(self, opened, window, qtbot):
        uid = opened.review.current
        do(opened, "reject")
        assert status(opened, uid) == "unreviewed" and QApplication.activePopupWidget() is opened.commands.reasons
        qtbot.keyClick(opened.commands.reasons, Qt.Key.Key_7)
        assert opened.review.queue.get(uid)["reason"] == "shadow"

    def test_all_selected_ones_at_once(self, opened, interface):
        opened.page.queue_view.table.selectAll()
        do(opened, "accept")
        assert opened.review.queue.counts().get("unreviewed", 0) == 0
        assert "16 outlines accepted" in interface.texts() and "All outlines are decided." in interface.texts()
        do(opened, "undo")
        assert opened.review.queue.counts() == {"unreviewed": 16}

    @pytest.mark.parametrize(("command", "expected"), [("accept", "added"), ("reject_talus", "rejected")])
    def test_200_at_once_and_undone(self, opened, path, interface, command, expected):
        layer, queue = opened.review.outlines, opened.review.queue
        layer.beginEditCommand("Features pasted")
        for number in range(200):
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromWkt(square(600000 + 20 * number, 3090000, 10)))
            layer.addFeature(feature)
        layer.endEditCommand()
        rows = {queue.uid_at(position): queue.row_at(position) for position in range(len(queue))}
        opened.review.reset([uid for uid, row in rows.items() if row["source"] == "added"])
        opened.page.queue_view.refresh()
        table = opened.page.queue_view.table
        table.clearSelection()
        for position in range(len(queue)):
            if queue.value(position, "source") == "added":
                table.selectionModel().select(table.model().index(position, 0), SELECT_ROW)
        chosen = opened.page.queue_view.selected_uids()
        others = {uid: queue.get(uid) for uid in rows if uid not in chosen}
        steps = layer.undoStack().count()
        do(opened, command)
        assert len(chosen) == 200 and {status(opened, uid) for uid in chosen} == {expected}
        assert {uid: queue.get(uid) for uid in others} == others and layer.undoStack().count() == steps + 1
        assert any(text.startswith("200 outlines") for text in interface.texts())
        do(opened, "undo")
        assert {status(opened, uid) for uid in chosen} == {"unreviewed"} and len(queue) == 216
        do(opened, "redo")
        opened.close_session()
        opened.open_session(path)
        assert {status(opened, uid) for uid in chosen} == {expected}

    def test_next_and_previous_go_round(self, opened):
        first = opened.review.current
        do(opened, "next")
        assert opened.review.current == opened.review.queue.uid_at(1)
        do(opened, "previous")
        do(opened, "previous")
        assert opened.review.current == opened.review.queue.uid_at(15) != first

    def test_next_undecided_passes_over_what_is_decided(self, opened):
        opened.review.accept([opened.review.queue.uid_at(1)])
        do(opened, "next_undecided")
        assert opened.review.current == opened.review.queue.uid_at(2)

    def test_nothing_to_take_from_the_manual_layer(self, opened):
        opened.review.show(uid_of(opened, "false"))
        assert not opened.commands["take_manual"].isEnabled() and opened.commands["accept"].isEnabled()

    def test_what_cannot_be_is_said(self, opened, interface, monkeypatch, module):
        error = module("dialogs.review.session").ReviewError

        def refuse(_uids):
            raise error("The disk is full.")

        monkeypatch.setattr(opened.review, "accept", refuse)
        do(opened, "accept")
        assert interface.said == [("The disk is full.", Qgis.MessageLevel.Warning)]


class TestComment:
    """Written with the keyboard alone."""

    def test_enter_keeps_it_and_escape_does_not(self, opened, window, interface, qtbot):
        uid = opened.review.current
        line = opened.page.panel._comment
        interface.mapCanvas().setFocus()
        QTest.keyClick(interface.mapCanvas(), Qt.Key.Key_C)
        qtbot.waitUntil(line.hasFocus)
        QTest.keyClicks(line, "a nice front")
        QTest.keyClick(line, Qt.Key.Key_Return)
        assert opened.review.feature(uid)["comment"] == "a nice front" and not line.hasFocus()
        QTest.keyClick(interface.mapCanvas(), Qt.Key.Key_C)
        QTest.keyClicks(line, "nonsense")
        QTest.keyClick(line, Qt.Key.Key_Escape)
        assert opened.review.feature(uid)["comment"] == "a nice front" and line.text() == "a nice front"
        assert status(opened, uid) == "unreviewed"

    def test_one_that_is_being_written_stays_with_its_outline(self, opened, window, interface, qtbot):
        uid = opened.review.current
        do(opened, "comment")
        line = opened.page.panel._comment
        qtbot.waitUntil(line.hasFocus)
        QTest.keyClicks(line, "half")
        opened.review.show(opened.review.queue.uid_at(3))
        assert opened.review.feature(uid)["comment"] == "half"
        assert not opened.review.feature(opened.review.current)["comment"]


class TestFigures:
    """Live, and again after each edit."""

    def test_against_manual_and_against_predicted(self, opened, qtbot):
        panel, review = opened.page.panel, opened.review
        texts = {place: label.text() for place, label in panel._figure_labels.items()}
        assert texts[1, 1] == f"{36 / 44:.2f}" and texts[2, 1] == "+0.0 %" and texts[1, 2] == "1.00" and texts[3, 2] == "0.0 m"
        assert panel._area.text().startswith("0.0400")
        uid = review.current
        box = review.outline(uid).boundingBox()
        review.set_outline(uid, QgsGeometry.fromWkt(square(box.xMinimum(), box.yMinimum(), 100)), "edit")
        qtbot.waitUntil(lambda: panel._area.text().startswith("0.0100"), timeout=SLOWEST_MS)
        assert panel._figure_labels[2, 2].text() == "−75.0 %" and panel._figure_labels[1, 2].text() == "0.25"
        do(opened, "undo")
        qtbot.waitUntil(lambda: panel._area.text().startswith("0.0400"), timeout=SLOWEST_MS)

    def test_without_a_manual_outline_there_is_no_figure(self, opened):
        opened.review.show(uid_of(opened, "false"))
        assert opened.page.panel._figure_labels[1, 1].text() == "–" and opened.page.panel._figure_labels[1, 2].text() == "1.00"

    def test_what_is_said_of_it(self, opened):
        review, panel = opened.review, opened.page.panel
        assert "1 of 16" in panel._name.text() and "unreviewed" in panel._name.text() and panel._notice.isHidden()
        QgsSettings().setValue("rock_glacier_mapper/review/advance", False)
        do(opened, "reject_snow")
        assert "rejected" in panel._name.text() and "snow" in panel._notice.text() and not panel._notice.isHidden()
        review.show("")
        assert panel._name.text() == "No outline is chosen"


class TestTools:
    """Each takes what it needs and gives it back on every way out."""

    @pytest.fixture
    def others(self, opened, interface):
        """A map tool and a layer of the person's own."""
        interface.actionAddFeature().trigger()
        tool, layer = interface.mapCanvas().mapTool(), opened.review.reference
        interface.setActiveLayer(layer)
        return tool, layer

    @staticmethod
    def tool_of(interface):
        return interface.mapCanvas().mapTool().objectName()

    @pytest.mark.parametrize("way", ["edit", "next", "accept", "escape", "close"])
    def test_edit_and_every_way_out_of_it(self, opened, others, interface, window, way, qtbot):
        uid, review = opened.review.current, opened.review
        was = QgsProject.instance().snappingConfig().mode()
        do(opened, "edit")
        assert QgsProject.instance().snappingConfig().mode() != was
        assert opened.commands["edit"].isChecked() and self.tool_of(interface) == "vertex"
        assert interface.activeLayer() is review.outlines and [f["uid"] for f in review.outlines.selectedFeatures()] == [uid]
        if way == "escape":
            for _ in range(2):
                QTest.keyClick(interface.mapCanvas(), Qt.Key.Key_Escape)
        else:
            do(opened, way)
        assert interface.mapCanvas().mapTool() is others[0] and QgsProject.instance().snappingConfig().mode() == was
        assert not opened.commands["edit"].isChecked()
        if way != "close":
            assert interface.activeLayer() is others[1] and not review.outlines.selectedFeatureCount()

    def test_one_escape_is_the_tools_own(self, opened, interface, window):
        do(opened, "edit")
        QTest.keyClick(interface.mapCanvas(), Qt.Key.Key_Escape)
        assert opened.commands["edit"].isChecked()

    def test_what_is_edited_then_is_edited(self, opened, interface):
        uid, review = opened.review.current, opened.review
        do(opened, "edit")
        fid = review.queue.get(uid)["fid"]
        review.outlines.beginEditCommand("Moved vertex")
        review.outlines.changeGeometry(fid, QgsGeometry.fromWkt(square(600000, 3099000, 250)))
        review.outlines.endEditCommand()
        assert status(opened, uid) == "edited"
        do(opened, "accept")
        assert status(opened, uid) == "edited"

    @pytest.mark.parametrize("name", ["edit", "add", "split", "snap", "restricted"])
    def test_how_to_leave_it_is_said_while_it_is_on(self, opened, window, interface, name):
        do(opened, name)
        (said,) = [label.text() for label in interface.mapCanvas().findChildren(QLabel) if "ends it" in label.text() and label.isVisible()]
        assert said.startswith(opened.commands[name].text()) and "Escape" in said and len(said) < 75
        do(opened, name)
        assert not [label for label in interface.mapCanvas().findChildren(QLabel) if "ends it" in label.text() and label.isVisible()]

    @pytest.mark.parametrize("name", ["split", "snap"])
    def test_our_map_tools_come_and_go(self, opened, others, interface, name):
        do(opened, name)
        assert interface.mapCanvas().mapTool() is opened.page._map_tools[name] and opened.commands[name].isChecked()
        assert not opened.commands["reject_snow"].isEnabled() and opened.commands["reject"].isEnabled()
        do(opened, name)
        assert interface.mapCanvas().mapTool() is others[0] and not opened.commands[name].isChecked()
        assert opened.commands["reject_snow"].isEnabled()

    def test_another_tool_of_qgis_ends_ours_and_stays(self, opened, interface):
        do(opened, "split")
        interface.actionVertexToolActiveLayer().trigger()
        assert self.tool_of(interface) == "vertex" and not opened.commands["split"].isChecked()

    def test_one_tool_after_the_other(self, opened, others, interface):
        do(opened, "split")
        do(opened, "edit")
        assert opened.commands["edit"].isChecked() and not opened.commands["split"].isChecked() and self.tool_of(interface) == "vertex"
        do(opened, "edit")
        assert interface.mapCanvas().mapTool() is others[0]

    def test_draw_an_outline(self, opened, interface):
        do(opened, "add")
        assert self.tool_of(interface) == "add" and interface.activeLayer() is opened.review.outlines
        do(opened, "add")
        assert not opened.commands["add"].isChecked()

    def test_a_restricted_outline_starts_as_the_extended_one(self, opened, others, interface):
        opened.review.show(uid_of(opened, "false"))
        uid = opened.review.current
        do(opened, "restricted")
        assert opened.review.restricted_outline(uid).equals(opened.review.outline(uid))
        assert interface.activeLayer() is opened.review.restricted and self.tool_of(interface) == "vertex"
        do(opened, "restricted")
        assert interface.activeLayer() is others[1]
        do(opened, "undo")
        assert opened.review.restricted_outline(uid).isEmpty()

    def test_one_that_is_there_is_edited_as_it_is(self, opened):
        uid = opened.review.current
        before = opened.review.restricted_outline(uid)
        assert not before.isEmpty()
        do(opened, "restricted")
        assert opened.review.restricted_outline(uid).equals(before)

    def test_level_opens_its_group(self, opened, window, qtbot):
        do(opened, "level")
        assert not opened.page._groups["level"].isCollapsed()
        qtbot.waitUntil(lambda: opened.page.level_control.isAncestorOf(QApplication.focusWidget()), timeout=SLOWEST_MS)


class TestLooking:
    """Other views."""

    @pytest.mark.parametrize("name", ["second_view", "profile"])
    def test_a_view_is_shown_and_hidden_and_goes_with_the_session(self, opened, window, name):
        do(opened, name)
        view = opened.page._views[name]
        assert view.isVisible() and opened.commands[name].isChecked()
        do(opened, name)
        assert not view.isVisible() and not opened.commands[name].isChecked()
        do(opened, name)
        do(opened, "close")
        assert not view.isVisible() and not opened.commands[name].isChecked()

    def test_compare_with_the_prediction(self, opened):
        do(opened, "compare")
        assert opened.page._map.comparison == "predicted"
        do(opened, "compare")
        assert opened.page._map.comparison == "reference"

    def test_back_to_the_outline(self, opened, interface):
        canvas = interface.mapCanvas()
        there = canvas.center()
        canvas.setCenter(QgsPointXY(there.x() + 5000, there.y()))
        do(opened, "here")
        assert canvas.center().compare(there, 1)

    def test_google_earth(self, opened, module, monkeypatch):
        shown = []
        monkeypatch.setattr(module("dialogs.review.review_page"), "open_in_google_earth", shown.append)
        do(opened, "google_earth")
        assert shown == [opened.review]

    @pytest.mark.parametrize(
        ("name", "target"), [("queue", "queue_view"), ("attributes", "attribute_form"), ("confidence", "confidence_panel")]
    )
    def test_the_keyboard_reaches_every_part(self, opened, window, qtbot, name, target):
        do(opened, name)
        qtbot.waitUntil(lambda: getattr(opened.page, target).isAncestorOf(QApplication.focusWidget()), timeout=SLOWEST_MS)

    def test_tiles(self, opened):
        do(opened, "tile")
        first = opened.page.navigator.tile
        do(opened, "tile")
        visited = {feature.id(): feature["visited_by"] for feature in opened.review.tiles.getFeatures()}
        assert visited[first] == "Ada" and opened.page.navigator.tile != first

    def test_300_pixels_are_enough(self, opened, window, interface, qtbot):
        for group in opened.page._groups.values():
            group.setCollapsed(False)
        font = opened.font()
        font.setPixelSize(12)
        opened.page.setFont(font)
        interface.mainWindow().resizeDocks([opened], [300], Qt.Orientation.Horizontal)
        qtbot.wait(50)
        inside = opened.page._scroll.widget()
        assert opened.width() <= 300 and inside.minimumSizeHint().width() <= opened.page._scroll.viewport().width()

    def test_splitter_is_remembered(self, opened, window, path):
        QApplication.processEvents()  # the page has its size, and its groups are closed
        opened.page._splitter.setSizes([200, 300])
        sizes = opened.page._splitter.sizes()
        opened.close_session()
        opened.open_session(path)
        QApplication.processEvents()
        assert abs(opened.page._splitter.sizes()[0] - sizes[0]) <= 2


class TestJobs:
    """On the session as a whole, with the engine."""

    def test_changed_inputs_are_offered_and_taken_in(self, dock, path, interface, qtbot, false_engine, tmp_path):
        with sqlite3.connect(tmp_path / "predicted.gpkg") as connection:
            connection.execute("CREATE TABLE changed (id INTEGER)")
        connection.close()
        updated = tmp_path / "updated.gpkg"
        shutil.copy(path, updated)
        false_engine("", updated)
        dock.open_session(path)
        qtbot.waitUntil(lambda: any("Take the changed layers" in text for text in interface.texts()), timeout=SLOWEST_MS)
        with_button(interface, "Update").click()
        assert dock.review is None and dock._pages.currentWidget() is dock._busy
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        job = json.loads((tmp_path / "job.json").read_text())
        assert (job["command"], job["session"], job["output"], job["predicted"]) == ("update_review", str(path), str(path), None)

    def test_what_is_offered_goes_with_its_session(self, dock, path, interface, qtbot, tmp_path):
        with (tmp_path / "predicted.gpkg").open("ab") as file:
            file.write(b" ")
        dock.open_session(path)
        qtbot.waitUntil(lambda: any("Take the changed layers" in text for text in interface.texts()), timeout=SLOWEST_MS)
        dock.close_session()
        assert not any("Take the changed layers" in text for text in interface.texts())

    @pytest.mark.parametrize("command", ["finish", "training_data", "adapt", "take_in"])
    def test_no_dialog_outlives_its_session(self, opened, command):
        do(opened, command)
        (dialog,) = opened.findChildren(QDialog)
        opened.close_session()
        assert not dialog.isVisible()

    def test_unchanged_inputs_are_no_matter(self, opened, interface, qtbot):
        qtbot.wait(50)
        assert interface.said == []

    def test_after_a_failure_the_session_is_open_again(self, opened, interface, qtbot, false_engine):
        false_engine("error")
        opened.update_inputs()
        qtbot.waitUntil(lambda: opened.review is not None, timeout=SLOWEST_MS)
        assert interface.texts(Qgis.MessageLevel.Critical) == ["scene.tif has no coordinate reference system."]

    def test_after_cancelling_too(self, opened, qtbot, false_engine, tmp_path):
        false_engine("slow")
        opened.update_inputs()
        qtbot.waitUntil((tmp_path / "job.json").exists, timeout=SLOWEST_MS)
        opened.bar.cancel()
        qtbot.waitUntil(lambda: opened.review is not None, timeout=SLOWEST_MS)

    def test_merged_sessions_are_a_third_one(self, opened, path, tmp_path, qtbot, false_engine, monkeypatch):
        (tmp_path / "other").mkdir()
        other = make_review(tmp_path / "other")
        false_engine("", path)
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(other), ""))
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "both.gpkg"), ""))
        do(opened, "merge")
        qtbot.waitUntil(lambda: opened.review is not None, timeout=SLOWEST_MS)
        job = json.loads((tmp_path / "job.json").read_text())
        assert job["sessions"] == [str(path), str(other)] and opened.review.path == tmp_path / "both.gpkg"

    def test_who_chooses_no_file_merges_nothing(self, opened, monkeypatch):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
        do(opened, "merge")
        assert opened.review.is_open

    @pytest.mark.parametrize(
        ("result", "told"),
        [
            ({"predicted": {"found": 2, "lost": 1, "moved": 0}, "manual": {"found": 1}}, "3 outlines found, 1 lost, 0 moved."),
            ({"predicted": {"found": 0, "lost": 2}, "manual": {}}, "0 outlines found, 2 lost, 0 moved."),
            ({"predicted": {"found": 0}, "manual": {}}, "Nothing has changed."),
            ({"conflicts": 4}, "4 outlines are undecided again because the reviewers disagree."),
            ({"conflicts": 0}, "The sessions are merged."),
        ],
        ids=["changes", "only lost", "none", "conflicts", "agreement"],
    )
    def test_what_came_is_said(self, opened, interface, result, told):
        opened._say_what_came(result)
        assert interface.texts() == [told]
        to_show = result.get("conflicts") or any(side.get("found") for side in result.values() if isinstance(side, dict))
        offered = [one.text() for item in interface.messageBar().items() for one in item.findChildren(QPushButton)]
        assert ("Show them" in offered) == bool(to_show)

    def test_changes_and_conflicts_can_be_looked_at(self, opened):
        do(opened, "changes")
        assert opened.review.queue.conditions.changes == {"found", "moved"}
        do(opened, "conflicts")
        assert opened.review.queue.conditions.conflicts_only

    def test_save(self, opened, interface):
        do(opened, "accept")
        do(opened, "save")
        assert not opened.review.outlines.isModified() and opened.review.outlines.isEditable() and interface.texts() == ["Saved."]


def test_escape_events_of_others_pass(opened, interface):
    event = QEvent(QEvent.Type.Leave)
    assert opened.page._escape.eventFilter(interface.mapCanvas(), event) is False
