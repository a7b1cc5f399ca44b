"""Decisions on all outlines that the network was certain or doubtful of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qgis.core import Qgis, QgsProject, QgsSettings
from qgis.PyQt.QtCore import QPoint, Qt

from tests.plugin.reviews import make_review

Module = Callable[[str], Any]


@pytest.fixture
def open_panel(module: Module, tmp_path: Path, qtbot: Any) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Open a session, give its outlines probabilities, and make the panel."""
    opened = []
    setting = module("dialogs.review.confidence").THRESHOLD_SETTING
    QgsSettings().remove(setting)

    def open_session(probabilities: list[float | None]) -> tuple[Any, Any]:
        review = module("dialogs.review.session").Review(make_review(tmp_path), "Ann", QgsProject.instance())
        opened.append(review)
        for position in range(len(review.queue)):
            probability = probabilities[position] if position < len(probabilities) else None
            review.queue.update(review.queue.uid_at(position), probability=probability, area_km2=0.5)
        panel = module("dialogs.review.confidence").ConfidencePanel(review)
        qtbot.addWidget(panel)
        panel.resize(300, panel.sizeHint().height())
        panel.show()
        return review, panel

    yield open_session
    for review in opened:
        review.close()
    QgsProject.instance().clear()
    QgsSettings().remove(setting)


def test_what_would_be_accepted_is_told_and_then_done_as_one_command(open_panel: Any) -> None:
    review, panel = open_panel([0.95, 0.92, 0.85, 0.10])
    assert panel.threshold == 0.9
    assert panel.accept_button.text() == "Accept 2 from 0.90 on (1.0 km²)"
    panel.slider.setValue(80)
    assert panel.box.value() == 0.8
    assert panel.accept_button.text() == "Accept 3 from 0.80 on (1.5 km²)"
    expected = review.queue.certain(0.8)
    panel.accept_button.click()
    assert [review.queue.get(uid)["status"] for uid in expected] == ["accepted"] * 3
    assert not panel.accept_button.isEnabled()
    review.undo()
    assert [review.queue.get(uid)["status"] for uid in expected] == ["unreviewed"] * 3
    assert panel.accept_button.isEnabled()


def test_doubtful_ones_are_rejected_for_a_reason_only(open_panel: Any) -> None:
    review, panel = open_panel([0.95, 0.20, 0.10])
    panel.box.setValue(0.3)
    assert panel.reject_button.text() == "Reject 2 below 0.30 (1.0 km²)"
    assert not panel.reject_button.isEnabled()
    panel.reason.setCurrentIndex(panel.reason.findData("snow"))
    doubtful = review.queue.doubtful(0.3)
    panel.reject_button.click()
    assert [(review.queue.get(uid)["status"], review.queue.get(uid)["reason"]) for uid in doubtful] == [("rejected", "snow")] * 2
    assert review.feature(doubtful[0])["comment"] == "probability below 0.30"
    assert panel.reason.currentData() is None


def test_conflicts_and_unknown_probabilities_are_left_to_judge(open_panel: Any) -> None:
    review, panel = open_panel([0.95, 0.95])
    review.queue.update(review.queue.uid_at(0), conflict="accepted by Ann, rejected by Bo")
    panel.follow()
    assert panel.accept_button.text() == "Accept 1 from 0.90 on (0.5 km²)"
    assert panel._note.text() == "15 undecided ones without a probability or in conflict are judged one by one."


def test_only_outlines_in_view_count(module: Module, open_panel: Any) -> None:
    review, panel = open_panel([0.95, 0.95])
    review.queue.update(review.queue.uid_at(1), name="hidden")
    review.queue.filter(module("dialogs.review.queue").Filter(text="hidden"))
    panel.follow()
    assert panel.accept_button.text() == "Accept 1 from 0.90 on (0.5 km²)"


def test_without_probabilities_it_says_why_it_can_do_nothing(open_panel: Any) -> None:
    _, panel = open_panel([])
    assert not any(widget.isEnabled() for widget in (panel.slider, panel.box, panel.accept_button, panel.reject_button, panel.reason))
    assert "No outline in the list has a probability" in panel._note.text()


def test_the_threshold_is_chosen_by_mouse_and_keyboard_and_remembered(module: Module, open_panel: Any, qtbot: Any) -> None:
    review, panel = open_panel([0.95])
    histogram = panel.histogram
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(histogram.width() // 2, histogram.height() // 2))
    assert panel.threshold == pytest.approx(0.5, abs=0.02)
    chosen = panel.threshold
    qtbot.keyClick(panel.slider, Qt.Key.Key_Right)
    assert panel.threshold == pytest.approx(chosen + 0.01)
    again = module("dialogs.review.confidence").ConfidencePanel(review)
    qtbot.addWidget(again)
    assert again.threshold == panel.threshold


def test_bars_are_as_high_as_their_numbers(module: Module, qtbot: Any) -> None:
    confidence = module("dialogs.review.confidence")
    histogram = confidence.Histogram()
    qtbot.addWidget(histogram)
    histogram.resize(200, 200)
    undecided, decided = [0] * confidence.BINS, [0] * confidence.BINS
    undecided[0], undecided[10] = 40, 10
    array = module("dialogs.review.queue").np.array
    histogram.show_counts(array(undecided), array(decided), 0.9)
    image = histogram.grab().toImage()
    ratio = image.width() / 200
    width = histogram._plot().width() / confidence.BINS
    heights = []
    for bar in (0, 10, 15):
        column = int((histogram._plot().left() + (bar + 0.45) * width) * ratio)
        top = int(histogram._plot().top() * ratio)
        colours = [image.pixelColor(column, row).getRgb()[:3] for row in range(top, image.height())]
        heights.append(colours.count(confidence.UNDECIDED_COLOUR.getRgb()[:3]))
    assert heights[1] == pytest.approx(heights[0] / 4, abs=2)
    assert heights[0] > 50 * ratio
    assert heights[2] == 0


def test_what_cannot_be_done_is_said(module: Module, open_panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    review, panel = open_panel([0.95])
    said: list[tuple[str, Any]] = []
    review.said.connect(lambda text, level: said.append((text, level)))

    def refuse(_uids: list[str]) -> None:
        raise module("dialogs.review.session").ReviewError("The disk is full.")

    monkeypatch.setattr(review, "accept", refuse)
    panel.accept_button.click()
    assert said == [("The disk is full.", Qgis.MessageLevel.Warning)]
