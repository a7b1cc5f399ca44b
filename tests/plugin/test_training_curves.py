"""Training curves: what the tables of a training say, and how they are drawn while they grow."""

from __future__ import annotations

import json
import math
import os

import pytest
from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QEvent, QPoint, Qt
from qgis.PyQt.QtGui import QColor, QPalette
from qgis.PyQt.QtTest import QTest

STEP = "step,epoch,learning_rate,loss\n"
EPOCH = "epoch,step,seconds,learning_rate,loss,validation_loss,iou,f1,precision,recall,best\n"
NOW = 1_800_000_000.0


@pytest.fixture
def log(module):
    return module("dialogs.training_log")


@pytest.fixture
def training(tmp_path):
    """A training of 400 steps, of which 200 are done: four epochs of 50 steps and 60 s, the third one best."""
    folder = tmp_path / "training"
    folder.mkdir()
    write(folder)
    return folder


def write(folder, steps=200, changed=NOW):
    rows = (f"{step},{(step - 1) // 50 + 1},{1e-3 * step / 200:.3e},{1 / step:.5f}\n" for step in range(1, steps + 1))
    (folder / "log.csv").write_text(STEP + "".join(rows))
    ious = (0.2, 0.4, 0.5, 0.45)
    ends = range(1, steps // 50 + 1)
    (folder / "epochs.csv").write_text(
        EPOCH + "".join(f"{n},{50 * n},{60 * n}.0,1e-3,0.5,0.6,{ious[n - 1]},0.7,,0.8,{int(n == 3)}\n" for n in ends)
    )
    (folder / "training.json").write_text(json.dumps({"settings": {"steps": 400, "minutes": 0.0}}))
    for name in ("log.csv", "epochs.csv", "training.json"):
        os.utime(folder / name, (changed, changed))


class TestLog:
    """The tables, in numbers and in words."""

    def test_columns_by_name_and_gaps(self, log, training):
        found = log.read_training(training)
        assert len(found.steps["loss"]) == 200 and found.steps["loss"][3] == 0.25
        assert found.epochs["iou"] == [0.2, 0.4, 0.5, 0.45] and all(map(math.isnan, found.epochs["precision"]))
        assert (found.best, found.planned, found.progress, found.seconds) == (2, (400.0, 0.0), 0.5, 240.0)

    def test_a_row_that_is_half_written_is_left_out(self, log, training):
        with (training / "log.csv").open("a") as file:
            file.write("201,5,0.0")
        assert len(log.read_training(training).steps["step"]) == 200

    def test_running(self, log, training):
        told = log.read_training(training).told(NOW + 60)
        assert told.startswith("Running: 4 epochs, step 200, loss 0.005, best validation IoU 0.500 after epoch 3, 4 min of work")
        assert "about 4 min left" in told

    def test_stopped_when_nothing_came_for_longer_than_an_epoch(self, log, training):
        assert "Running" in log.read_training(training).told(NOW + 230)
        told = log.read_training(training).told(NOW + 250)
        assert told.startswith("Stopped at ") and "It resumes from its last checkpoint when it is run again with the same values." in told

    def test_finished_by_its_figures_or_its_steps(self, log, training):
        (training / "metrics.json").write_text("{}")
        assert log.read_training(training).told(NOW).startswith("Finished at ")
        (training / "metrics.json").unlink()
        (training / "training.json").write_text(json.dumps({"settings": {"steps": 200, "minutes": 0.0}}))
        assert log.read_training(training).is_done

    def test_the_share_of_minutes_counts_too(self, log, training):
        (training / "training.json").write_text(json.dumps({"settings": {"steps": 1000, "minutes": 5.0}}))
        assert log.read_training(training).progress == pytest.approx(0.8)

    def test_before_the_first_step(self, log, tmp_path):
        (tmp_path / "log.csv").write_text(STEP)
        assert "not taken its first step" in log.read_training(tmp_path).told(NOW)

    @pytest.mark.parametrize("text", ["", "no json", '{"settings": null}', "[]"])
    def test_an_odd_description_is_no_matter(self, log, training, text):
        (training / "training.json").write_text(text)
        assert log.read_training(training).progress == 0

    def test_of_several_rounds_the_last_one(self, log, tmp_path):
        for number, changed in (("1", NOW + 100), ("2", NOW)):
            (tmp_path / "rounds" / number).mkdir(parents=True)
            write(tmp_path / "rounds" / number, changed=changed)
        assert log.find_training(tmp_path) == tmp_path / "rounds" / "1"
        write(tmp_path)
        assert log.find_training(tmp_path) == tmp_path

    def test_smoothing_keeps_a_constant_and_gaps(self, log):
        assert log.smoothed([2.0, 2.0, 2.0], 0.9) == pytest.approx([2.0, 2.0, 2.0])
        assert log.smoothed([1.0, 0.0], 0.5) == pytest.approx([1.0, 1 / 3])
        found = log.smoothed([1.0, math.nan, 1.0], 0.9)
        assert math.isnan(found[1]) and found[2] == pytest.approx(1.0)

    @pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (10_000, "2.8 h")])
    def test_durations(self, log, seconds, text):
        assert log.duration(seconds) == text


