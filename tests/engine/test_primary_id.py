"""PrimaryID: published ids, hemispheres, rounding, ids that are frozen, ids that collide."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer

from engine.primary_id import is_primary_id, markers, primary_ids, repeated

DEGREES = CRS.from_epsg(4326)


def around(longitude: float, latitude: float, size: float = 0.001) -> shapely.Polygon:
    """A square in degrees whose point on surface is its middle."""
    return shapely.box(longitude - size, latitude - size, longitude + size, latitude + size)


def ids_of(*outlines: shapely.Geometry, crs: CRS = DEGREES, **options: object) -> list[str]:
    return list(primary_ids(np.array(outlines, dtype=object), crs, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("longitude", "latitude", "expected"),
    [
        pytest.param(-109.2526, 38.4455, "RGU384455N1092526W", id="La Sal Mountains, published"),
        pytest.param(97.2426, 28.1527, "RGU281527N0972426E", id="TPRoGI, published"),
        pytest.param(-69.9501, -33.0123, "RGU330123S0699501W", id="Andes, southern hemisphere"),
        pytest.param(7.5, 1.25, "RGU012500N0075000E", id="zeros in front"),
        pytest.param(11.00004, 46.99996, "RGU470000N0110000E", id="rounded down and up to 1e-4"),
        pytest.param(0.0, 0.0, "RGU000000N0000000E", id="null island"),
        pytest.param(180.0, 66.0, "RGU660000N1800000E", id="on the antimeridian"),
    ],
)  # fmt: skip
def test_id_of_a_place(longitude: float, latitude: float, expected: str) -> None:
    assert ids_of(around(longitude, latitude)) == [expected]
    assert len(expected) == 18
    assert is_primary_id(expected)


def test_systems_have_their_own_prefix() -> None:
    assert ids_of(around(97.2426, 28.1527), prefix="RGS") == ["RGS281527N0972426E"]


def test_id_is_that_of_wgs84_whatever_the_crs() -> None:
    outline = around(97.2426, 28.1527)
    for epsg in (32647, 3857, 8857):
        crs = CRS.from_epsg(epsg)
        drawn = shapely.transform(outline, Transformer.from_crs(4326, crs, always_xy=True).transform, interleaved=False)
        assert ids_of(drawn, crs=crs) == ["RGU281527N0972426E"], epsg


def test_a_bent_tongue_is_marked_on_its_surface() -> None:
    bent = shapely.Polygon([(10, 46), (10.01, 46), (10.01, 46.0005), (10.0005, 46.0005), (10.0005, 46.01), (10, 46.01)])
    assert not bent.contains(bent.centroid)
    longitude, latitude = markers(np.array([bent], dtype=object), DEGREES)
    assert bent.contains(shapely.Point(longitude[0], latitude[0]))
    assert ids_of(bent) == ids_of(around(longitude[0], latitude[0]))


@pytest.mark.parametrize(
    "outline",
    [
        shapely.Polygon([(179.998, 66), (-179.999, 66), (-179.999, 66.002), (179.998, 66.002)]),
        shapely.MultiPolygon([shapely.box(179.998, 66, 180, 66.002), shapely.box(-180, 66, -179.999, 66.002)]),
        shapely.box(179.998, 66, 180.001, 66.002),
        shapely.box(-180.002, 66, -179.999, 66.002),
    ],
    ids=["jumping", "cut", "beyond 180", "beyond -180"],
)
def test_across_the_antimeridian(outline: shapely.Geometry) -> None:
    assert ids_of(outline) == ["RGU660010N1799995E"]


def test_existing_ids_are_frozen_and_others_are_given() -> None:
    outlines = [around(10, 46), around(11, 46), around(12, 46), around(13, 46), around(14, 46)]
    existing = np.array(["RGU450000N0090000E", None, "old 12", float("nan"), "RGU999999N0140000E"], dtype=object)
    assert ids_of(*outlines, existing=existing) == [
        "RGU450000N0090000E", "RGU460000N0110000E", "RGU460000N0120000E", "RGU460000N0130000E", "RGU460000N0140000E",
    ]  # fmt: skip


def test_existing_ids_that_repeat_are_kept_and_found() -> None:
    same = "RGU450000N0090000E"
    ids = primary_ids(np.array([around(10, 46)] * 3, dtype=object), DEGREES, np.array([same, same, None], dtype=object))
    assert list(ids) == [same, same, "RGU460000N0100000E"]
    assert repeated(ids) == [same]
    assert repeated(np.array([None, None, "a"], dtype=object)) == []


def test_new_ids_do_not_collide() -> None:
    ids = ids_of(*[around(10, 46)] * 6)
    assert ids == [
        "RGU460000N0100000E", "RGU460001N0100000E", "RGU460000N0099999E", "RGU460000N0100001E", "RGU459999N0100000E", "RGU460001N0099999E",
    ]  # fmt: skip
    assert ids_of(*[around(10, 46)] * 6) == ids


def test_a_new_id_does_not_take_one_that_a_later_outline_has() -> None:
    existing = np.array([None, "RGU460000N0100000E"], dtype=object)
    assert ids_of(around(10, 46), around(10, 46), existing=existing) == ["RGU460001N0100000E", "RGU460000N0100000E"]


@pytest.mark.parametrize(
    "value",
    ["RGU910000N0100000E", "RGU460000N1800001E", "RGX460000N0100000E", "RGU46000N0100000E", "RGU460000N0100000E ", "", None, 3, np.nan],
)
def test_no_primary_id(value: object) -> None:
    assert not is_primary_id(value)


def test_outlines_without_a_place() -> None:
    assert ids_of() == []
    assert ids_of(shapely.Polygon(), around(10, 46)) == [None, "RGU460000N0100000E"]
