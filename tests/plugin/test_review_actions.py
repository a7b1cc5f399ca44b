"""The commands of a review as QGIS actions: keys without clashes, only while a session is open, none while a person types."""

from __future__ import annotations

from collections import Counter

import pytest
from qgis.gui import QgsGui
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAction, QComboBox, QLineEdit, QPlainTextEdit, QSpinBox, QVBoxLayout, QWidget

import review_session as form
from tests.plugin.interface import Interface, key_of

QGIS_KEYS = {"R", "S", "T", "Esc", "Backspace", "Del", ",", ".", "Space", "+", "-", "Left", "Right", "Up", "Down", "PgUp", "PgDown"}
"""Of QGIS 3.40's main window, map and editing tools."""


@pytest.fixture
def interface(qgis_parent, qtbot):
    interface = Interface()
    qtbot.addWidget(interface.mainWindow())
    return interface


@pytest.fixture
def done():
    return []


@pytest.fixture
def actions(module, interface, done):
    actions = module("dialogs.review.actions").Actions(interface.mainWindow(), done.append, lambda reason: done.append(f"reject: {reason}"))
    actions.register(interface)
    yield actions
    actions.unregister()


@pytest.fixture
def window(interface, qtbot):
    """The main window, active, with the keyboard on the map."""
    window = interface.mainWindow()
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    interface.mapCanvas().setFocus()
    return window


@pytest.fixture
def all_actions(actions, module):
    names = [command.name for command in module("dialogs.review.actions").commands()] + [f"reject_{reason}" for reason in form.REASONS]
    return {name: actions[name] for name in names}


def press(widget, key):
    QTest.keyClick(widget, key)


def test_every_command_can_be_found_and_changed_by_a_person(all_actions):
    registered = QgsGui.shortcutsManager().listActions()
    for name, action in all_actions.items():
        assert action in registered and action.text() and not action.icon().isNull() and action.toolTip(), name
    assert max(Counter(action.objectName() for action in all_actions.values()).values()) == 1
    assert max(Counter(action.text() for action in all_actions.values()).values()) == 1


def test_no_key_twice_and_none_of_qgis(all_actions):
    keys = [key_of(action) for action in all_actions.values() if key_of(action)]
    assert max(Counter(keys).values()) == 1
    assert not QGIS_KEYS & set(keys)
    assert {"A", "X", "E", "N", "P", "M", "B", "U", "C", "L", "K", "G", "1", "8"} <= set(keys)


def test_a_key_that_another_action_has_is_left_to_it(interface, module, done, qtbot):
    other = QAction("Another plugin", interface.mainWindow())
    interface.registerMainWindowAction(other, "A")
    actions = module("dialogs.review.actions").Actions(interface.mainWindow(), done.append, done.append)
    actions.register(interface)
    assert (key_of(other), key_of(actions["accept"]), key_of(actions["reject"])) == ("A", "", "X")
    actions.unregister()
    interface.unregisterMainWindowAction(other)


def test_without_a_session_the_keys_are_free(actions, window, interface, done):
    press(interface.mapCanvas(), Qt.Key.Key_A)
    assert done == []


@pytest.mark.parametrize(
    ("key", "command"),
    [
        (Qt.Key.Key_A, "accept"),
        (Qt.Key.Key_X, "reject"),
        (Qt.Key.Key_2, "reject: moraine"),
        (Qt.Key.Key_E, "edit"),
        (Qt.Key.Key_N, "next"),
        (Qt.Key.Key_Z, "undo"),
    ],
)
def test_a_key_does_its_command(actions, window, interface, done, key, command):
    actions.enable(("session", "outline", "manual", "resting"))
    press(interface.mapCanvas(), key)
    assert done == [command]


def test_what_needs_an_outline_is_off_where_there_is_none(actions):
    actions.enable(("session",))
    assert actions["next"].isEnabled() and not actions["accept"].isEnabled() and not actions["take_manual"].isEnabled()
    actions.enable(("session", "outline"))
    assert actions["accept"].isEnabled() and not actions["take_manual"].isEnabled()


def test_what_is_withheld_says_why(actions):
    actions.enable(("session", "outline"))
    actions.withhold({"level": "There is no probability raster."})
    assert not actions["level"].isEnabled() and "There is no probability raster." in actions["level"].toolTip()
    actions.withhold({})
    assert actions["level"].isEnabled() and "raster" not in actions["level"].toolTip()


def test_what_has_nothing_to_do_is_off(actions):
    actions.enable(("session",))
    actions.describe("undo", "")
    assert not actions["undo"].isEnabled()
    actions.describe("undo", "accept 12")
    assert actions["undo"].isEnabled() and "accept 12" in actions["undo"].toolTip() and "Z" in actions["undo"].toolTip()


@pytest.mark.parametrize("make", [QLineEdit, QPlainTextEdit, QSpinBox, QComboBox], ids=lambda make: make.__name__)
def test_no_command_while_a_person_types_or_chooses(module, actions, window, interface, done, make, qtbot):
    box = QWidget(window)
    widget = make(box)
    if make is QComboBox:
        widget.addItems(["Active", "Relict"])
        widget.setCurrentIndex(1)
    QVBoxLayout(box).addWidget(widget)
    guard = module("dialogs.review.actions").TypingGuard(window)
    guard.watch(box)
    box.setGeometry(0, 0, 200, 60)
    box.show()
    actions.enable(("session", "outline"))
    widget.setFocus()
    qtbot.waitUntil(widget.hasFocus)
    press(widget, Qt.Key.Key_1 if make is QSpinBox else Qt.Key.Key_A)
    assert done == []
    typed = {
        "QLineEdit": lambda: widget.text() == "a",
        "QPlainTextEdit": lambda: widget.toPlainText() == "a",
        "QSpinBox": lambda: "1" in widget.text(),
        "QComboBox": lambda: widget.currentText() == "Active",
    }
    assert typed[make.__name__]()


def test_no_command_in_another_window(actions, window, interface, done, qtbot):
    actions.enable(("session", "outline"))
    other = QWidget()
    qtbot.addWidget(other)
    with qtbot.waitExposed(other):
        other.show()
    other.activateWindow()
    qtbot.waitUntil(other.isActiveWindow)
    press(other, Qt.Key.Key_A)
    assert done == []


def test_the_reasons_are_chosen_by_digits(actions, done, window, qtbot):
    actions.enable(("session", "outline"))
    assert len(actions.reasons.actions()) == len(form.REASONS) == 8
    actions.reasons.popup(window.mapToGlobal(window.rect().center()))
    qtbot.waitUntil(actions.reasons.isVisible)
    press(actions.reasons, Qt.Key.Key_3)
    assert done == ["reject: talus"] and not actions.reasons.isVisible()


def test_digits_are_free_for_tools_but_the_menu_still_rejects(actions, done, window, interface):
    actions.enable(("session", "outline"))
    press(interface.mapCanvas(), Qt.Key.Key_3)
    assert done == []
    actions.reasons.actions()[2].trigger()
    assert done == ["reject: talus"]


def test_unregistered_they_are_gone(module, interface, done):
    actions = module("dialogs.review.actions").Actions(interface.mainWindow(), done.append, done.append)
    actions.register(interface)
    accept = actions["accept"]
    actions.unregister()
    assert accept not in QgsGui.shortcutsManager().listActions() and accept not in interface.mainWindow().actions()