class TestChart:
    """Drawing."""

    @pytest.fixture
    def chart(self, module, qtbot):
        self.module = module("dialogs.curve_chart")
        chart = self.module.CurveChart("Loss")
        qtbot.addWidget(chart)
        chart.resize(600, 200)
        return chart

    def curve(self, x, y, **how):
        return self.module.Curve("loss", QColor("#ff0000"), x, y, **how)

    def test_a_curve_is_where_its_values_are(self, chart):
        chart.show_curves([self.curve([0, 100], [0.0, 1.0])], 100)
        picture, plot = chart.grab().toImage(), chart._plot()
        low, high = chart._range()
        assert low == 0.0 and high == pytest.approx(1.15)
        middle = QPoint(round(plot.center().x()), round(plot.bottom() - 0.5 / high * plot.height()))
        assert any(is_red(picture.pixelColor(middle.x(), middle.y() + shift)) for shift in (-1, 0, 1))
        assert not is_red(picture.pixelColor(middle.x(), round(plot.top() + 10)))

    def test_the_value_next_to_the_cursor(self, chart):
        curve = self.curve([1, 2, 3, 10], [0.1, math.nan, 0.3, 1.0])
        assert [curve.at(x) for x in (0, 1.4, 2.9, 100)] == [0.1, 0.1, 0.3, 1.0]
        assert math.isnan(self.curve([1], [math.nan]).at(1))

    def test_mouse_and_arrows_point(self, chart, qtbot):
        chart.show_curves([self.curve([0, 100], [0.0, 1.0])], 100)
        places = []
        chart.pointed.connect(places.append)
        chart.pointed.connect(chart.mark)
        plot = chart._plot()
        chart.show()
        QTest.mouseMove(chart, plot.center().toPoint())
        qtbot.waitUntil(lambda: bool(places))
        assert places[-1] == pytest.approx(50, abs=1)
        QTest.keyClick(chart, Qt.Key.Key_Right)
        assert places[-1] == pytest.approx(51, abs=1)
        chart.leaveEvent(QEvent(QEvent.Type.Leave))
        assert places[-1] is None

    def test_gaps_part_a_curve_and_many_values_are_thinned(self, chart):
        plot = chart._plot()
        pieces = list(self.module.pieces([1, 2, 3, 4], [0.1, math.nan, 0.3, 0.4], plot, 4, 0, 1))
        assert [piece.count() for piece in pieces] == [1, 2]
        x = list(range(100_000))
        (piece,) = self.module.pieces(x, [0.5] * len(x), plot, len(x), 0, 1)
        assert piece.count() <= 2.1 * plot.width()

    @pytest.mark.parametrize(
        ("low", "high", "found"),
        [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0, 1000, [0, 250, 500, 750, 1000]), (0.31, 0.39, [0.32, 0.34, 0.36, 0.38])],
    )
    def test_ticks_are_round(self, module, low, high, found):
        assert module("dialogs.curve_chart").ticks(low, high, 4) == pytest.approx(found)

    @pytest.mark.parametrize(("value", "text"), [(0, "0"), (1234.4, "1234"), (0.61234, "0.612"), (0.00003, "3e-05")])
    def test_numbers_are_short(self, module, value, text):
        assert module("dialogs.curve_chart").readable(value) == text


def is_red(colour):
    return colour.red() > 180 and colour.green() < 120 and colour.blue() < 120


class TestWindow:
    """The window on a training's folder."""

    @pytest.fixture
    def window(self, module, qtbot):
        QgsSettings().remove("rock_glacier_mapper/last_training")
        curves = module("dialogs.training_curves")
        window = curves.TrainingCurves()
        qtbot.addWidget(window)
        return window

    def test_without_a_training_it_says_what_to_choose(self, window, tmp_path):
        window.show_training()
        assert "Choose the folder" in window._state.text() and not window._open.isEnabled()
        window._folder.setFilePath(str(tmp_path))
        assert "No training has written" in window._state.text()

    def test_it_shows_the_training_that_was_started_last(self, window, training):
        QgsSettings().setValue("rock_glacier_mapper/last_training", str(training))
        window.show_training()
        assert "step 200" in window._state.text()
        loss, validation = (window.charts[name]._curves for name in ("loss", "validation"))
        assert [curve.name for curve in loss] == ["training", "validation"] and len(loss[0].y) == 200 and len(loss[1].y) == 4
        assert [curve.name for curve in validation] == ["IoU", "F1", "precision", "recall"]
        assert "IoU 0.45" in window.charts["validation"].accessibleDescription()

    def test_it_draws_what_comes_while_it_is_open(self, window, training, qtbot):
        write(training, steps=100)
        window._timer.setInterval(20)
        window.show_training(str(training))
        assert len(window.charts["loss"]._curves[0].y) == 100
        write(training, steps=150, changed=NOW + 5)
        qtbot.waitUntil(lambda: len(window.charts["loss"]._curves[0].y) == 150)
        window.hide()
        assert not window._timer.isActive()

    def test_smoothing_is_kept_and_none_shows_the_steps_themselves(self, window, module, training, qtbot):
        window.show_training(str(training))
        assert window.charts["loss"]._curves[0].behind
        window._smoothing.setValue(0)
        curve = window.charts["loss"]._curves[0]
        assert not curve.behind and curve.y[0] == 1.0 and curve.y[1] == 0.5
        window.close()
        another = module("dialogs.training_curves").TrainingCurves()
        qtbot.addWidget(another)
        assert another._smoothing.value() == 0
        QgsSettings().remove("rock_glacier_mapper/training_curves")

    def test_a_place_is_marked_in_all_charts(self, window, training):
        window.show_training(str(training))
        window.charts["loss"].pointed.emit(120.0)
        assert {chart._marked for chart in window.charts.values()} == {120.0}
        assert "IoU 0.4" in window.charts["validation"].values_at(120.0)

    def test_the_letters_take_the_colours_of_the_theme(self, window, training):
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Base, QColor("#101010"))
        window.setPalette(palette)
        window.resize(700, 600)
        window.show_training(str(training))
        chart = window.charts["learning_rate"]
        plot = chart._plot()
        assert chart.grab().toImage().pixelColor(round(plot.right() - 3), round(plot.bottom() - 3)).lightness() < 40
