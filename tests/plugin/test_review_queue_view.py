"""The queue as a table: what a person sees of it, filters, sorts and selects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtWidgets import QMenu

Module = Callable[[str], Any]


@pytest.fixture
def view(module: Module, review: Any, qtbot: Any) -> Iterator[Any]:
    queue_view = module("dialogs.review.queue_view")
    QgsSettings().remove(queue_view.HEADER_SETTING)
    view = queue_view.QueueView(review)
    qtbot.addWidget(view)
    view.resize(300, 400)
    view.show()
    yield view
    QgsSettings().remove(queue_view.HEADER_SETTING)


@pytest.fixture
def conditions(module: Module) -> Any:
    return module("dialogs.review.queue").Filter


def texts(view: Any, column: str, module: Module) -> list[str]:
    number = module("dialogs.review.queue_view").VIEW_COLUMNS.index(column)
    return [view.model.data(view.model.index(row, number)) for row in range(view.model.rowCount())]


def test_every_outline_is_a_row_and_the_first_deserves_attention_most(review: Any, view: Any) -> None:
    assert view.model.rowCount() == review.queue.total == 16
    priorities = [review.queue.value(row, "priority") for row in range(16)]
    assert priorities == sorted(priorities, reverse=True)
    assert view.state.text() == "16 of 16 undecided · 0 % done"


def test_cells_are_words_and_figures_and_say_what_they_mean(review: Any, view: Any, module: Module) -> None:
    queue_view = module("dialogs.review.queue_view")
    uid = review.queue.uid_at(0)
    review.queue.update(
        uid, area_km2=0.04, probability=0.756, iou=None, area_deviation=12.4, boundary_distance_m=9.96, status="rejected", reason="moraine"
    )
    shown = {column: texts(view, column, module)[0] for column in queue_view.VIEW_COLUMNS}
    assert {column: shown[column] for column in ("relation", "status", "area_km2", "probability", "iou")} == {
        "relation": "1-1",
        "status": "✕ rejected",
        "area_km2": "0.040",
        "probability": "0.76",
        "iou": "",
    }
    assert (shown["area_deviation"], shown["boundary_distance_m"]) == ("+12", "10.0")
    tips = [view.model.data(view.model.index(0, number), Qt.ItemDataRole.ToolTipRole) for number in range(4)]
    assert uid in tips[0]
    assert tips[1] == "one predicted, one manual"
    assert tips[2] == "rejected\nmoraine"
    assert tips[3] == "small, under 0.10 km²"
    review.queue.update(uid, conflict="accepted by Ann, rejected by Bo")
    assert texts(view, "status", module)[0] == "⚠ rejected"


def test_statuses_have_the_colours_that_they_have_on_the_map(review: Any, module: Module) -> None:
    queue_view = module("dialogs.review.queue_view")
    drawn = {category.value(): category.symbol().symbolLayer(1).color() for category in review.outlines.renderer().categories()}
    del drawn["unreviewed"]
    for status, colour in drawn.items():
        shown = queue_view.COLOURS[status]
        if colour.saturation() < 20:
            assert shown.saturation() < 20, status
        else:
            assert abs(shown.hue() - colour.hue()) < 25, status


def test_going_to_a_row_shows_its_outline_and_the_other_way_round(review: Any, view: Any, qtbot: Any) -> None:
    shown: list[str] = []
    review.current_changed.connect(shown.append)
    view.table.selectRow(4)
    assert shown == [review.queue.uid_at(4)] == [review.current]
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    assert review.current == review.queue.uid_at(5)
    last = review.queue.uid_at(15)
    review.show(last)
    assert view.selected_uids() == [last]
    assert view.table.visualRect(view.table.currentIndex()).intersects(view.table.viewport().rect())


def test_several_rows_are_selected_while_one_is_shown(review: Any, view: Any, qtbot: Any) -> None:
    view.table.selectRow(2)
    with qtbot.waitSignal(view.selection_changed) as told:
        qtbot.keyClick(view.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    chosen = [review.queue.uid_at(2), review.queue.uid_at(3)]
    assert view.selected_uids() == chosen == told.args[0]
    assert review.current == chosen[1]
    review.accept(chosen)
    assert view.selected_uids() == chosen
    assert view.state.text() == "14 of 16 undecided · 12 % done"


def test_rows_are_picked_one_by_one_with_the_mouse(review: Any, view: Any, qtbot: Any) -> None:
    for row in (1, 3, 4, 3):
        place = view.table.visualRect(view.model.index(row, 0)).center()
        qtbot.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, place)
    assert view.selected_uids() == [review.queue.uid_at(1), review.queue.uid_at(4)]
    assert review.current == review.queue.uid_at(3)
    review.show(review.queue.uid_at(4))
    assert view.selected_uids() == [review.queue.uid_at(4)]


def test_a_judged_row_stays_until_the_list_is_made_anew(review: Any, view: Any, conditions: Any, qtbot: Any) -> None:
    view.filter_bar.set_conditions(conditions(statuses=frozenset({"unreviewed"})))
    first = review.queue.uid_at(0)
    review.show(first)
    review.accept([first])
    assert view.model.rowCount() == 16
    view.refresh()
    assert view.model.rowCount() == 15
    assert review.queue.position(first) is None
    assert view.selected_uids() == [review.current]
    assert view.state.text() == "15 of 16 undecided · 6 % done · 15 shown"


def test_rows_follow_outlines_that_come_and_go(review: Any, view: Any) -> None:
    uid = review.queue.uid_at(0)
    review.show(uid)
    before = view.model.rowCount()
    review.add(review.outline(uid))
    assert view.model.rowCount() == before + 1
    assert review.undo_text()
    review.undo()
    assert view.model.rowCount() == before
    assert view.table.currentIndex().row() == review.queue.position(review.current)


def test_conditions_are_checked_in_the_menu_and_counted_on_the_button(review: Any, view: Any, conditions: Any) -> None:
    bar = view.filter_bar
    menus = {menu.title(): menu for menu in bar.button.menu().findChildren(QMenu)}
    assert list(menus) == ["Relation", "Status", "Size class", "New detection"]
    bar.button.menu().aboutToShow.emit()
    missed = next(action for action in menus["Relation"].actions() if action.text().startswith("missed"))
    assert missed.text() == "missed: manual only: not predicted (2)"
    missed.trigger()
    assert review.queue.conditions == conditions(relations=frozenset({"missed"}))
    assert (view.model.rowCount(), bar.button.text(), bar.clear_button.isEnabled()) == (2, "Filter (1)", True)
    bar.search.setText("missed")
    bar.apply()
    made_anew: list[bool] = []
    view.view_changed.connect(lambda: made_anew.append(True))
    bar.clear_button.click()
    assert made_anew == [True]
    assert (view.model.rowCount(), bar.button.text(), bar.clear_button.isEnabled()) == (16, "Filter", False)
    assert not missed.isChecked()


def test_a_menu_stays_open_while_its_boxes_are_checked(view: Any, qtbot: Any) -> None:
    menu = next(menu for menu in view.filter_bar.button.menu().findChildren(QMenu) if menu.title() == "Relation")
    menu.popup(view.mapToGlobal(view.pos()))
    menu.setActiveAction(menu.actions()[0])
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Down, Qt.Key.Key_Return):
        qtbot.keyClick(menu, key)
    assert menu.isVisible()
    assert view.filter_bar.conditions().relations == {"1-1", "n-1"}
    menu.close()


def test_the_search_waits_for_the_end_of_typing(review: Any, view: Any, qtbot: Any) -> None:
    uid = review.queue.uid_at(7)
    qtbot.keyClicks(view.filter_bar.search, uid)
    assert view.model.rowCount() == 16
    qtbot.waitUntil(lambda: view.model.rowCount() == 1)
    assert review.queue.uid_at(0) == uid
    assert view.filter_bar.button.text() == "Filter (1)"


def test_the_header_sorts_and_the_menu_does_so_from_the_keyboard(review: Any, view: Any, module: Module, qtbot: Any) -> None:
    columns = module("dialogs.review.queue_view").VIEW_COLUMNS
    view.table.sortByColumn(columns.index("area_km2"), Qt.SortOrder.AscendingOrder)
    areas = [review.queue.value(row, "area_km2") for row in range(16)]
    assert areas == sorted(areas)
    header = view.table.horizontalHeader()
    for column, descending in (("iou", True), ("name", False), ("name", True)):
        place = QPoint(header.sectionViewportPosition(columns.index(column)) + 9, header.height() // 2)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
        assert review.queue.sorting == (column, descending)
    menu = next(menu for menu in view.findChildren(QMenu) if menu.title() == "Sort by")
    by_name = {action.text(): action for action in menu.actions()}
    by_name["Attention"].trigger()
    assert review.queue.sorting == ("priority", True)
    by_name["Attention"].trigger()
    assert review.queue.sorting == ("priority", False)


def test_hidden_and_moved_columns_and_the_sorting_are_remembered(review: Any, view: Any, module: Module, qtbot: Any) -> None:
    queue_view = module("dialogs.review.queue_view")
    number = queue_view.VIEW_COLUMNS.index("iou")
    menu = next(menu for menu in view.findChildren(QMenu) if menu.title() == "Columns")
    menu.aboutToShow.emit()
    assert [action.isChecked() for action in menu.actions()] == [column != "priority" for column in queue_view.VIEW_COLUMNS]
    menu.actions()[number].trigger()
    view.table.horizontalHeader().moveSection(2, 0)
    view.table.sortByColumn(number, Qt.SortOrder.AscendingOrder)
    view.hide()
    again = queue_view.QueueView(review)
    qtbot.addWidget(again)
    assert again.table.isColumnHidden(number)
    assert again.table.horizontalHeader().visualIndex(2) == 0
    assert review.queue.sorting == ("iou", False)


def test_it_fits_a_narrow_dock(view: Any) -> None:
    assert view.minimumSizeHint().width() <= 300
