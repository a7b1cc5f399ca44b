"""Shares of outlines on classes of a map, on maps small enough to count by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer

import engine.class_maps
from engine.class_maps import open_class_map, parse_classes
from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, write_polygons

UTM = CRS.from_epsg(32647)
LEFT, TOP, CELL = 500_000.0, 4_003_000.0, 1000.0
NODATA = 255

# Three rows of three cells of 1 km; in kilometres from the upper left corner, x east and y south, the tests draw on them.
CLASS_MAP = [[1, 0, 2], [1, 0, NODATA], [NODATA, NODATA, NODATA]]


def write_raster(path: Path, values: Any, transform: Affine | None = None, crs: str = "EPSG:32647", **profile: Any) -> Path:
    cells = np.asarray(values)
    transform = transform or Affine(CELL, 0, LEFT, 0, -CELL, TOP)
    shape = {"height": cells.shape[0], "width": cells.shape[1], "count": 1, "dtype": cells.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape, **profile) as dataset:
        dataset.write(cells, 1)
    return path


def outline(wkt_in_km: str) -> shapely.Geometry:
    """An outline drawn in kilometres east and south of the map's upper left corner."""
    return shapely.transform(shapely.from_wkt(wkt_in_km), lambda places: places * [1000, -1000] + [LEFT, TOP])


def box(left: float, top: float, right: float, bottom: float) -> str:
    return shapely.box(left, top, right, bottom).wkt


def shares(path: Path, classes: str, *outlines: shapely.Geometry, crs: CRS = UTM, buffer: float = 0.0, **where: Any) -> Any:
    with open_class_map(path, classes, **where) as class_map:
        return class_map.fraction(np.array(outlines, dtype=object), crs, SilentReporter(), buffer)


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        ("1", [1]),
        (" 1 , 3 ", [1, 3]),
        ("1;3", [1, 3]),
        ("1-3", [1, 2, 3]),
        ("0.5-2", [0.5, 1, 2]),
        ("-1", [-1]),
        ("-1-0", [-1, 0]),
        ("==1", [1]),
        ("= 1", [1]),
        ("!=1", [-1, 0, 0.5, 2, 3]),
        (">=0.5", [0.5, 1, 2, 3]),
        (">0", [0.5, 1, 2, 3]),
        ("< 0", [-1]),
        ("<=-1", [-1]),
        (">=5e-1", [0.5, 1, 2, 3]),
    ],
)
def test_classes_mean(text: str, admitted: list[float]) -> None:
    values = np.array([-1, 0, 0.5, 1, 2, 3])
    assert values[parse_classes(text).admit(values)].tolist() == admitted


@pytest.mark.parametrize("text", ["", "  ", "1,,3", ">=", ">=half", ">=0,5", ">0.1<0.5", "=>1", "3-1", ">=0.1,<=0.5"])
def test_classes_that_say_nothing_are_refused_with_examples(text: str) -> None:
    with pytest.raises(EngineError, match=">=0.5") as caught:
        parse_classes(text)
    assert caught.value.code == "map_classes"


@pytest.mark.parametrize(
    ("drawn", "share"),
    [
        (box(0.2, 0.2, 0.5, 0.5), 1.0),
        (box(1.2, 0.2, 1.5, 0.5), 0.0),
        (box(0.9, 0.2, 1.3, 0.5), 0.25),
        (box(0.99, 0.4, 1.09, 0.5), 0.1),
        (box(0.5, 0.5, 1.5, 1.5), 0.5),
        ("POLYGON ((0 0, 2 0, 0 2, 0 0))", 0.75),
        (box(2.2, 1.2, 2.5, 1.5), np.nan),
        (box(0.5, 1.75, 1.0, 2.75), 1.0),
        (box(0.5, 1.75, 1.5, 2.75), 0.5),
        (box(-0.5, 0.2, 0.5, 0.5), 1.0),
        (box(-0.9, 0.2, -0.5, 0.5), np.nan),
        (box(7, 7, 8, 8), np.nan),
    ],
    ids=[
        "within a cell of class 1",
        "within a cell of another class",
        "a quarter over class 1",
        "small against the cell, a tenth over class 1",
        "across four cells",
        "triangle over cells and half cells",
        "nothing but nodata",
        "a quarter over class 1, the rest nodata: of what is known, all",
        "a quarter known, half of that class 1",
        "half beyond the map's edge: of what is known, all",
        "beyond the map's edge",
        "far off the map",
    ],
)
def test_share_by_exact_areas(tmp_path: Path, drawn: str, share: float) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8), nodata=NODATA)
    assert shares(path, "1", outline(drawn)) == pytest.approx([share], abs=1e-6, nan_ok=True)


