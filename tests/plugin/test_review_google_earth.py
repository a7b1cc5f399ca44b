"""The current outline as KML: where it is, what is around it, and what is said where no program opens it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsGeometry, QgsProject
from qgis.PyQt.QtCore import QUrl

from tests.plugin.samples import square

KML = "{http://www.opengis.net/kml/2.2}"
MIDDLE = (88.0192, 28.0188)
"""Degrees, of the first predicted outline: 600200 E, 3099700 N in UTM 45."""


@pytest.fixture
def google_earth(module):
    return module("dialogs.review.google_earth")


@pytest.fixture
def opened(google_earth, monkeypatch):
    """What QGIS was asked to open, and whether a program does."""

    class Services:
        urls: list[QUrl] = []
        fine = True

        @classmethod
        def openUrl(cls, url):
            cls.urls.append(url)
            return cls.fine

    monkeypatch.setattr(google_earth, "QDesktopServices", Services)
    return Services


@pytest.fixture
def said(review):
    said = []
    review.said.connect(lambda text, _level: said.append(text))
    return said


def uid_of(review, source_id, source="predicted"):
    return next(review.outlines.getFeatures(f"source = '{source}' AND source_id = '{source_id}'"))["uid"]


def rings(place):
    return [[tuple(map(float, point.split(","))) for point in ring.text.split()] for ring in place.iter(f"{KML}coordinates")]


def test_the_outline_and_its_counterparts_where_they_are(google_earth, review, opened, said):
    review.show(uid_of(review, 1))
    path = google_earth.open_in_google_earth(review)
    assert opened.urls[-1].toLocalFile() == str(path) and not said
    document = ElementTree.parse(path).getroot().find(f"{KML}Document")
    assert [place.find(f"{KML}name").text for place in document.iter(f"{KML}Placemark")] == [
        "Outline: 1",
        "Manual outlines: 1",
        "Outlines as predicted: 1",
    ]
    look = document.find(f"{KML}LookAt")
    longitude, latitude, distance = (float(look.find(f"{KML}{name}").text) for name in ("longitude", "latitude", "range"))
    assert (longitude, latitude) == pytest.approx(MIDDLE, abs=1e-3) and distance == google_earth.SHORTEST_RANGE_M
    outline = next(document.iter(f"{KML}Placemark"))
    (ring,) = rings(outline)
    assert len(ring) == 5 and ring[0] == ring[-1]
    assert sum(point[0] for point in ring[:4]) / 4 == pytest.approx(longitude, abs=1e-4)
    assert document.find(f"{KML}Style[@id='outline']/{KML}PolyStyle/{KML}fill").text == "0"
    assert [child.tag for child in document].index(f"{KML}Placemark") > [child.tag for child in document].index(f"{KML}Style")


def test_a_false_one_is_alone_and_parts_and_holes_are_kept(google_earth, review, opened):
    uid = uid_of(review, 12)
    review.show(uid)
    holed = QgsGeometry.fromWkt(square(601000, 3098600, 400)).difference(QgsGeometry.fromWkt(square(601100, 3098700, 100)))
    review.set_outline(uid, QgsGeometry.collectGeometry([holed, QgsGeometry.fromWkt(square(601500, 3098600, 100))]), "edit")
    document = ElementTree.parse(google_earth.open_in_google_earth(review)).getroot()
    places = list(document.iter(f"{KML}Placemark"))
    assert [place.find(f"{KML}styleUrl").text for place in places] == ["#outline", "#predicted"]
    assert len(list(places[0].iter(f"{KML}outerBoundaryIs"))) == 2 and len(list(places[0].iter(f"{KML}innerBoundaryIs"))) == 1


def test_a_large_one_is_looked_at_from_farther_away(google_earth, qgis_new_project):
    large = QgsGeometry.fromWkt("POLYGON((600000 3098000,602000 3098000,602000 3100000,600000 3100000,600000 3098000))")
    document = google_earth.kml("large", {"outline": ("Outline", large)}, QgsCoordinateReferenceSystem("EPSG:32645"), QgsProject.instance())
    distance = float(document.getroot().find(".//range").text)
    assert distance == pytest.approx(2.5 * 2000 * 2**0.5, rel=0.01)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_any_reference_system_leads_to_the_same_place(google_earth, qgis_new_project, crs):
    here, there = QgsCoordinateReferenceSystem("EPSG:32645"), QgsCoordinateReferenceSystem(crs)
    shape = QgsGeometry.fromWkt("POLYGON((600100 3099600,600300 3099600,600300 3099800,600100 3099600))")
    moved = QgsGeometry(shape)
    moved.transform(QgsCoordinateTransform(here, there, QgsProject.instance()))
    one, other = (
        google_earth.kml("a", {"outline": ("Outline", geometry)}, system, QgsProject.instance())
        for geometry, system in ((shape, here), (moved, there))
    )
    for first, second in zip(*(next(tree.getroot().iter("coordinates")).text.split() for tree in (one, other))):
        assert [float(value) for value in first.split(",")] == pytest.approx([float(value) for value in second.split(",")], abs=1e-6)


def test_where_nothing_opens_it_the_person_learns_where_it_is(google_earth, review, opened, said):
    opened.fine = False
    review.show(uid_of(review, 1))
    path = google_earth.open_in_google_earth(review)
    assert len(said) == 1 and str(path) in said[0] and "earth.google.com" in said[0]
    assert path.is_file()


def test_without_an_outline_nothing_is_opened(google_earth, review, opened, said):
    count = len(opened.urls)
    assert google_earth.open_in_google_earth(review) is None
    assert len(opened.urls) == count and said == ["Choose an outline first."]
