"""``processing.run`` of every algorithm: what reaches the engine, what comes back, and the real engine where it is installed."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    NULL,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from tests.plugin.samples import Listener, polygon_layer, rows_of, save, square, tile_polygon_layer, write_raster


@pytest.fixture
def run(plugin, qgis_new_project):
    """Run an algorithm by name; results and what was said."""

    def run_algorithm(name, listener=None, **parameters):
        return processing.run(f"rockglacier:{name}", parameters, feedback=listener or Listener())

    return run_algorithm


def job_in(folder: Path) -> dict:
    return json.loads((folder / "job.json").read_text())


class TestWhatReachesTheEngine:
    """With a false engine that keeps the job."""

    def test_prepare(self, run, false_engine, scene, tmp_path):
        false_engine()
        output = tmp_path / "stack.tif"
        results = run("preparespectralstack", INPUT=str(scene), NIR="", SENSOR="sentinel2_l2a", RESOLUTION=4, OUTPUT=str(output))
        assert results == {"OUTPUT": str(output)}
        expected = {
            "command": "prepare",
            "protocol": 1,
            "input": str(scene),
            "output": str(output),
            "red": 1,
            "green": 2,
            "blue": 3,
            "nir": 0,
        }
        expected |= {"sensor": "sentinel2_l2a", "scale": 1.0, "offset": 0.0, "resolution": 4.0}
        assert job_in(tmp_path) == expected

    @pytest.mark.parametrize(("given", "band"), [({}, 4), ({"NIR": 0}, 0), ({"NIR": 3, "BLUE": 4}, 3)])
    def test_the_chain_takes_the_fourth_band_as_near_infrared_unless_told(self, run, false_engine, scene, tmp_path, given, band):
        false_engine("error")
        with pytest.raises(QgsProcessingException, match="coordinate reference system"):
            run(
                "rockglacierchain",
                INPUT=str(scene),
                stack="TEMPORARY_OUTPUT",
                tile_polygons="TEMPORARY_OUTPUT",
                outlines="TEMPORARY_OUTPUT",
                **given,
            )
        assert job_in(tmp_path)["nir"] == band

    def test_prepare_strips_what_only_qgis_reads_in_a_source(self, run, false_engine, scene, tmp_path):
        false_engine()
        layer = QgsRasterLayer(f"{scene}|option:NUM_THREADS=2", "scene")
        QgsProject.instance().addMapLayer(layer)
        run("preparespectralstack", INPUT=layer.id(), OUTPUT=str(tmp_path / "stack.tif"))
        assert job_in(tmp_path)["input"] == str(scene)

    def test_layers_that_gdal_does_not_read_are_refused(self, run, false_engine, scene, tmp_path):
        false_engine()
        virtual = QgsRasterLayer(
            f"?crs=EPSG:32645&extent=0,0,80,80&width=8&height=8&formula=%22a@1%22&a:uri={scene}&a:provider=gdal", "virtual", "virtualraster"
        )
        assert virtual.isValid()
        with pytest.raises(QgsProcessingException, match="Export it to a GeoTIFF"):
            run("detectrockglaciers", INPUT=virtual, OUTPUT="TEMPORARY_OUTPUT")

    def test_detect_leaves_to_the_card_what_is_left_empty(self, run, module, false_engine, stack, tmp_path):
        polygons = save(tile_polygon_layer(), tmp_path / "tile_polygons.gpkg")
        false_engine("", polygons)
        results = run("detectrockglaciers", INPUT=str(stack), OUTPUT="TEMPORARY_OUTPUT")
        job = job_in(tmp_path)
        assert (job["threshold"], job["overlap"], job["model"], job["mask"], job["probability"]) == (None, None, "", None, None)
        assert job["models_folders"] == [str(module("processing_provider.engine_home").models_folder())]
        assert (results["COUNT"], results["TILES"], results["DEVICE_USED"]) == (3, 9, "CPU")
        assert "PROBABILITY" not in results
        assert results["OUTPUT"].featureCount() == 3
        assert [field.name() for field in results["OUTPUT"].fields()] == [
            "tile",
            "probability_mean",
            "probability_max",
            "area_m2",
            "coverage",
        ]

    def test_detect_with_everything(self, run, false_engine, stack, tmp_path):
        false_engine("", save(tile_polygon_layer(), tmp_path / "tile_polygons.gpkg"))
        mask = save(polygon_layer("field=name:string", [(square(600000, 3100000, 50), ["here"])]), tmp_path / "mask.gpkg")
        model = tmp_path / "model"
        model.mkdir()
        (model / "model.json").write_text("{}")
        results = run(
            "detectrockglaciers",
            INPUT=str(stack),
            MODEL=str(model),
            THRESHOLD=0.25,
            OVERLAP=30,
            DEVICE="cpu",
            BATCH_SIZE=2,
            MASK=str(mask),
            OUTPUT=str(tmp_path / "result.gpkg"),
            PROBABILITY=str(tmp_path / "probability.tif"),
        )
        job = job_in(tmp_path)
        assert (job["threshold"], job["overlap"], job["device"], job["batch_size"]) == (0.25, 30.0, "cpu", 2)
        assert (job["model"], job["mask"], job["probability"]) == (str(model), str(mask), str(tmp_path / "probability.tif"))
        assert results["PROBABILITY"] == str(tmp_path / "probability.tif")
        assert len(rows_of(results["OUTPUT"])) == 3

    def test_postprocess_with_everything(self, run, false_engine, tmp_path):
        polygons = save(tile_polygon_layer(), tmp_path / "tile_polygons.gpkg")
        false_engine("", polygons)
        permafrost = write_raster(tmp_path / "permafrost.tif", np.ones((1, 4, 4), np.uint8))
        results = run(
            "postprocesspolygons",
            INPUT=str(polygons),
            MIN_AREA=10000,
            FILL_HOLES=False,
            REQUIRE_SUPPORT=False,
            PERMAFROST=str(permafrost),
            PERMAFROST_CLASSES=">=0.5",
            PERMAFROST_MIN_FRACTION=0.1,
            PERMAFROST_ACTION="drop",
            OUTPUT="TEMPORARY_OUTPUT",
        )
        job = job_in(tmp_path)
        assert (job["input"], job["input_layer"], job["min_area"]) == (str(polygons), None, 10000.0)
        assert (job["fill_holes"], job["require_support"]) == (False, False)
        assert (job["permafrost"], job["permafrost_classes"], job["permafrost_layer"]) == (str(permafrost), ">=0.5", None)
        assert (job["permafrost_min_fraction"], job["permafrost_action"], job["permafrost_field"]) == (0.1, "drop", "")
        assert (results["COUNT"], results["TOTAL_AREA"]) == (3, 0.14)
        untold = ("smoothing", "probability", "dem", "not_assessable", "report", "raw", "restricted")
        assert [job[name] for name in untold] == [None] * len(untold)
        assert set(results) == {"OUTPUT", "COUNT", "TOTAL_AREA", "RESTRICTED_COUNT"}

    def test_postprocess_with_maps(self, run, false_engine, tmp_path):
        polygons = save(tile_polygon_layer(), tmp_path / "tile_polygons.gpkg")
        false_engine("", polygons)
        raster = write_raster(tmp_path / "raster.tif", np.ones((1, 4, 4), np.float32))
        clouds = save(polygon_layer("field=name:string", [(square(600000, 3100000, 50), ["cloud"])]), tmp_path / "clouds.gpkg")
        run(
            "postprocesspolygons",
            INPUT=str(polygons),
            UNITE=False,
            BOUNDARY="probability",
            SMOOTHING=0,
            PROBABILITY=str(raster),
            AREA_LO_LEVEL=0.6,
            AREA_HI_LEVEL=0.4,
            DEM=str(raster),
            NOT_ASSESSABLE=str(clouds),
            NOT_ASSESSABLE_CLASSES="3,8-11",
            PERMAFROST=str(raster),
            PERMAFROST_PRESET="zou_zhao",
            PERMAFROST_BUFFER=0.5,
            PERMAFROST_SOURCE="Zou 2017",
            OUTPUT="TEMPORARY_OUTPUT",
        )
        job = job_in(tmp_path)
        assert (job["unite"], job["smoothing"], job["area_lo_level"], job["area_hi_level"]) == (False, 0.0, 0.6, 0.4)
        assert job["boundary"] == "probability"
        assert (job["probability"], job["dem"], job["not_assessable"]) == (str(raster), str(raster), str(clouds))
        assert (job["not_assessable_classes"], job["not_assessable_layer"]) == ("3,8-11", None)
        assert (job["permafrost_preset"], job["permafrost_buffer"], job["permafrost_source"]) == ("zou_zhao", 0.5, "Zou 2017")

    @pytest.mark.parametrize("kind", ["memory", "filtered", "selected", "other provider", "repeated fid", "self-crossing"])
    def test_any_polygon_layer_of_qgis_is_handed_over_as_a_file(self, run, false_engine, tmp_path, kind):
        tiles = tile_polygon_layer()
        false_engine("", save(tiles, tmp_path / "outlines.gpkg"))
        layer, expected = tiles, 3
        if kind == "filtered":
            layer = QgsVectorLayer(str(save(tiles, tmp_path / "all.gpkg")), "all", "ogr")
            layer.setSubsetString("tile < 5")
            expected = 2
        elif kind == "other provider":
            (tmp_path / "tiles.csv").write_text(f"tile;wkt\n3;{square(600000, 3100000, 200)}\n")
            layer = QgsVectorLayer(f"file://{tmp_path}/tiles.csv?delimiter=;&wktField=wkt&crs=EPSG:32645", "text", "delimitedtext")
            expected = 1
        elif kind == "repeated fid":
            layer = polygon_layer("field=fid:int&field=tile:int", [(square(600000, 3100000, 200), [1, n]) for n in range(3)])
        elif kind == "self-crossing":
            layer = polygon_layer("field=tile:int", [("POLYGON((0 0, 9 9, 9 0, 0 9, 0 0))", [1])])
            expected = 1
        QgsProject.instance().addMapLayer(layer)
        source = layer
        if kind == "selected":
            layer.selectByExpression("tile = 7")
            source, expected = QgsProcessingFeatureSourceDefinition(layer.id(), True), 1
        run("postprocesspolygons", INPUT=source, PERMAFROST=tiles, OUTPUT="TEMPORARY_OUTPUT")
        job = job_in(tmp_path)
        handed_over = QgsVectorLayer(job["input"] + (f"|layername={job['input_layer']}" if job["input_layer"] else ""), "", "ogr")
        assert handed_over.isValid() and handed_over.featureCount() == expected
        assert "tile" in handed_over.fields().names()
        assert len(rows_of(job["permafrost"])) == 3 or kind == "selected"


class TestFailures:
    """An error names its cause, and an existing output stays as it was."""

    @pytest.mark.parametrize(
        ("behaviour", "words"), [("error", "no coordinate reference system"), ("killed", "memory"), ("silent", "exit status 3")]
    )
    def test_the_engine_fails(self, run, false_engine, stack, tmp_path, behaviour, words):
        false_engine(behaviour)
        existing = save(tile_polygon_layer(), tmp_path / "existing.gpkg")
        before = existing.read_bytes()
        with pytest.raises(QgsProcessingException, match=words):
            run("detectrockglaciers", INPUT=str(stack), OUTPUT=str(existing))
        assert existing.read_bytes() == before

    @pytest.mark.parametrize("name", ["preparespectralstack", "detectrockglaciers", "postprocesspolygons"])
    def test_cancelled_before_it_starts(self, run, false_engine, scene, stack, tmp_path, name):
        false_engine()
        listener = Listener()
        listener.cancel()
        source = {"preparespectralstack": scene, "detectrockglaciers": stack, "postprocesspolygons": None}[name]
        source = source or save(tile_polygon_layer(), tmp_path / "tiles.gpkg")
        output = tmp_path / ("output.tif" if name.startswith("prepare") else "output.gpkg")
        with pytest.raises(QgsProcessingException, match="Cancelled"):
            run(name, listener, INPUT=str(source), OUTPUT=str(output))
        assert not output.exists() and not (tmp_path / "job.json").exists()

    def test_cancelled_while_it_runs(self, run, false_engine, stack, tmp_path):
        false_engine("slow")
        with pytest.raises(QgsProcessingException, match="Cancelled"):
            run("detectrockglaciers", Listener(cancel_at="Working"), INPUT=str(stack), OUTPUT=str(tmp_path / "output.gpkg"))
        assert (tmp_path / "cancelled").exists()
        assert not (tmp_path / "output.gpkg").exists()

    def test_without_the_engine_it_says_how_to_install_it(self, run, no_engine, stack):
        with pytest.raises(QgsProcessingException, match=r"not installed yet.*Set up engine.*environment\.py"):
            run("detectrockglaciers", INPUT=str(stack), OUTPUT="TEMPORARY_OUTPUT")

    def test_a_full_disk_is_noticed_before_the_existing_output_goes(self, run, module, false_engine, stack, tmp_path, monkeypatch):
        existing = save(tile_polygon_layer(), tmp_path / "existing.gpkg")
        false_engine("", save(tile_polygon_layer(), tmp_path / "found.gpkg"))
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        monkeypatch.setattr(module("processing_provider.engine_algorithm").shutil, "disk_usage", lambda _folder: usage)
        before = existing.read_bytes()
        with pytest.raises(QgsProcessingException, match="disk of .* is full.*computed is in"):
            run("detectrockglaciers", INPUT=str(stack), OUTPUT=str(existing))
        assert existing.read_bytes() == before

    def test_an_output_that_cannot_be_written(self, run, false_engine, stack, tmp_path):
        false_engine("", save(tile_polygon_layer(), tmp_path / "found.gpkg"))
        with pytest.raises(QgsProcessingException, match="computed is in"):
            run("detectrockglaciers", INPUT=str(stack), OUTPUT="/proc/nowhere/output.gpkg")


class TestStyles:
    """Outputs that QGIS loads get a style; those that nobody loads do not need one."""

    @pytest.fixture
    def styles(self, plugin, qgis_new_project):
        """Run an algorithm as the toolbox does; which style each output that QGIS loads is given."""

        def run_for_styles(name, **parameters):
            context = QgsProcessingContext()
            context.setProject(QgsProject.instance())
            processing.run(f"rockglacier:{name}", parameters, context=context, feedback=Listener(), is_child_algorithm=True)
            loaded = sorted(context.layersToLoadOnCompletion().values(), key=lambda details: details.layerSortKey)
            return {details.outputName: details.postProcessor().style for details in loaded}

        return run_for_styles

    @pytest.mark.parametrize("to_load", [True, False])
    def test_outputs_that_qgis_loads(self, styles, module, false_engine, scene, stack, tmp_path, to_load):
        layers = module("processing_provider.layers")
        polygons = save(tile_polygon_layer(), tmp_path / "found.gpkg")
        false_engine("", polygons)

        def output(name):
            path = str(tmp_path / name)
            return QgsProcessingOutputLayerDefinition(path, QgsProject.instance()) if to_load else path

        found = [
            styles("preparespectralstack", INPUT=str(scene), OUTPUT=output("s.tif")),
            styles("detectrockglaciers", INPUT=str(stack), OUTPUT=output("t.gpkg"), PROBABILITY=output("p.tif")),
            styles("postprocesspolygons", INPUT=str(polygons), OUTPUT=output("o.gpkg")),
        ]
        expected = [
            {"OUTPUT": layers.TRUE_COLOUR},
            {"OUTPUT": layers.TILE_POLYGONS, "PROBABILITY": layers.PROBABILITY},
            {"OUTPUT": layers.OUTLINES},
        ]
        assert found == (expected if to_load else [{}, {}, {}])
        assert not to_load or list(found[1]) == ["PROBABILITY", "OUTPUT"]  # polygons above the raster

    def test_a_style_serves_run_after_run(self, module, plugin, algorithm):
        layers = module("processing_provider.layers")
        for _ in range(3):  # QGIS deletes what it calls after loading together with the context of the run
            context, layer = QgsProcessingContext(), tile_polygon_layer()
            context.addLayerToLoadOnCompletion(layer.id(), QgsProcessingContext.LayerDetails("outlines", QgsProject.instance(), "OUTPUT"))
            algorithm("postprocesspolygons").create().style(context, layer.id(), layers.OUTLINES)
            gc.collect()
            details = context.layerToLoadOnCompletionDetails(layer.id())
            details.postProcessor().postProcessLayer(layer, context, Listener())
            assert layer.labeling().settings().fieldName == "id"
            del details, context
            gc.collect()

    def test_probability_hides_what_is_unlikely(self, module, tmp_path):
        path = write_raster(tmp_path / "probability.tif", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8))
        layer = QgsRasterLayer(str(path), "probability")
        module("processing_provider.layers").PROBABILITY.apply(layer)
        shade = layer.renderer().shader().rasterShaderFunction().shade
        assert shade(0.05)[4] == 0
        assert shade(0.5)[4] > 150

    def test_outlines_are_labelled_by_id_when_zoomed_in(self, module):
        outlines = tile_polygon_layer()
        module("processing_provider.layers").OUTLINES.apply(outlines)
        labels = outlines.labeling().settings()
        assert outlines.labelsEnabled() and labels.fieldName == "id"
        assert labels.scaleVisibility and labels.minimumScale == 50000

    @pytest.mark.parametrize("observed", [True, False])
    def test_true_colour_has_one_stretch_for_the_three_bands(self, module, tmp_path, observed):
        bands = (
            np.random.default_rng(1).uniform(0.1, 0.3, (6, 32, 32)).astype(np.float32)
            if observed
            else np.full((6, 32, 32), np.nan, np.float32)
        )
        layer = QgsRasterLayer(str(write_raster(tmp_path / "stack.tif", bands)), "stack")
        module("processing_provider.layers").TRUE_COLOUR.apply(layer)
        renderer = layer.renderer()
        assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (1, 2, 3)
        ranges = {
            (enhancement.minimumValue(), enhancement.maximumValue())
            for enhancement in (renderer.redContrastEnhancement(), renderer.greenContrastEnhancement(), renderer.blueContrastEnhancement())
        }
        ((darkest, brightest),) = ranges
        assert (0.1 <= darkest < brightest <= 0.3) if observed else (darkest, brightest) == (0.0, 0.5)

    @pytest.mark.parametrize("name", ["outlines", "tile_polygons", "probability", "reference_outlines", "restricted_footprints"])
    def test_every_style_is_one_that_qgis_reads(self, module, tmp_path, name):
        layer = (
            QgsRasterLayer(str(write_raster(tmp_path / "p.tif", np.zeros((1, 4, 4), np.float32))), "p")
            if name == "probability"
            else tile_polygon_layer()
        )
        _, read = layer.loadNamedStyle(str(module("processing_provider.layers").STYLES / f"{name}.qml"))
        assert read


class TestRealEngine:
    """With the installed engine."""

    def test_prepare(self, run, engine, scene, tmp_path):
        output = tmp_path / "stack.tif"
        run("preparespectralstack", INPUT=str(scene), SENSOR="custom", SCALE=1e-4, OFFSET=-0.02, OUTPUT=str(output))
        dataset = gdal.Open(str(output))
        assert [dataset.GetRasterBand(n).GetDescription() for n in range(1, 7)] == ["red", "green", "blue", "nir", "evi", "savi"]
        assert dataset.GetMetadata("ROCK_GLACIER_MAPPER")["SENSOR"] == "custom"
        red, nir, savi = (dataset.GetRasterBand(n).ReadAsArray()[5, 5] for n in (1, 4, 6))
        assert (red, nir) == (pytest.approx(0.10), pytest.approx(0.16))
        assert savi == pytest.approx(1.5 * 0.06 / (0.16 + 0.10 + 0.5), abs=1e-6)

    def test_prepare_says_what_is_wrong(self, run, engine, scene, tmp_path):
        with pytest.raises(QgsProcessingException, match="SENSOR"):
            run("preparespectralstack", INPUT=str(scene), SENSOR="reflectance", OUTPUT=str(tmp_path / "stack.tif"))
        assert list(tmp_path.glob("stack*")) == []

    def test_detect(self, run, engine, stack, tmp_path):
        results = run(
            "detectrockglaciers", INPUT=str(stack), OUTPUT=str(tmp_path / "tiles.gpkg"), PROBABILITY=str(tmp_path / "p.tif"), DEVICE="cpu"
        )
        assert results["DEVICE_USED"] == "CPU" and results["TILES"] >= 1
        assert results["COUNT"] == len(rows_of(results["OUTPUT"]))
        probability = gdal.Open(results["PROBABILITY"])
        assert (probability.RasterXSize, probability.RasterYSize) == (64, 64)
        values = probability.ReadAsArray()
        assert 0 <= values.min() <= values.max() <= 1

    def test_detect_knows_no_model_of_that_name(self, run, engine, stack, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / "model.json").write_text("{}")
        with pytest.raises(QgsProcessingException, match="is not a model folder"):
            run("detectrockglaciers", INPUT=str(stack), MODEL=str(tmp_path / "empty"), OUTPUT="TEMPORARY_OUTPUT")

    @pytest.mark.parametrize("source", ["file", "memory"])
    def test_postprocess(self, run, engine, tmp_path, source):
        polygons = tile_polygon_layer()
        # permafrost over the first polygon; a second piece far away, so that the map reaches beyond the outline
        pieces = [(square(600000, 3100000, 200), ["here"]), (square(620000, 3120000, 200), ["there"])]
        permafrost = polygon_layer("field=zone:string", pieces)
        results = run(
            "postprocesspolygons",
            INPUT=polygons if source == "memory" else str(save(polygons, tmp_path / "tiles.gpkg")),
            PERMAFROST=permafrost,
            SMOOTHING=0,
            OUTPUT=str(tmp_path / "outlines.gpkg"),
        )
        (outline,) = rows_of(results["OUTPUT"])
        area = (200 * 200 + 300 * 300 - 100 * 200) / 1e6
        assert results["COUNT"] == 1
        assert results["TOTAL_AREA"] == pytest.approx(area, rel=2e-3) == outline["area_km2"]
        assert outline["id"] == 1 and outline["votes"] == pytest.approx(130 / 110, rel=2e-3)
        assert outline["permafrost_fraction"] == pytest.approx(0.04 / area, rel=5e-3)
        assert outline["permafrost_source"] and outline["reliability_front"] == NULL and outline["visible_fraction"] == NULL
        assert outline["geometry"].wkbType() == QgsVectorLayer("Polygon", "", "memory").wkbType()

    @pytest.mark.parametrize("where", ["file", "temporary"])
    def test_postprocess_with_every_output(self, run, engine, tmp_path, where):
        column, row = np.meshgrid(np.arange(80) + 0.5, np.arange(80) + 0.5)
        from_axis = np.where(row < 50, np.abs(column - 40), np.hypot(row - 50, column - 40))
        probability = np.clip(0.5 + np.where(row < 15, np.minimum(15 - from_axis, row - 15), 15 - from_axis) / 20, 0, 1)
        raster = write_raster(tmp_path / "p.tif", probability[None].astype(np.float32))
        elevation = 4500 - 3.3 * row + 30 * np.clip((probability - 0.5) / 0.2, 0, 1)
        dem = write_raster(tmp_path / "dem.tif", elevation[None].astype(np.float32))
        inside = probability >= 0.5
        steps = [(600000 + 10 * c, 3100000 - 10 * r) for r, c in zip(*np.nonzero(inside), strict=True)]
        pixels = QgsGeometry.unaryUnion([QgsGeometry.fromWkt(square(x, y - 10, 10)) for x, y in steps])
        tiles = polygon_layer("field=tile:int&field=coverage:double", [(pixels.asWkt(3), [1, 1.0])])
        names = ("OUTPUT", "RAW", "RESTRICTED", "REPORT")
        outputs = {name: str(tmp_path / f"{name}.gpkg") if where == "file" else "TEMPORARY_OUTPUT" for name in names}
        results = run("postprocesspolygons", INPUT=tiles, PROBABILITY=str(raster), DEM=str(dem), **outputs)
        layers = {name: results[name] if where == "temporary" else QgsVectorLayer(results[name], name, "ogr") for name in names}
        (outline,) = layers["OUTPUT"].getFeatures()
        (raw,) = layers["RAW"].getFeatures()
        (restricted,) = layers["RESTRICTED"].getFeatures()
        report = list(layers["REPORT"].getFeatures())
        assert raw.geometry().area() == pytest.approx(10 * 10 * inside.sum())
        assert raw.geometry().length() > outline.geometry().length()
        assert outline["area_lo_km2"] < outline["area_km2"] < outline["area_hi_km2"]
        assert outline["reliability_front"] in (0, 1, 2)
        assert (restricted["id"], restricted["out_type"], results["RESTRICTED_COUNT"]) == (1, "Restricted", 1)
        assert restricted["area_km2"] < outline["area_km2"]
        assert layers["REPORT"].wkbType() == QgsVectorLayer("None", "", "memory").wkbType()
        assert [step["step"] for step in report][-2:] == ["smoothing", "permafrost"]
        assert [field.name() for field in layers["REPORT"].fields() if field.name() != "fid"] == [
            "step",
            "in",
            "out",
            "touched",
            "area_km2",
        ]

    def test_chain(self, run, engine, scene, tmp_path):
        names = ("stack.tif", "probability.tif", "tile_polygons.gpkg", "outlines.gpkg")
        kept = {name.split(".")[0]: str(tmp_path / name) for name in names}
        listener = Listener()
        results = run("rockglacierchain", listener, INPUT=str(scene), SENSOR="sentinel2_l2a", **kept)
        assert any("cut at a probability of" in line for line in listener.infos)  # the probability reached the last step
        for name in names:
            assert (tmp_path / name).is_file() and results[name.split(".")[0]] == str(tmp_path / name)
        rows_of(tmp_path / "outlines.gpkg")