def test_each_outline_gets_its_own_share_whether_the_map_is_read_at_once_or_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8), nodata=NODATA)
    outlines = [outline(box(0.9, 0.2, 1.3, 0.5)), outline(box(2.2, 1.2, 2.5, 1.5)), outline(box(0.2, 0.2, 0.5, 0.5))]
    expected = pytest.approx([0.25, np.nan, 1.0], abs=1e-6, nan_ok=True)
    assert shares(path, "1", *outlines) == expected
    monkeypatch.setattr(engine.class_maps, "CELLS_AT_ONCE", 1)
    assert shares(path, "1", *outlines) == expected


def test_hole_of_an_outline_does_not_count(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8), nodata=NODATA)
    holed = shapely.difference(outline(box(0.5, 0, 1.5, 1)), outline(box(0.5, 0, 1.0, 0.5)))
    assert shares(path, "1", holed) == pytest.approx([1 / 3], abs=1e-6)


def test_nan_is_unknown_and_a_limit_has_the_precision_of_the_cells(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array([[0.7, 0.2], [np.nan, 0.7]], dtype=np.float32))
    assert shares(path, ">=0.7", outline(box(0.5, 0.2, 1.5, 0.6)), outline(box(0.2, 1.2, 0.6, 1.6))) == pytest.approx(
        [0.5, np.nan], nan_ok=True
    )


def test_cells_hidden_by_a_mask_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    write_raster(path, np.array([[1, 0]], dtype=np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.array([[255, 0]], dtype=np.uint8))
    assert shares(path, "1", outline(box(0.5, 0.2, 1.5, 0.6))) == pytest.approx([1.0])


def test_scaled_cells_are_taken_in_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    write_raster(path, np.array([[60, 40]], dtype=np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.01,)
    assert shares(path, ">=0.5", outline(box(0.5, 0.2, 1.5, 0.6))) == pytest.approx([0.5])


def test_rotated_map(tmp_path: Path) -> None:
    transform = Affine.translation(LEFT, TOP) @ Affine.rotation(-30) @ Affine.scale(CELL, -CELL)
    path = write_raster(tmp_path / "map.tif", np.array([[1, 0], [1, 0]], dtype=np.uint8), transform)
    drawn = shapely.transform(shapely.box(0.6, 0.5, 1.6, 1.5), lambda x, y: transform @ (x, y), interleaved=False)
    assert shares(path, "1", drawn) == pytest.approx([0.4], abs=1e-6)


def test_outlines_are_taken_to_the_crs_of_the_map(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8), nodata=NODATA)
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    degrees = shapely.transform(outline(box(0.9, 0.2, 1.3, 0.5)), to_degrees.transform, interleaved=False)
    assert shares(path, "1", degrees, crs=CRS.from_epsg(4326)) == pytest.approx([0.25], abs=1e-4)


def test_cells_in_degrees_are_weighed_by_their_true_area(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array([[1], [0]], dtype=np.uint8), Affine(1, 0, 10, 0, -1, 62), "EPSG:4326")
    whole, north = shapely.segmentize([shapely.box(10.2, 60, 10.8, 62), shapely.box(10.2, 61, 10.8, 62)], 0.01)
    areas = geodesic_area(np.array([whole, north], dtype=object), CRS.from_epsg(4326))
    share = shares(path, "1", whole, crs=CRS.from_epsg(4326))[0]
    assert share == pytest.approx(areas[1] / areas[0], abs=2e-4)
    assert share < 0.495


@pytest.mark.parametrize("first_longitude", [-180, 0], ids=["from -180", "from 0"])
def test_antimeridian_and_either_way_to_count_longitudes(tmp_path: Path, first_longitude: float) -> None:
    cells = np.zeros((2, 720), dtype=np.uint8)
    east_of_180 = int((180.0 - first_longitude) / 0.5) % 720
    in_the_andes = int((-70.0 - first_longitude) / 0.5) % 720
    cells[:, [east_of_180, in_the_andes]] = 1
    path = write_raster(tmp_path / "map.tif", cells, Affine(0.5, 0, first_longitude, 0, -0.5, 66.5), "EPSG:4326")
    zone_1 = CRS.from_epsg(32601)
    corners = Transformer.from_crs(4326, zone_1, always_xy=True).transform([179.97, -179.99, -179.99, 179.97], [66.0, 66.0, 66.005, 66.005])
    across = shapely.Polygon(np.column_stack(corners))
    assert shares(path, "1", across, crs=zone_1) == pytest.approx([0.25], abs=2e-3)
    assert shares(path, "1", shapely.box(-70.1, 66.1, -69.9, 66.2), crs=CRS.from_epsg(4326)) == pytest.approx([0.5], abs=1e-3)


@pytest.mark.parametrize(
    ("drawn", "buffer"),
    [
        (box(1.4, 1.4, 1.6, 1.6), 0.25),
        (box(1.0, 1.4, 1.2, 1.6), 0.5),
        (box(1.4, 1.4, 1.6, 1.6), 1.0),
        (box(0.2, 1.2, 0.4, 1.4), 2.0),
    ],
    ids=["within its cell", "half a cell", "a cell", "over the map's edge: of what is known"],
)
def test_a_buffer_of_cells_counts_with_the_outline(tmp_path: Path, drawn: str, buffer: float) -> None:
    path = write_raster(tmp_path / "map.tif", np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=np.uint8))
    reach = shapely.buffer(shapely.from_wkt(drawn), buffer)
    on_ones, on_map = (shapely.intersection(reach, shapely.box(0, 0, width, 3)).area for width in (1, 3))
    assert shares(path, "1", outline(drawn), buffer=buffer) == pytest.approx([on_ones / on_map], abs=1e-5)


