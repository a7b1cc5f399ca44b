"""The report and its figures: complete, self-contained, honest about what is unknown, and of the size that papers want."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from PIL import Image
from pyproj import CRS

from engine import figures, report
from engine.accuracy import AREA_FIGURES, OBJECT_FIGURES, PIXEL_FIGURES, RULES
from engine.assess import assess
from engine.boundary_distances import BOUNDARY_FIGURES, SECTION_FIGURES
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, write_polygons
from jobs import AssessJob

ROOT = Path(__file__).resolve().parents[2]
UTM, DEGREES = CRS(32645), CRS(4326)
DEFINITIONS = [
    *RULES.values(),
    *(text for table in (OBJECT_FIGURES, AREA_FIGURES, PIXEL_FIGURES, BOUNDARY_FIGURES) for text in table.values()),
]
VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """A page's text, the resources that it names, and its elements' balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.resources: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.resources += [value or "" for name, value in attributes if name in ("src", "href", "data")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def squares(*corners: tuple[float, float], side: float = 200.0) -> list[shapely.Polygon]:
    return [shapely.box(500_000 + x, 3_000_000 + y, 500_000 + x + side, 3_000_000 + y + side) for x, y in corners]


def report_of(
    folder: Path, predicted: list[shapely.Polygon], reference: list[shapely.Polygon], name: str = "mapped", **options: Any
) -> str:
    for side, outlines in ((name, predicted), ("manual", reference)):
        write_polygons(folder / f"{side}.gpkg", PolygonLayer(np.array(outlines, dtype=object), UTM), "outlines")
    job = AssessJob(str(folder / f"{name}.gpkg"), str(folder / "manual.gpkg"), report=str(folder / "report.html"), **options)
    assess(job, SilentReporter())
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    return report_of(folder, squares((0, 0), (1000, 0), (3000, 0)), squares((20, 0), (1000, 30), (5000, 0), (7000, 0)))


def test_the_page_needs_nothing_else(html):
    page = Page(html)
    assert len(page.resources) == 3
    assert all(resource.startswith("data:image/svg+xml;base64,") for resource in page.resources)
    assert not re.search(r"<script|@import|url\(", html)
    assert len(html) < 1_000_000


def test_numbers_stand_there_with_their_intervals(html):
    text = " ".join(Page(html).text.split())
    assert "2 of 4 reference outlines were found" in text
    assert re.search(r"User's accuracy\s+TP / \(TP \+ FP\), predicted outlines\s+0\.6667\s+20\.8–93\.9", text)
    assert re.search(r"1-1 one reference outline, one predicted outline 2 2 2", text)
    assert re.search(r"mapped\.gpkg EPSG:32645 3 3", text)


def test_every_number_has_its_definition_in_the_report_and_in_the_documentation(html):
    text = Page(html).text
    documentation = " ".join((ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8").split())
    for definition in DEFINITIONS:
        assert definition in text, definition
        assert definition in documentation, definition
    for definition in SECTION_FIGURES.values():
        assert definition in documentation, definition


@pytest.mark.parametrize(
    ("predicted", "reference", "reason"),
    [
        ([], squares((0, 0)), "There are no predicted outlines"),
        (squares((0, 0)), [], "There are no reference outlines"),
        ([], [], "There are neither predicted nor reference outlines"),
        (squares((0, 0)), squares((900, 0)), "No predicted outline shares ground with a reference outline"),
        (squares((0, 0)), squares((0, 0)), "nobody knows how far the background reaches"),
    ],
    ids=["nothing predicted", "no reference", "nothing at all", "no overlap", "no background"],
)
def test_what_is_unknown_is_a_dash_with_its_reason(tmp_path, predicted, reference, reason):
    text = Page(report_of(tmp_path, predicted, reference)).text
    assert f"–: {reason}" in text or reason in text
    assert "–" in text
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_names_of_files_are_text(tmp_path):
    html = report_of(tmp_path, squares((0, 0)), squares((0, 0)), name="<b>mapped & drawn")
    assert "<b>mapped" not in html
    assert "Accuracy of <b>mapped & drawn.gpkg" in Page(html).text


def test_the_figures_files_are_those_of_the_report(tmp_path):
    html = report_of(tmp_path, squares((0, 0)), squares((20, 0)), figures=str(tmp_path / "figures"))
    assert len(html) > sum(path.stat().st_size for path in (tmp_path / "figures").glob("*.svg"))
    for path in (tmp_path / "figures").glob("*.svg"):
        size = ElementTree.parse(path).getroot().attrib
        assert float(size["width"].removesuffix("pt")) == pytest.approx(170 / 25.4 * 72, abs=0.5)
    for path in (tmp_path / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width == pytest.approx(170 / 25.4 * 300, abs=2)
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (report.number(-3.94, 2, sign=True), "−3.94"),
        (report.number(12.38, 2, sign=True), "+12.38"),
        (report.number(None), "–"),
        (report.count(1234567), "1\u202f234\u202f567"),
        (report.percent(178 / 190), "93.7\u202f%"),
        (report.percent(None), "–"),
        (report.interval([0.8929, 0.9636]), "89.3–96.4\u202f%"),
        (report.interval(None), "–"),
        (report.size_ranges(), ["< 0.10", "0.10–0.50", "0.50–1.00", "≥ 1.00"]),
    ],
)
def test_how_numbers_are_written(shown, expected):
    assert shown == expected


class TestFigures:
    CLASSES = [("small", "< 0.10"), ("medium_s", "0.10–0.50"), ("medium_l", "0.50–1.00"), ("large", "≥ 1.00")]

    def svg(self, make: Any) -> str:
        with figures.style():
            return figures.rendered(make(), "svg").decode()

    def texts(self, make: Any) -> str:
        """What is written in a figure."""
        import matplotlib  # noqa: PLC0415

        with figures.style(), matplotlib.rc_context({"svg.fonttype": "none"}):
            root = ElementTree.fromstring(figures.rendered(make(), "svg"))
        return "\n".join("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))

    def areas(self, count: int, spread: float = 0.1) -> Any:
        rng = np.random.default_rng(1)
        reference = np.exp(rng.normal(-1.6, 1.0, count))
        predicted = reference * np.exp(rng.normal(0, spread, count))
        size_class = np.digitize(reference, (0.1, 0.5, 1.0))
        return figures.areas(reference, predicted, size_class, self.CLASSES, {"slope": 1.02, "intercept_km2": -0.004, "r2": 0.98})

    def test_areas_say_line_regression_and_counts(self):
        words = self.texts(lambda: self.areas(60))
        for word in ("1:1 line", "y = 1.020 x − 0.0040", "R² = 0.980", "n = 60", "medium_s", "Reference area (km²)", "Area deviation (%)"):
            assert word in words
        assert sum(int(count) for count in re.findall(r"^n = (\d+)$", words, re.MULTILINE)) == 2 * 60

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_areas_of_few(self, count):
        words = self.texts(lambda: self.areas(count))
        assert ("no correspondence" in words) == (count == 0)

    def test_what_lies_beyond_the_axis_is_counted(self):
        deviation_percent = np.array([*np.linspace(-10, 10, 60), 5000.0])
        reference = np.full(61, 0.2)
        predicted = reference * (1 + deviation_percent / 100)
        words = self.texts(lambda: figures.areas(reference, predicted, np.ones(61, np.intp), self.CLASSES, {}))
        assert "1 beyond" in words

    def test_the_same_numbers_give_the_same_file(self):
        assert self.svg(lambda: self.areas(20)) == self.svg(lambda: self.areas(20))

    def test_boundaries(self):
        rng = np.random.default_rng(2)
        distances = {"mean": rng.random(40), "Hausdorff": 5 * rng.random(40)}
        words = self.texts(lambda: figures.boundaries(np.append(np.full(40, -3.24), np.nan), distances, {}))
        assert "median −3.2 m, n = 40" in words
        assert "Hausdorff" in words
        assert "no boundary to compare" in self.texts(lambda: figures.boundaries(np.empty(0), {"mean": np.empty(0)}, {}))

    def test_boundaries_by_section(self):
        sections = {"front": np.array([-30.0, -20.0, np.nan]), "upslope": np.array([1.0, np.nan, np.nan])}
        words = self.texts(lambda: figures.boundaries(np.zeros(3), {"mean": np.ones(3)}, sections))
        assert re.findall(r"^n = (\d)$", words, re.MULTILINE) == ["3", "2", "1"]
        assert "upslope" in words

    def map_of(self, count: int, crs: CRS = UTM, size: float = 300.0) -> Any:
        rng = np.random.default_rng(3)
        places = rng.random((count, 2)) * 1000 * np.sqrt(count)
        outlines = shapely.buffer(shapely.points(places + [600_000, 3_100_000]), size, quad_segs=4)
        if crs != UTM:
            outlines = PolygonLayer(outlines, UTM).in_crs(crs).geometries
        half = count // 2
        kinds = np.full(half, "1-1"), np.full(count - half, "missed")
        return figures.correspondences(outlines[:half], outlines[half:], kinds, crs)

    @pytest.mark.parametrize("crs", [UTM, DEGREES, CRS(3857)], ids=["UTM", "degrees", "Web Mercator"])
    def test_the_map_has_scale_north_and_degrees(self, crs):
        words = self.texts(lambda: self.map_of(30, crs))
        assert "1 km" in words
        assert re.search(r"^N$", words, re.MULTILINE)
        assert re.search(r"^88°\d\d′E$", words, re.MULTILINE) and re.search(r"^28°\d\d′N$", words, re.MULTILINE)
        assert "missed (15 | 0)" in words

    def test_thousands_of_outlines_are_dots_in_a_small_file(self):
        svg = self.svg(lambda: self.map_of(9000, size=60.0))
        assert len(svg) < 700_000
        assert "data:image/png;base64" in svg

    def test_no_outlines(self):
        assert "no outline" in self.texts(lambda: self.map_of(0))

    @pytest.mark.parametrize(
        ("degrees", "signs", "text"),
        [(88.5, "EW", "88°30′E"), (-70.0, "EW", "70°W"), (181.0, "EW", "179°W"), (-33.0042, "NS", "33°00′15″S"), (0.0, "NS", "0°N")],
    )
    def test_degrees_as_on_a_map(self, degrees, signs, text):
        assert figures._degrees(degrees, signs) == text
