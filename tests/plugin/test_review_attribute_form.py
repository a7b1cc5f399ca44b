"""The attributes of the inventory in the review: set, undone, for one outline and for several."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qgis.core import NULL
from qgis.PyQt.QtCore import QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QWheelEvent
from qgis.PyQt.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit

import review_session as form

Module = Callable[[str], Any]
DOMAINS = json.loads((Path(form.__file__).parent / "resources" / "inventory" / "domains.json").read_text())


@pytest.fixture
def uids(review: Any) -> list[str]:
    return [review.queue.uid_at(position) for position in range(4)]


@pytest.fixture
def attributes(module: Module, review: Any, uids: list[str], qtbot: Any) -> Any:
    widget = module("dialogs.review.attribute_form").AttributeForm(review)
    qtbot.addWidget(widget)
    widget.show()
    review.show(uids[0])
    return widget


def choose(attributes: Any, name: str, value: Any) -> None:
    box = attributes.widgets[name]
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def write(attributes: Any, name: str, text: str) -> None:
    line = attributes.widgets[name]
    line.selectAll()
    line.insert(text)
    line.editingFinished.emit()


def values(review: Any, uid: str) -> dict[str, Any]:
    feature = review.feature(uid)
    return {name: feature[name] for name, _ in form.ATTRIBUTES if feature[name] not in (None, NULL)}


def test_every_attribute_has_a_field_and_every_domain_its_exact_values(attributes: Any, module: Module) -> None:
    assert list(attributes.widgets) and set(attributes.widgets) == {name for name, _ in form.ATTRIBUTES}
    domain_of = module("dialogs.review.session_fields").domain_of
    for name, widget in attributes.widgets.items():
        domain = DOMAINS.get(domain_of(name))
        assert isinstance(widget, QComboBox if domain else QLineEdit)
        if domain:
            assert [widget.itemData(index) for index in range(widget.count())] == [None, *domain["values"]]
            assert ("await a comparison" in widget.toolTip()) is not domain["verified"]
    reliability = attributes.widgets["reliability_front"]
    assert [reliability.itemText(index) for index in range(4)] == ["not set", "0 low", "1 medium", "2 high"]


def test_nothing_is_proposed(attributes: Any) -> None:
    assert {widget.currentData() for widget in attributes.widgets.values() if isinstance(widget, QComboBox)} == {None}
    assert {widget.text() for widget in attributes.widgets.values() if isinstance(widget, QLineEdit)} == {""}


def test_each_choice_is_one_command_that_the_form_follows_when_it_is_undone(review: Any, attributes: Any, uids: list[str]) -> None:
    choose(attributes, "activity_class", "Transitional")
    choose(attributes, "reliability_left", 0)
    write(attributes, "imagery", " Sentinel-2, 2021 ")
    assert values(review, uids[0]) == {"activity_class": "Transitional", "reliability_left": 0, "imagery": "Sentinel-2, 2021"}
    review.undo()
    assert attributes.widgets["imagery"].text() == ""
    review.undo()
    assert attributes.widgets["reliability_left"].currentData() is None
    assert values(review, uids[0]) == {"activity_class": "Transitional"}
    review.redo()
    assert attributes.widgets["reliability_left"].currentData() == 0
    choose(attributes, "activity_class", None)
    assert values(review, uids[0]) == {"reliability_left": 0}


def test_what_stays_the_same_is_no_command(review: Any, attributes: Any) -> None:
    choose(attributes, "activity_class", None)
    attributes.widgets["imagery"].editingFinished.emit()
    assert not review.undo_text()


def test_what_is_being_typed_is_written_when_another_outline_is_shown(review: Any, attributes: Any, uids: list[str]) -> None:
    attributes.widgets["kinematic_period"].insert("2018-2021")
    review.show(uids[1])
    assert values(review, uids[0]) == {"kinematic_period": "2018-2021"}
    assert values(review, uids[1]) == {}
    assert attributes.widgets["kinematic_period"].text() == ""


def test_several_outlines_get_only_what_is_touched_in_one_command(review: Any, attributes: Any, uids: list[str]) -> None:
    choose(attributes, "system_type", "mono-unit")
    write(attributes, "imagery", "a")
    attributes.show_outlines(uids[:3])
    assert attributes.widgets["system_type"].currentText() == "(different)"
    assert attributes.widgets["imagery"].placeholderText() == "(different)"
    choose(attributes, "completeness", "complete")
    assert [values(review, uid) for uid in uids] == [
        {"system_type": "mono-unit", "imagery": "a", "completeness": "complete"},
        {"completeness": "complete"},
        {"completeness": "complete"},
        {},
    ]
    review.undo()
    assert [values(review, uid) for uid in uids[:3]] == [{"system_type": "mono-unit", "imagery": "a"}, {}, {}]


def test_copying_fills_what_is_not_set_and_leaves_names_and_activity(review: Any, attributes: Any, uids: list[str]) -> None:
    for name, value in (("system_type", "mono-unit"), ("activity_class", "Active"), ("upslope_connection", "talus")):
        choose(attributes, name, value)
    write(attributes, "primary_id", "RGU384455N1092526W")
    assert not attributes._copy.isEnabled()
    review.show(uids[1])
    choose(attributes, "upslope_connection", "glacier")
    attributes._copy.click()
    assert values(review, uids[1]) == {"system_type": "mono-unit", "upslope_connection": "glacier"}
    review.undo()
    assert values(review, uids[1]) == {"upslope_connection": "glacier"}


def test_a_value_outside_the_domain_is_shown_and_kept(review: Any, attributes: Any, uids: list[str]) -> None:
    review.set_attributes({uids[0]: {"unit_morphology": "lobate"}})
    box = attributes.widgets["unit_morphology"]
    assert box.currentText() == "lobate (not in the list)"
    choose(attributes, "completeness", "complete")
    assert values(review, uids[0]) == {"unit_morphology": "lobate", "completeness": "complete"}
    review.show(uids[1])
    assert box.count() == len(DOMAINS["unit_morphology"]["values"]) + 1


def test_the_wheel_changes_no_value(review: Any, attributes: Any) -> None:
    box = attributes.widgets["activity_class"]
    box.setFocus()
    down = QPoint(0, -120)
    turn = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        down,
        down,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, turn)
    assert box.currentData() is None
    assert not review.undo_text()


def test_no_outline_no_form(review: Any, attributes: Any) -> None:
    assert attributes.isEnabled()
    attributes.show_outlines([])
    assert not attributes.isEnabled()


def test_a_closed_review_is_asked_for_nothing(review: Any, attributes: Any) -> None:
    said: list[str] = []
    review.said.connect(lambda text, _level: said.append(text))
    attributes.widgets["imagery"].insert("unfinished")
    review.close()
    attributes.widgets["imagery"].editingFinished.emit()
    assert not attributes.isEnabled()
    assert said == []


def test_labels_lead_to_their_fields_and_it_fits_a_narrow_dock(attributes: Any) -> None:
    buddies = [label.buddy() for label in attributes.findChildren(QLabel) if label.buddy() is not None]
    assert buddies == list(attributes.widgets.values())
    assert attributes.minimumSizeHint().width() <= 300
