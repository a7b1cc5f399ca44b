"""The command that assesses: a case whose every number is known, what it writes, and what it says to bad input."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import CRS
from rasterio.transform import from_origin
from shapely.affinity import translate

from engine.assess import assess
from engine.cli import run_job
from engine.errors import Cancelled, EngineError
from engine.reporting import SilentReporter
from engine.vectors import PolygonLayer, read_polygons, reproject, write_polygons
from jobs import AssessJob
from model.simulator import simulate
from tests.engine.processes import engine_process

UTM, DEGREES = CRS(32645), CRS(4326)
X, Y = 500_000.0, 3_000_000.0


def square(left: float, side: float, bottom: float = 0.0, height: float | None = None) -> shapely.Polygon:
    return shapely.box(X + left, Y + bottom, X + left + side, Y + bottom + (side if height is None else height))


REFERENCE = {
    "shifted": square(0, 400),
    "left twin": square(1000, 200),
    "right twin": square(1250, 200),
    "whole": square(2000, 500, height=200),
    "missed": square(4000, 100),
    "touched": square(6000, 400),
}
PREDICTED = {
    "shifted": square(100, 400),
    "united": square(1000, 450, height=200),
    "first part": square(2000, 200),
    "second part": square(2300, 200),
    "false": square(5000, 300),
    "touches by a sliver": square(6390, 400),
}


def save(path: Path, outlines: Any, crs: CRS = UTM, **fields: Any) -> str:
    layer = PolygonLayer(np.array(list(outlines), dtype=object), crs, {name: np.array(values) for name, values in fields.items()})
    write_polygons(path, layer, path.stem, "MultiPolygon")
    return str(path)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[str, str]:
    """Predicted and reference outlines of the known case."""
    predicted = save(tmp_path / "predicted.gpkg", PREDICTED.values(), id=list(PREDICTED))
    return predicted, save(tmp_path / "reference.gpkg", REFERENCE.values(), PrimaryID=list(REFERENCE))


def run(predicted: str, reference: str, reporter: SilentReporter | None = None, **options: Any) -> dict[str, Any]:
    return assess(AssessJob(predicted, reference, **options), reporter or SilentReporter())


def everything(folder: Path) -> dict[str, str]:
    names = {"output": "layer.gpkg", "table": "table.csv", "json": "numbers.json", "report": "report.html", "figures": "figures"}
    return {output: str(folder / name) for output, name in names.items()}


def test_the_known_case(layers):
    found = run(*layers)
    counts = {
        rule: tuple(found["objects"][rule][name] for name in ("matched_reference", "missed", "matched_predicted", "false"))
        for rule in ("intersection", "overlap", "iou")
    }
    assert counts == {"intersection": (4, 2, 4, 2), "overlap": (4, 2, 4, 2), "iou": (1, 5, 1, 5)}
    assert found["objects"]["overlap"]["producers_accuracy"] == found["objects"]["overlap"]["users_accuracy"] == pytest.approx(4 / 6)
    by_kind = {kind: (n["components"], n["reference"], n["predicted"]) for kind, n in found["correspondences"]["by_kind"].items()}
    assert by_kind == {"1-1": (1, 1, 1), "n-1": (1, 2, 1), "1-n": (1, 1, 2), "n-m": (0, 0, 0), "missed": (2, 2, 0), "false": (2, 0, 2)}
    both = found["areas"]["matched"]
    assert both["deviation_percent"] == pytest.approx(100 * (0.33 - 0.34) / 0.34, rel=1e-4)
    assert both["sum_absolute_deviation_km2"] == pytest.approx(0.01 + 0.02, rel=2e-3)
    assert found["pixels"]["unit"] == "m2" and found["pixels"]["confusion"]["tn"] is None
    assert found["pixels"]["rock_glacier"]["iou"] == pytest.approx(0.284 / (0.51 + 0.58 - 0.284), rel=1e-4)
    assert found["boundaries"]["mean_m"]["n"] == 3
    assert found["settings"]["pixel_size_m"] == 10.0


def test_what_is_written(layers, tmp_path):
    (tmp_path / "out").mkdir()
    found = run(*layers, match_rule="iou", **everything(tmp_path / "out"))
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file())
    figures = [f"figures/{name}.{ending}" for name in ("areas", "boundaries", "correspondences") for ending in ("png", "svg")]
    assert written == sorted([*figures, "layer.gpkg", "numbers.json", "report.html", "table.csv"])
    numbers = json.loads((tmp_path / "out" / "numbers.json").read_text(encoding="utf-8"))
    assert numbers == {name: value for name, value in found.items() if name not in everything(tmp_path)}
    assert str(tmp_path) not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_layer_holds_every_outline_with_its_correspondence(layers, tmp_path):
    run(*layers, output=str(tmp_path / "layer.gpkg"))
    layer = read_polygons(tmp_path / "layer.gpkg")
    assert (layer.crs, len(layer)) == (UTM, 12)
    rows = [dict(zip(layer.fields, values, strict=True)) for values in zip(*layer.fields.values(), strict=True)]
    of = {(row["side"], row["outline"]): row for row in rows}
    assert {row["side"] for row in rows} == {"predicted", "reference"} and len(of) == 12
    kinds = {outline: row["kind"] for (side, outline), row in of.items() if side == "predicted"}
    assert kinds == {
        "shifted": "1-1", "united": "n-1", "first part": "1-n", "second part": "1-n", "false": "false", "touches by a sliver": "false",
    }  # fmt: skip
    united = of["predicted", "united"]
    assert united["component"] == of["reference", "left twin"]["component"] == of["reference", "right twin"]["component"]
    assert (united["n_reference"], united["n_predicted"], united["size_class"]) == (2, 1, "small")
    assert united["reference_km2"] == pytest.approx(0.08, rel=1e-3)
    assert united["deviation_percent"] == pytest.approx(12.5, abs=1e-6)
    assert united["area_km2"] == pytest.approx(0.09, rel=1e-3)
    assert of["reference", "left twin"]["area_km2"] == pytest.approx(0.04, rel=1e-3)
    assert [of["predicted", "shifted"][f"matched_{rule}"] for rule in ("intersection", "overlap", "iou")] == [1, 1, 1]
    assert [united[f"matched_{rule}"] for rule in ("intersection", "overlap", "iou")] == [1, 1, 0]
    assert of["predicted", "shifted"]["signed_median_m"] == pytest.approx(0, abs=5)
    false = of["predicted", "false"]
    assert np.isnan([false[name] for name in ("reference_km2", "deviation_percent", "mean_m", "hd95_m")]).all()
    shapes = {(row["side"], row["outline"]): shape for row, shape in zip(rows, layer.geometries, strict=True)}
    assert shapely.equals(shapes["reference", "whole"], REFERENCE["whole"])


def test_the_table_holds_every_overlap_both_ways(layers, tmp_path):
    run(*layers, table=str(tmp_path / "table.csv"))
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        rows = {(row["reference"], row["predicted"]): row for row in csv.DictReader(file)}
    assert set(rows) == {
        ("shifted", "shifted"), ("left twin", "united"), ("right twin", "united"), ("whole", "first part"), ("whole", "second part"),
        ("missed", ""), ("touched", ""), ("", "false"), ("", "touches by a sliver"),
    }  # fmt: skip
    shifted = rows["shifted", "shifted"]
    assert [float(shifted[name]) for name in ("overlap_km2", "predicted_share", "reference_share", "iou")] == pytest.approx(
        [0.12, 0.75, 0.75, 0.6], rel=1e-3
    )
    assert rows["missed", ""]["iou"] == ""


def test_an_area_of_interest_says_what_counts(layers, tmp_path):
    area = save(tmp_path / "area.gpkg", [square(-100, 3100, -100, 800)])
    found = run(*layers, area_of_interest=area)
    assert [found["inputs"][side]["counted"] for side in ("predicted", "reference")] == [4, 4]
    assert found["objects"]["overlap"]["producers_accuracy"] == found["objects"]["overlap"]["users_accuracy"] == 1.0
    assert sum(found["pixels"]["confusion"].values()) == pytest.approx(3100 * 800, rel=1e-3)
    assert found["pixels"]["overall"]["mcc"] is not None


def test_an_outline_on_the_edge_counts_with_its_partner(layers, tmp_path):
    def counted(left: float) -> int:
        area = save(tmp_path / "area.gpkg", [square(left, 5000, -100, 800)])
        return run(*layers, area_of_interest=area)["inputs"]["reference"]["counted"]

    assert counted(280) == 5, "3/10 of 'shifted' lie within, and 11/20 of its partner"
    assert counted(310) == 4, "less than half of both"


def test_pixels_are_those_of_the_probability_raster(layers, tmp_path):
    grid = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": -1, "crs": "EPSG:32645"}
    with rasterio.open(tmp_path / "p.tif", "w", width=120, height=60, transform=from_origin(X - 100, Y + 500, 20, 20), **grid) as raster:
        raster.write(np.full((1, 60, 120), 0.5, np.float32))
    found = run(*layers, probability=str(tmp_path / "p.tif"))
    assert found["pixels"]["unit"] == "pixels"
    assert sum(found["pixels"]["confusion"].values()) == 60 * 120
    assert found["settings"]["pixel_size_m"] == pytest.approx(20, rel=1e-3)
    assert found["inputs"]["probability"] == {"file": "p.tif"}


def test_a_probability_raster_of_another_place_is_noticed(layers, tmp_path):
    grid = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:32645", "transform": from_origin(X - 9000, Y, 20, 20)}
    with rasterio.open(tmp_path / "p.tif", "w", width=30, height=30, **grid) as raster:
        raster.write(np.full((1, 30, 30), 0.5, np.float32))
    reporter = SilentReporter()
    assert run(*layers, reporter, probability=str(tmp_path / "p.tif"))["pixels"]["rock_glacier"]["iou"] is None
    assert [code for code, _ in reporter.warnings] == ["probability_elsewhere"]


def test_two_layers_of_one_file(tmp_path):
    path = tmp_path / "both.gpkg"
    for name, outlines in (("mapped", PREDICTED), ("manual", REFERENCE)):
        wkb = shapely.to_wkb(np.array(list(outlines.values()), dtype=object))
        pyogrio.raw.write(path, wkb, [], [], layer=name, geometry_type="Polygon", crs="EPSG:32645", driver="GPKG", append=path.exists())
    found = run(str(path), str(path), predicted_layer="mapped", reference_layer="manual")
    assert found["objects"]["overlap"]["matched_reference"] == 4
    assert [found["inputs"][side]["layer"] for side in ("predicted", "reference")] == ["mapped", "manual"]


def test_with_elevation_a_tongue_mapped_too_short_shows_at_its_front(tmp_path):
    """On a plane that falls to the south; neighbours in one outline have no front of their own."""
    tongue = square(0, 200, height=800)
    twins = [square(1000, 200, height=800), square(1200, 200, height=800)]
    reference = save(tmp_path / "reference.gpkg", [tongue, *twins])
    predicted = save(tmp_path / "predicted.gpkg", [square(0, 200, bottom=120, height=680), shapely.union_all(twins)])
    grid = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:32645", "transform": from_origin(X - 500, Y + 1500, 20, 20)}
    with rasterio.open(tmp_path / "dem.tif", "w", width=150, height=120, **grid) as raster:
        raster.write(np.tile(5000 - 5.0 * np.arange(120, dtype=np.float32)[:, None], (1, 1, 150)))
    reporter = SilentReporter()
    found = run(predicted, reference, reporter, dem=str(tmp_path / "dem.tif"), report=str(tmp_path / "report.html"))
    mean = {section: found["boundaries"][f"signed_mean_{section}_m"]["mean"] for section in ("front", "left", "right", "upslope")}
    assert mean["front"] == pytest.approx(-120, abs=20)
    assert mean["upslope"] == pytest.approx(0, abs=1)
    assert found["boundaries"]["signed_mean_front_m"]["n"] == 1
    assert any("1 of 2 correspondences have no sections" in text for text in reporter.infos)
    assert "Mean signed distance, front (m)" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert found["inputs"]["dem"] == {"file": "dem.tif"}


@pytest.mark.parametrize("crs", [DEGREES, CRS(3857), CRS(32644)], ids=["degrees", "web mercator", "the next UTM zone"])
@pytest.mark.parametrize("side", ["predicted", "reference", "both"])
def test_the_numbers_do_not_depend_on_the_map(tmp_path, crs, side):
    """A degree of longitude is not a metre, and a square metre of Web Mercator is none."""
    paths = {}
    for name, outlines in (("predicted", PREDICTED), ("reference", REFERENCE)):
        dense = shapely.segmentize(np.array(list(outlines.values()), dtype=object), 20.0)
        elsewhere = side in (name, "both")
        paths[name] = save(tmp_path / f"{name}.gpkg", reproject(dense, UTM, crs) if elsewhere else dense, crs if elsewhere else UTM)
    found = run(paths["predicted"], paths["reference"])
    assert found["objects"]["overlap"]["matched_reference"] == 4
    assert found["areas"]["matched"]["reference_km2"] == pytest.approx(0.34, rel=2e-3)
    assert found["pixels"]["rock_glacier"]["iou"] == pytest.approx(0.284 / 0.806, rel=1e-3)
    assert found["boundaries"]["hausdorff_m"]["n"] == 3
    assert found["boundaries"]["hausdorff_m"]["mean"] == pytest.approx(100, rel=0.2)


class TestNothingByHalves:
    @pytest.mark.parametrize("output", ["output", "table", "json", "report"])
    def test_all_or_none(self, layers, tmp_path, output):
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / "numbers.json").write_text("old")
        options = {name: path for name, path in everything(folder).items() if name != "figures"}
        options[output] = str(tmp_path / "nowhere" / Path(options[output]).name)
        with pytest.raises(EngineError) as caught:
            run(*layers, **options)
        assert caught.value.code == "output_folder"
        assert [path.name for path in folder.iterdir()] == ["numbers.json"]
        assert (folder / "numbers.json").read_text() == "old"

    def test_figures_go_into_a_folder_not_into_a_file(self, layers, tmp_path):
        (tmp_path / "taken").write_text("a file")
        with pytest.raises(EngineError, match="folder"):
            run(*layers, figures=str(tmp_path / "taken"), json=str(tmp_path / "numbers.json"))
        assert not (tmp_path / "numbers.json").exists()

    @pytest.mark.parametrize("count", [0, 3, 5, 6, 7])
    def test_cancelled_at_any_time(self, layers, tmp_path, count):
        options = everything(tmp_path / "out")
        (tmp_path / "out").mkdir()
        with pytest.raises(Cancelled):
            run(
                *layers, reporter=SilentReporter(cancel_after=count), output=options["output"], table=options["table"], json=options["json"]
            )
        assert list((tmp_path / "out").iterdir()) == []


class Answer:
    """What the command answers to a job: ``result`` or the ``code`` and ``text`` of its error, ``infos``, codes of ``warnings``."""

    def __init__(self, predicted: str, reference: str, **options: Any) -> None:
        reporter = SilentReporter()
        self.result, self.code, self.text = {}, "", ""
        try:
            self.result = run_job(AssessJob(predicted, reference, **options), reporter)
        except EngineError as error:
            self.code, self.text = error.code, error.text
        self.infos, self.warnings = reporter.infos, [code for code, _ in reporter.warnings]


class TestBadInput:
    def test_self_crossing_polygons_are_repaired_and_counted(self, layers, tmp_path):
        bow_tie = shapely.Polygon([(X, Y), (X + 400, Y + 400), (X + 400, Y), (X, Y + 400)])
        wkb = shapely.to_wkb(np.array([bow_tie, square(1000, 450, height=200)], dtype=object))
        path = tmp_path / "crossing.gpkg"
        pyogrio.raw.write(path, wkb, [], [], geometry_type="Polygon", crs="EPSG:32645", driver="GPKG")
        answer = Answer(str(path), layers[1])
        found = answer.result
        assert found["inputs"]["predicted"]["repaired"] == 1
        assert found["objects"]["intersection"]["matched_reference"] == 3
        assert "1 invalid polygons were repaired" in answer.infos[0]

    @pytest.mark.parametrize("empty", ["predicted", "reference", "both"])
    def test_empty_layers(self, layers, tmp_path, empty):
        nothing = save(tmp_path / "nothing.gpkg", [])
        predicted = nothing if empty != "reference" else layers[0]
        reference = nothing if empty == "reference" else layers[1]
        if empty == "both":
            reference = save(tmp_path / "nothing too.gpkg", [])
        answer = Answer(predicted, reference, **everything(tmp_path))
        assert not answer.text
        rule = answer.result["objects"]["overlap"]
        assert (rule["users_accuracy"], rule["producers_accuracy"]) == {
            "predicted": (None, 0.0), "reference": (0.0, None), "both": (None, None)
        }[empty]  # fmt: skip
        assert answer.warnings.count("no_outlines") == (2 if empty == "both" else 1)
        assert "–" in (tmp_path / "report.html").read_text(encoding="utf-8")
        assert len(read_polygons(tmp_path / "layer.gpkg")) == {"predicted": 6, "reference": 6, "both": 0}[empty]

    def test_layers_of_different_places(self, layers, tmp_path):
        elsewhere = save(tmp_path / "elsewhere.gpkg", [translate(outline, 1e5, 0) for outline in REFERENCE.values()])
        answer = Answer(layers[0], elsewhere)
        assert answer.warnings == ["no_overlap"]
        found = answer.result
        assert found["objects"]["overlap"]["producers_accuracy"] == 0.0
        assert found["areas"]["matched"]["deviation_percent"] is None
        assert found["boundaries"]["mean_m"] | {"definition": ""} == {
            "n": 0, "mean": None, "median": None, "q05": None, "q25": None, "q75": None, "q95": None, "definition": ""
        }  # fmt: skip

    def test_an_area_of_interest_without_outlines(self, layers, tmp_path):
        area = save(tmp_path / "area.gpkg", [square(-9000, 1000)])
        answer = Answer(*layers, area_of_interest=area, report=str(tmp_path / "report.html"))
        assert answer.warnings == ["no_outlines", "no_outlines"]
        found = answer.result
        assert found["objects"]["overlap"]["producers_accuracy"] is None
        assert found["pixels"]["confusion"]["tn"] == pytest.approx(1e6, rel=1e-3)

    def test_an_area_of_interest_without_polygons(self, layers, tmp_path):
        answer = Answer(*layers, area_of_interest=save(tmp_path / "area.gpkg", []))
        assert answer.code == "area_of_interest"

    def test_ids_that_are_not_unique(self, layers, tmp_path):
        twice = save(tmp_path / "twice.gpkg", PREDICTED.values(), id=[7] * 6)
        answer = Answer(twice, layers[1], table=str(tmp_path / "table.csv"))
        assert answer.warnings == ["duplicate_ids"]
        with open(tmp_path / "table.csv", encoding="utf-8") as file:
            assert {row["predicted"] for row in csv.DictReader(file)} == {"1", "2", "3", "4", "5", "6", ""}

    def test_heights_and_measures(self, layers, tmp_path):
        high = [shapely.force_3d(outline, 5000.0) for outline in PREDICTED.values()]
        path = tmp_path / "high.gpkg"
        pyogrio.raw.write(path, shapely.to_wkb(np.array(high, dtype=object), output_dimension=3), [], [], geometry_type="Polygon Z",
                          crs="EPSG:32645", driver="GPKG")  # fmt: skip
        assert Answer(str(path), layers[1]).result["objects"]["overlap"]["matched_predicted"] == 4

    def test_a_geopackage_that_may_not_be_written(self, layers):
        Path(layers[1]).chmod(0o444)
        before = Path(layers[1]).read_bytes()
        assert not Answer(*layers).code
        assert Path(layers[1]).read_bytes() == before
        assert sorted(path.name for path in Path(layers[1]).parent.iterdir()) == ["predicted.gpkg", "reference.gpkg"]

    @pytest.mark.parametrize(("west", "zones"), [(179.998, "across the antimeridian"), (89.998, "across two UTM zones")])
    def test_outlines_on_the_edge_of_a_map(self, tmp_path, west, zones):
        outline = shapely.box(west, 40, west + 0.004, 40.003)
        again = shapely.box(west + 0.001, 40, west + 0.005, 40.003)
        found = Answer(
            save(tmp_path / "a.gpkg", [outline], DEGREES), save(tmp_path / "b.gpkg", [again], DEGREES), report=str(tmp_path / "r.html")
        ).result
        assert found["pixels"]["rock_glacier"]["iou"] == pytest.approx(0.6, rel=1e-3)
        assert found["boundaries"]["hausdorff_m"]["mean"] == pytest.approx(85.4, rel=1e-2)  # 0.001 degrees of longitude at 40 N

    def test_a_layer_beyond_the_other_one_s_map(self, layers, tmp_path):
        world = save(tmp_path / "world.gpkg", [shapely.box(-180, -90, 180, 90)], DEGREES)
        answer = Answer(layers[0], layers[1], area_of_interest=world)
        assert answer.code == "crs_place"
        assert "world.gpkg" in answer.text

    def test_wrong_files(self, layers, tmp_path):
        assert Answer(layers[0], str(tmp_path / "no.gpkg")).code == "file_missing"
        assert Answer(*layers, output=layers[1]).code == "output_is_input"
        assert Answer(*layers, report=str(tmp_path / "report.pdf")).code == "output_format"


def test_the_command_says_it_in_a_few_lines(layers, tmp_path):
    done = engine_process("assess", *layers, "--json", str(tmp_path / "numbers.json"), "--report", str(tmp_path / "report.html"))
    output, notes = done.communicate()
    assert done.returncode == 0, notes
    assert output.splitlines() == [
        "4 of 6 reference outlines found, 2 missed (rule overlap)",
        "4 of 6 predicted outlines right, 2 false",
        "producer's accuracy 0.6667 (95 % interval 0.3000-0.9032)",
        "user's accuracy     0.6667 (95 % interval 0.3000-0.9032)",
        "area                0.330 km2 against 0.340 km2, -2.94 %",
        "IoU                 0.3524",
        str(tmp_path / "numbers.json"),
        str(tmp_path / "report.html"),
    ]


def test_simulated_rock_glaciers_against_themselves_and_against_shrunken_ones(tmp_path):
    landscape = simulate(3, 320, 320, 10.0, 0.08)
    crs = CRS.from_wkt(landscape.crs.to_wkt())
    truth = np.array([form.outline for form in landscape.rock_glaciers], dtype=object)
    reference = save(tmp_path / "truth.gpkg", truth, crs)
    same = run(save(tmp_path / "same.gpkg", truth, crs), reference)
    assert same["objects"]["iou"]["panoptic_quality"] == pytest.approx(1.0)
    assert same["areas"]["total"]["deviation_km2"] == pytest.approx(0, abs=1e-9)
    assert same["boundaries"]["hausdorff_m"]["mean"] == pytest.approx(0, abs=1e-6)
    shrunken = run(save(tmp_path / "shrunken.gpkg", shapely.buffer(truth, -8.0), crs), reference)
    assert shrunken["boundaries"]["signed_median_m"]["median"] == pytest.approx(-8, abs=0.1)
    assert shrunken["areas"]["regression"]["n"] == len(truth)
    assert shrunken["areas"]["matched"]["deviation_percent"] < -3


def test_the_three_outlines_of_sikkim_are_known_only_where_they_were_drawn(data, tmp_path):
    """Pixels outside the three manual outlines are unknown, not background: with them as area of interest nothing is false."""
    manual = data / "sikkim" / "rock_glaciers_manual.geojson"
    layer = read_polygons(manual).in_crs(UTM)
    drawn_wider = shapely.buffer(layer.geometries, 10.0)
    unknown = [translate(layer.geometries[0], 2000, 0)]
    predicted = save(tmp_path / "predicted.gpkg", [*drawn_wider, *unknown], UTM)
    around = save(tmp_path / "around.gpkg", shapely.buffer(layer.geometries, 200.0), UTM)
    found = run(predicted, str(manual), area_of_interest=around)
    assert (found["objects"]["overlap"]["matched_reference"], found["objects"]["overlap"]["false"]) == (3, 0)
    assert found["boundaries"]["signed_median_m"]["median"] == pytest.approx(10, abs=0.5)
    assert run(predicted, str(manual))["objects"]["overlap"]["false"] == 1


def test_every_parameter_has_an_effect_or_a_place(layers):
    settings = run(*layers, min_overlap=0.7, min_iou=0.3, sliver=0.0, pixel_size=2.0)
    assert settings["settings"] == {
        "match_rule": "overlap", "min_overlap": 0.7, "min_iou": 0.3, "sliver": 0.0, "pixel_size_m": 2.0, "area_of_interest": False,
    }  # fmt: skip
    assert settings["objects"]["intersection"]["matched_reference"] == 5, "without slivers the touched one is found"
    assert settings["objects"]["iou"]["matched_reference"] == 3
    assert {field.name for field in dataclasses.fields(AssessJob)} >= set(everything(Path()))
