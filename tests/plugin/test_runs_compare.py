"""``processing.run`` of Compare inventories with the installed engine, and what it looks like."""

from __future__ import annotations

from pathlib import Path

import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from tests.plugin.samples import Listener, polygon_layer, rows_of, save, square

LAYERS = ("OUTPUT", "DISAGREEMENTS", "CONSENSUS", "OPERATORS")


def inventory(*squares: tuple[float, float, float]) -> QgsVectorLayer:
    return polygon_layer("field=id:int", [(square(*place), [number]) for number, place in enumerate(squares, 1)])


@pytest.fixture
def run(plugin, qgis_new_project):
    def run_algorithm(listener=None, **parameters):
        return processing.run("rockglacier:compareinventories", parameters, feedback=listener or Listener())

    return run_algorithm


@pytest.fixture
def two():
    """One outline unchanged, one missed, one new; the layers are called 2001 and 2021."""
    older = inventory((600000, 3100000, 200), (601000, 3100000, 200))
    newer = inventory((600000, 3100000, 200), (602000, 3100000, 200))
    older.setName("2001")
    newer.setName("2021")
    return [older, newer]


class TestWithTheEngine:
    def test_two_inventories(self, run, engine, two, tmp_path):
        results = run(INVENTORIES=two, OUTPUT=str(tmp_path / "changes.gpkg"))
        counts = {name: results[name] for name in ("NEW", "MISSED", "SPLIT", "MERGED", "REGROUPED", "CHANGED", "UNCHANGED")}
        assert counts == {"NEW": 1, "MISSED": 1, "SPLIT": 0, "MERGED": 0, "REGROUPED": 0, "CHANGED": 0, "UNCHANGED": 1}
        rows = {(row["inventory"], row["id"]): row for row in rows_of(results["OUTPUT"])}
        assert {key: row["change"] for key, row in rows.items()} == {
            ("2001", "1"): "unchanged",
            ("2001", "2"): "missed",
            ("2021", "1"): "unchanged",
            ("2021", "2"): "new",
        }
        assert "DISAGREEMENT_COUNT" not in results and "AGREEMENT" not in results

    def test_three_operators_and_all_outputs(self, run, engine, tmp_path):
        operators = [inventory((600000, 3100000, 200)), inventory((600000, 3100000, 200)), inventory((600000, 3100000, 220))]
        for layer, name in zip(operators, ("Ada", "Bo", "Cem")):
            layer.setName(name)
        files = {name: str(tmp_path / f"{name}.gpkg") for name in LAYERS}
        results = run(INVENTORIES=operators, AGREEMENT=str(tmp_path / "agreement.tif"), **files)
        (consensus,) = rows_of(results["CONSENSUS"])
        assert consensus["n_operators"] == 3 and consensus["geometry"].area() == pytest.approx(40000)
        (disagreement,) = rows_of(results["DISAGREEMENTS"])
        assert (disagreement["kind"], disagreement["held_by"]) == ("boundary", "Cem")
        table = QgsVectorLayer(results["OPERATORS"], "", "ogr")
        assert [row["inventory"] for row in table.getFeatures()] == ["Ada", "Bo", "Cem"] and not table.isSpatial()
        assert (results["CONSENSUS_COUNT"], results["DISAGREEMENT_COUNT"]) == (1, 1) and "NEW" not in results
        values = gdal.Open(results["AGREEMENT"]).ReadAsArray()
        assert values.shape == (22, 22) and values.max() == 1 and values[0, -1] == pytest.approx(1 / 3)

    def test_the_layer_of_a_file_with_several(self, run, engine, two, tmp_path):
        path = tmp_path / "inventories.gpkg"
        save(two[0], path)
        options = {"LAYERS": [two[1]], "OUTPUT": str(path), "OVERWRITE": False, "SAVE_STYLES": False}
        processing.run("native:package", options)
        layers = [QgsVectorLayer(f"{path}|layername={name}", name, "ogr") for name in ("inventories", "2021")]
        results = run(INVENTORIES=layers, OUTPUT="TEMPORARY_OUTPUT")
        assert (results["NEW"], results["MISSED"], results["UNCHANGED"]) == (1, 1, 1)

    def test_cancelled(self, run, engine, two, tmp_path):
        with pytest.raises(QgsProcessingException, match="Cancelled"):
            run(Listener(cancel_at="Starting"), INVENTORIES=two, OUTPUT=str(tmp_path / "changes.gpkg"))
        assert not (tmp_path / "changes.gpkg").exists()


class TestBeforeTheRun:
    def test_one_inventory_is_refused(self, algorithm, two):
        fine, message = algorithm("compareinventories").checkParameterValues(
            {"INVENTORIES": two[:1], "OUTPUT": "TEMPORARY_OUTPUT"}, QgsProcessingContext()
        )
        assert not fine and message

    def test_a_raster_that_is_no_geotiff(self, algorithm, two):
        fine, message = algorithm("compareinventories").checkParameterValues(
            {"INVENTORIES": two, "OUTPUT": "TEMPORARY_OUTPUT", "AGREEMENT": "/tmp/agreement.png"}, QgsProcessingContext()
        )
        assert not fine and "GeoTIFF" in message


class TestStyles:
    def test_outputs_that_qgis_loads(self, plugin, qgis_new_project, module, engine, two, tmp_path):
        layers = module("processing_provider.layers")
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        endings = {"OUTPUT": "gpkg", "DISAGREEMENTS": "gpkg", "CONSENSUS": "gpkg", "AGREEMENT": "tif"}
        outputs = {
            name: QgsProcessingOutputLayerDefinition(str(tmp_path / f"{name}.{ending}"), QgsProject.instance())
            for name, ending in endings.items()
        }
        parameters = {"INVENTORIES": two, **outputs}
        processing.run("rockglacier:compareinventories", parameters, context=context, feedback=Listener(), is_child_algorithm=True)
        loaded = {details.outputName: details.postProcessor().style for details in context.layersToLoadOnCompletion().values()}
        assert loaded == {
            "OUTPUT": layers.CHANGES,
            "DISAGREEMENTS": layers.DISAGREEMENTS,
            "CONSENSUS": layers.OUTLINES,
            "AGREEMENT": layers.AGREEMENT,
        }

    def test_every_change_has_a_symbol(self, module, run, engine, two):
        layer = run(INVENTORIES=two, OUTPUT="TEMPORARY_OUTPUT")["OUTPUT"]
        module("processing_provider.layers").CHANGES.apply(layer)
        sides = {rule.label(): {child.label() for child in rule.children()} for rule in layer.renderer().rootRule().children()}
        changes = {"new", "missed", "split", "merged", "regrouped", "changed", "unchanged"}
        assert sides["Newer"] | sides["Older"] == changes
        assert changes - sides["Newer"] == {"missed"} and changes - sides["Older"] == {"new"}

    @pytest.mark.parametrize("name", ["changes", "disagreements", "agreement"])
    def test_every_style_is_one_that_qgis_reads(self, module, two, name, scene):
        layer = QgsRasterLayer(str(scene), "scene") if name == "agreement" else two[0]
        _, read = layer.loadNamedStyle(str(Path(module("processing_provider.layers").STYLES) / f"{name}.qml"))
        assert read
