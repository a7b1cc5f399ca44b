"""Split here: proposed cuts, drawn lines, and what happens without engine, without rasters, and when the outline changes."""

from __future__ import annotations

import pytest
from qgis.core import QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, Qt

from tests.plugin.canvas import click, items, look_at, move, press
from tests.plugin.reviews import make_review

SLOWEST_MS = 30_000
POLYGON = QgsGeometry.fromWkt("POLYGON((0 0,100 0,100 100,0 100,0 0))")
# line, and whether it cuts the square of 100 m once it is lengthened
LINES = {
    "from outside to outside": ("LINESTRING(50 -10,50 110)", True),
    "from the boundary to the boundary": ("LINESTRING(50 0,50 100)", True),
    "a little short at both ends": ("LINESTRING(50 5,50 92)", True),
    "a little short, slanting": ("LINESTRING(20 4,50 50,90 95)", True),
    "half the way": ("LINESTRING(50 -10,50 40)", False),
    "far too short": ("LINESTRING(50 40,50 60)", False),
    "beside": ("LINESTRING(150 0,150 100)", False),
}


@pytest.fixture
def split_tool(module):
    return module("dialogs.review.split_tool")


@pytest.mark.parametrize(("line", "cuts"), LINES.values(), ids=LINES)
def test_lines_a_little_short_reach_the_boundary(split_tool, line, cuts):
    longer = split_tool.lengthened(QgsGeometry.fromWkt(line), POLYGON)
    outside = POLYGON.boundingBox()
    ends = [
        not outside.contains(QgsPointXY(vertex)) for vertex in (longer.vertexAt(0), longer.vertexAt(longer.constGet().nCoordinates() - 1))
    ]
    assert (all(ends) and longer.intersects(POLYGON)) == cuts


def test_a_line_that_reaches_far_enough_stays_as_it_is(split_tool):
    line = QgsGeometry.fromWkt("LINESTRING(50 -10,55 50,50 110)")
    assert split_tool.lengthened(line, POLYGON).equals(line)


LEFT, BOTTOM = 600100.0, 3099600.0
"""Lower left corner of the first predicted box of the test sessions, 200 m x 200 m."""


@pytest.fixture
def session(module, tmp_path, qgis_new_project):
    opened = []

    def open_session(**given):
        review = module("dialogs.review.session").Review(make_review(tmp_path, **given), "Ann", QgsProject.instance())
        opened.append(review)
        review.show(review.queue.uid_at(0))
        return review

    yield open_session
    for review in opened:
        review.close()
    QgsProject.instance().clear()


@pytest.fixture
def start_tool(split_tool, qgis_canvas):
    def start(review):
        look_at(qgis_canvas, review.crs, review.outline(review.current))
        tool = split_tool.SplitTool(review, qgis_canvas)
        qgis_canvas.setMapTool(tool)
        return tool

    yield start
    if qgis_canvas.mapTool() is not None:
        qgis_canvas.unsetMapTool(qgis_canvas.mapTool())


def areas(review):
    return sorted(round(feature.geometry().area()) for feature in review.outlines.getFeatures())


def draw(canvas, *places):
    for x, y in places:
        click(canvas, LEFT + x, BOTTOM + y)


def test_a_drawn_line_splits_on_right_click(session, start_tool, qgis_canvas, no_engine):
    review = session()
    uid, before = review.current, areas(review)
    start_tool(review)
    draw(qgis_canvas, (50, -40), (50, 240))
    assert areas(review) == before
    click(qgis_canvas, LEFT + 50, BOTTOM + 240, Qt.MouseButton.RightButton)
    assert review.outline(uid).area() == pytest.approx(150 * 200, rel=0.02)
    parts = [feature for feature in review.outlines.getFeatures() if feature["parent"] == uid]
    assert [part.geometry().area() for part in parts] == [pytest.approx(50 * 200, rel=0.06)]
    review.undo()
    assert areas(review) == before


def test_the_keys_of_a_drawing_tool(session, start_tool, qgis_canvas, no_engine):
    review = session()
    before = areas(review)
    start_tool(review)
    draw(qgis_canvas, (50, -40), (50, 240))
    press(qgis_canvas, Qt.Key.Key_Escape)
    press(qgis_canvas, Qt.Key.Key_Return)
    assert areas(review) == before
    draw(qgis_canvas, (100, -40), (150, 100))
    press(qgis_canvas, Qt.Key.Key_Backspace)
    draw(qgis_canvas, (100, 240))
    press(qgis_canvas, Qt.Key.Key_Return)
    assert review.outline(review.current).area() == pytest.approx(100 * 200, rel=0.03)


def test_a_drawn_line_may_be_a_little_short(session, start_tool, qgis_canvas, no_engine):
    review = session()
    start_tool(review)
    draw(qgis_canvas, (100, 8), (100, 190))
    press(qgis_canvas, Qt.Key.Key_Return)
    assert review.outline(review.current).area() == pytest.approx(100 * 200, rel=0.03)


def test_a_line_that_does_not_cut_is_said_and_changes_nothing(session, start_tool, qgis_canvas, no_engine, qtbot):
    review = session()
    before = areas(review)
    start_tool(review)
    draw(qgis_canvas, (-50, 10), (-50, 190))
    with qtbot.waitSignal(review.said):
        press(qgis_canvas, Qt.Key.Key_Return)
    assert areas(review) == before


def test_without_the_engine_it_says_once_that_lines_are_drawn(session, start_tool, qgis_canvas, no_engine):
    review = session()
    said = []
    review.said.connect(lambda text, _level: said.append(text))
    start_tool(review)
    review.show(review.queue.uid_at(1))
    assert len(said) == 1 and "ngine" in said[0]