def test_a_buffer_in_degrees_is_as_wide_as_the_cells(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array([[1, 0]], dtype=np.uint8), Affine(1, 0, 10, 0, -1, 61), "EPSG:4326")
    drawn = shapely.box(11.0, 60.4, 11.2, 60.6)
    assert shares(path, "1", drawn, crs=CRS.from_epsg(4326)) == pytest.approx([0.0])
    assert shares(path, "1", drawn, crs=CRS.from_epsg(4326), buffer=0.2) == pytest.approx(
        [(0.2**2 + np.pi * 0.2**2 / 2) / (5 * 0.2**2 + np.pi * 0.2**2)], abs=2e-3
    )


def test_a_value_that_stands_for_nodata_without_the_file_saying_so(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array([[0.5, -9999]], dtype=np.float32))
    drawn = outline(box(0.5, 0.2, 1.5, 0.6))
    assert shares(path, ">=0.1", drawn) == pytest.approx([0.5])
    assert shares(path, ">=0.1", drawn, nodata=-9999) == pytest.approx([1.0])


def test_class_names_on_a_raster_are_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8))
    with pytest.raises(EngineError, match="continuous") as caught:
        shares(path, "continuous", outline(box(0, 0, 1, 1)))
    assert caught.value.code == "map_classes"


def test_no_outlines(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8))
    assert shares(path, "1").shape == (0,)


# Polygon maps --------------------------------------------------------------------------------------------------------


def write_zones(path: Path, zones: list[str], **fields: Any) -> Path:
    geometries = np.array([outline(zone) for zone in zones], dtype=object)
    columns = {
        name: np.array(values, dtype=object if None in values or isinstance(values[0], str) else None) for name, values in fields.items()
    }
    write_polygons(path, PolygonLayer(geometries, UTM, columns), "zones")
    return path


WEST, EAST, MIDDLE, FAR_EAST = box(0, 0, 1, 3), box(1, 0, 2, 3), box(0.5, 0, 1.5, 3), box(3, 0, 4, 3)