def test_without_rasters_it_says_once_that_lines_are_drawn(session, start_tool):
    review = session(probability=False, dem=False)
    said = []
    review.said.connect(lambda text, _level: said.append(text))
    tool = start_tool(review)
    review.show(review.queue.uid_at(1))
    assert len(said) == 1 and tool.proposals == []


@pytest.fixture
def two_bodies(session):
    """A session whose current outline is two bodies that a neck joins, as the probability shows."""
    review = session(dem=False)
    left, bottom = 600020.0, 3099120.0
    review.show(review.queue.uid_at(5))
    wkt = (
        f"POLYGON(({left} {bottom},{left + 200} {bottom},{left + 200} {bottom + 85},{left + 260} {bottom + 85},{left + 260} {bottom},"
        f"{left + 460} {bottom},{left + 460} {bottom + 200},{left + 260} {bottom + 200},{left + 260} {bottom + 115},"
        f"{left + 200} {bottom + 115},{left + 200} {bottom + 200},{left} {bottom + 200},{left} {bottom}))"
    )
    review.set_outline(review.current, QgsGeometry.fromWkt(wkt), "edit")
    return review


def test_the_engines_cut_lights_up_and_a_click_makes_it(two_bodies, start_tool, qgis_canvas, engine, qtbot):
    review = two_bodies
    uid = review.current
    tool = start_tool(review)
    qtbot.waitUntil(lambda: bool(tool.proposals), timeout=SLOWEST_MS)
    assert all(0 <= proposal.score <= 1 for proposal in tool.proposals)
    middle = tool.proposals[0].line.interpolate(tool.proposals[0].line.length() / 2).asPoint()
    assert 600220 < middle.x() < 600280
    move(qgis_canvas, middle.x(), middle.y())
    assert tool._pointed is tool.proposals[0]
    click(qgis_canvas, middle.x(), middle.y())
    assert tool.proposals == []
    assert review.outline(uid).area() < 0.6 * (2 * 200 * 200 + 60 * 30)
    assert sum(feature["parent"] == uid for feature in review.outlines.getFeatures()) == 1


# proposals without waiting for the engine


@pytest.fixture
def proposing(split_tool, start_tool, monkeypatch, session):
    """A tool whose engine has not answered yet, its review, and a proposed cut of the outline."""
    started = []

    class Task(QObject):
        def __init__(self, description, job, on_result, on_failure):
            super().__init__()
            self.job, self.on_result, self.on_failure, self.is_cancelled = job, on_result, on_failure, False

        def start(self):
            started.append(self)
            return self

        def cancel(self):
            self.is_cancelled = True

    monkeypatch.setattr(split_tool, "EngineTask", Task)
    monkeypatch.setattr(split_tool, "engine_state", lambda: split_tool.EngineState.READY)
    review = session()
    tool = start_tool(review)
    line = QgsGeometry.fromWkt(f"LINESTRING({LEFT + 80} {BOTTOM},{LEFT + 80} {BOTTOM + 200})")
    return review, tool, split_tool.Proposal(line, 0.8), started


def test_a_digit_takes_a_proposal(proposing, qgis_canvas):
    review, tool, proposal, _ = proposing
    tool._propose([proposal])
    press(qgis_canvas, Qt.Key.Key_1)
    assert review.outline(review.current).area() == pytest.approx(120 * 200, rel=1e-3)


def test_a_person_can_draw_while_the_engine_works(proposing, qgis_canvas):
    review, tool, proposal, _ = proposing
    draw(qgis_canvas, (100, -40))
    tool._propose([proposal])
    draw(qgis_canvas, (100, 240))
    press(qgis_canvas, Qt.Key.Key_Enter)
    assert review.outline(review.current).area() == pytest.approx(100 * 200, rel=0.03)


def test_a_new_outline_drops_proposals_and_work_of_the_old(proposing):
    review, tool, proposal, started = proposing
    tool._propose([proposal])
    review.show(review.queue.uid_at(1))
    assert tool.proposals == []
    assert [task.is_cancelled for task in started] == [True, False]


def test_a_changed_outline_is_looked_at_again(proposing, qtbot):
    review, tool, proposal, started = proposing
    tool._propose([proposal])
    review.accept([review.current])
    assert tool.proposals == [proposal]
    review.set_outline(review.current, review.outline(review.current).buffer(-5, 1), "edit")
    assert tool.proposals == []
    qtbot.waitUntil(lambda: len(started) == 2, timeout=SLOWEST_MS)


def test_a_failure_of_the_engine_is_said(proposing, qtbot):
    review, _, _, started = proposing
    with qtbot.waitSignal(review.said) as said:
        started[0].on_failure("The disk is full.")
    assert "The disk is full." in said.args[0]


def test_work_that_a_person_cancelled_is_forgotten(proposing):
    review, tool, _, started = proposing
    sip.delete(started[0])
    review.show(review.queue.uid_at(1))
    assert len(started) == 2


def test_no_proposal_is_said(proposing, qtbot):
    review, tool, _, _ = proposing
    with qtbot.waitSignal(review.said):
        tool._propose([])


def test_nothing_stays_on_the_map(proposing, qgis_canvas):
    _, tool, proposal, started = proposing
    tool._propose([proposal])
    draw(qgis_canvas, (100, -40))
    qgis_canvas.grab()  # paints the proposals
    with_tool = items(qgis_canvas)
    qgis_canvas.unsetMapTool(tool)
    assert items(qgis_canvas) == with_tool - 2
    assert started[0].is_cancelled


def test_a_review_that_closes_takes_the_tool_away(proposing, qgis_canvas):
    review, tool, proposal, _ = proposing
    tool._propose([proposal])
    review.close()
    assert qgis_canvas.mapTool() is not tool
    assert tool.proposals == []