@pytest.mark.parametrize(
    ("zones", "drawn", "share"),
    [
        ([WEST, FAR_EAST], box(0.2, 1, 0.6, 2), 1.0),
        ([WEST, FAR_EAST], box(0.9, 1, 1.3, 2), 0.25),
        ([WEST, MIDDLE, FAR_EAST], box(0.75, 1, 2.75, 2), 0.375),
        ([WEST, EAST, FAR_EAST], box(0.75, 1, 1.75, 2), 1.0),
        ([WEST, FAR_EAST], box(1.5, 1, 2.5, 2), 0.0),
        ([WEST, FAR_EAST], box(5, 1, 6, 2), np.nan),
        ([WEST, FAR_EAST], box(3.75, 1, 4.75, 2), 1.0),
    ],
    ids=[
        "within",
        "a quarter",
        "polygons that overlap are not counted twice",
        "two neighbours together",
        "between polygons is no permafrost",
        "beyond the layer is unknown",
        "partly beyond the layer: of what is known, all",
    ],
)
def test_every_polygon_counts_without_a_field(tmp_path: Path, zones: list[str], drawn: str, share: float) -> None:
    path = write_zones(tmp_path / "zones.gpkg", zones)
    assert shares(path, "1", outline(drawn)) == pytest.approx([share], abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("values", "classes", "share"),
    [
        ([1, 2, 0], "1", 0.25),
        ([1, 2, 0], "1-2", 1.0),
        ([0.9, 0.4, 0.0], ">=0.5", 0.25),
        (["Continuous", "Sporadic", "None"], "continuous", 0.25),
        (["C", "S", "N"], "C, s", 1.0),
        (["1", "2", "0"], "2", 0.75),
        (["1", "2", "0"], ">=2", 0.75),
        ([1.0, None, 0.0], "1", 1.0),
        ([0.0, None, 0.0], "1", 0.0),
        (["C", None, "N"], "C", 1.0),
    ],
    ids=["class", "range", "condition", "name", "names", "numbers as text", "condition on text", "missing is unknown",
         "missing is unknown, the rest is none", "missing name is unknown"],
)  # fmt: skip
def test_classes_of_a_field(tmp_path: Path, values: list[Any], classes: str, share: float) -> None:
    path = tmp_path / "zones.geojson"
    if values[1] is None and not isinstance(values[0], str):
        values = [np.nan if value is None else value for value in values]
    write_zones(path, [WEST, EAST, FAR_EAST], kind=values)
    drawn = outline(box(0.75, 1, 1.75, 2))
    assert shares(path, classes, drawn, attribute="kind") == pytest.approx([share], abs=1e-4)


@pytest.mark.parametrize(
    ("drawn", "share"),
    [(box(0.9, 1, 1.3, 2), 0.25), (box(1.5, 1, 2.5, 2), 0.0), (box(5, 1, 6, 2), 0.0), (box(-0.25, 1, 0.75, 2), 0.75)],
    ids=["a quarter", "between", "far from all", "over the layer's edge"],
)
def test_where_the_polygons_are_all_there_are_nothing_is_unknown(tmp_path: Path, drawn: str, share: float) -> None:
    path = write_zones(tmp_path / "clouds.gpkg", [WEST, FAR_EAST])
    assert shares(path, "1", outline(drawn), all_drawn=True) == pytest.approx([share], abs=1e-6)


def test_a_polygon_without_a_value_is_unknown_where_all_are_drawn(tmp_path: Path) -> None:
    path = write_zones(tmp_path / "clouds.gpkg", [WEST, EAST], kind=[1.0, np.nan])
    found = shares(path, "1", outline(box(0.5, 1, 2.5, 2)), outline(box(1.2, 1, 1.8, 2)), attribute="kind", all_drawn=True)
    assert found == pytest.approx([0.5, np.nan], nan_ok=True)


def test_missing_value_under_known_permafrost_stays_permafrost(tmp_path: Path) -> None:
    path = write_zones(tmp_path / "zones.gpkg", [WEST, MIDDLE, FAR_EAST], kind=[1.0, np.nan, 0.0])
    assert shares(path, "1", outline(box(0.5, 1, 2.0, 2)), attribute="kind") == pytest.approx([0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("attribute", "classes", "code"),
    [("zone", "1", "map_field"), ("code", "continuous", "map_classes"), ("name", ">=0.5", "map_classes")],
)
def test_field_and_classes_must_fit(tmp_path: Path, attribute: str, classes: str, code: str) -> None:
    path = write_zones(tmp_path / "zones.gpkg", [WEST, EAST], code=[1, 2], name=["C", "S"])
    with pytest.raises(EngineError) as caught:
        shares(path, classes, outline(box(0, 0, 1, 1)), attribute=attribute)
    assert caught.value.code == code


def test_layer_of_a_file_with_several(tmp_path: Path) -> None:
    path = write_zones(tmp_path / "zones.gpkg", [WEST, FAR_EAST])
    assert shares(path, "1", outline(box(0.9, 1, 1.3, 2)), layer="zones") == pytest.approx([0.25], abs=1e-6)


def test_file_that_is_no_map(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError) as caught:
        shares(path, "1", outline(box(0, 0, 1, 1)))
    assert caught.value.code == "not_a_map"


@pytest.mark.parametrize("name", ["missing.tif", "missing.gpkg"])
def test_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError) as caught:
        shares(tmp_path / name, "1", outline(box(0, 0, 1, 1)))
    assert caught.value.code == "file_missing"


def test_error_inside_the_map_is_not_mistaken_for_one_of_its_opening(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", np.array(CLASS_MAP, dtype=np.uint8))
    with pytest.raises(EngineError, match="from elsewhere"), open_class_map(path, "1"):
        raise EngineError("not_a_raster", "from elsewhere")
