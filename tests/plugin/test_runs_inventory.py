"""Export and import of inventories in QGIS: what reaches the engine, and the drop-down lists that a person sees."""

from __future__ import annotations

import json
from pathlib import Path

import processing
import pytest
from qgis.core import QgsProcessingException, QgsProcessingFeatureSourceDefinition, QgsProject, QgsVectorLayer
from qgis.gui import QgsAttributeForm
from qgis.PyQt.QtWidgets import QComboBox

from tests.plugin.samples import Listener, polygon_layer, rows_of, save, square

FIELDS = "field=id:integer&field=ActiCl:string&field=reliability_front:integer"
ACTIVITY = ["Active", "Active uncertain", "Transitional", "Relict uncertain", "Relict", "Uncertain"]
DOMAINS = json.loads((Path(__file__).resolve().parents[2] / "resources" / "inventory" / "domains.json").read_text())


@pytest.fixture
def run(plugin, qgis_new_project):
    """Run an algorithm by name."""

    def run_algorithm(name, listener=None, **parameters):
        return processing.run(f"rockglacier:{name}", parameters, feedback=listener or Listener())

    return run_algorithm


@pytest.fixture
def outlines(tmp_path):
    """Two outlines of which a person said something."""
    rows = [(square(600000, 3100000, 300), [7, "Relict", 2]), (square(601000, 3100000, 300), [8, None, None])]
    return save(polygon_layer(FIELDS, rows), tmp_path / "outlines.gpkg")


def drop_down_lists(layer):
    """Name of a field -> the values of its list."""
    setups = {field.name(): layer.editorWidgetSetup(index) for index, field in enumerate(layer.fields())}
    lists = {name: setup.config()["map"] for name, setup in setups.items() if setup.type() == "ValueMap"}
    return {name: [value for choice in choices for value in choice.values()] for name, choices in lists.items()}


def test_what_reaches_the_engine(run, false_engine, outlines, tmp_path):
    false_engine("error")
    for mapping in (["Votes", "id", "", ""], [["Votes", "id"]], "Votes,id"):
        with pytest.raises(QgsProcessingException):
            run(
                "exportinventory", INPUT=str(outlines), FORM="rogi_ch", AREA_OF_INTEREST=str(outlines), OPERATOR="A. B.",
                FIELD_MAPPING=mapping, OUTPUT=str(tmp_path / "i.geojson"),
            )  # fmt: skip
        job = json.loads((tmp_path / "job.json").read_text())
        assert {name: job[name] for name in ("input", "form", "area_of_interest", "restricted", "operator", "output", "field_mapping")} == {
            "input": str(outlines), "form": "rogi_ch", "area_of_interest": str(outlines), "restricted": None, "operator": "A. B.",
            "output": str(tmp_path / "i.geojson"), "field_mapping": ["Votes=id"],
        }  # fmt: skip


def test_half_a_row_of_the_mapping_is_refused(run, outlines, tmp_path):
    for mapping in (["Votes", ""], ["Votes"], ["a=b", "id"]):
        for name in ("exportinventory", "importinventory"):
            with pytest.raises(QgsProcessingException, match="both, TO and FROM"):
                run(name, INPUT=str(outlines), FIELD_MAPPING=mapping, OUTPUT=str(tmp_path / "i.gpkg"))


def test_a_person_finds_drop_down_lists_with_the_values_of_the_form(run, engine, outlines, tmp_path, qtbot):
    results = run("exportinventory", INPUT=str(outlines), OUTPUT=str(tmp_path / "i.gpkg"))
    assert results == {"OUTPUT": str(tmp_path / "i.gpkg"), "COUNT": 2}
    markers = QgsVectorLayer(f"{results['OUTPUT']}|layername=PM", "PM", "ogr")
    footprints = QgsVectorLayer(f"{results['OUTPUT']}|layername=GO", "GO", "ogr")
    lists = drop_down_lists(markers)
    assert lists["Acti.Cl."] == ACTIVITY
    sources = {"Upsl.Con.": "upslope_connection", "Kin.Att.": "kinematic_attribute", "Morpho.": "unit_morphology",
               "Complet.": "completeness", "Upsl.Cur.": "upslope_current", "Acti.Ass.": "activity_assessment",
               "Destabili.": "destabilisation", "Rel.Kin.": "kinematic_reliability"}  # fmt: skip
    assert lists == {"Acti.Cl.": ACTIVITY, **{name: DOMAINS[domain]["values"] for name, domain in sources.items()}}
    assert drop_down_lists(footprints) == {
        "Out.Type": ["Extended", "Restricted"],
        **dict.fromkeys(["RelFr", "RelLeftLM", "RelRightLM", "RelUpsCon"], ["0", "1", "2"]),
    }
    assert [feature["Acti.Cl."] for feature in markers.getFeatures()] == ["Relict", "Uncertain"]

    form = QgsAttributeForm(markers, next(markers.getFeatures()))
    qtbot.addWidget(form)
    boxes = {box.objectName(): box for box in form.findChildren(QComboBox)}
    assert [boxes["Acti.Cl."].itemText(index) for index in range(boxes["Acti.Cl."].count())] == ACTIVITY
    assert boxes["Acti.Cl."].currentText() == "Relict"
    assert markers.renderer().classAttribute() == '"Acti.Cl."'


def test_the_index_follows_the_reliabilities_that_a_person_sets(run, engine, outlines, tmp_path, qtbot):
    run("exportinventory", INPUT=str(outlines), OUTPUT=str(tmp_path / "i.gpkg"))
    layer = QgsVectorLayer(f"{tmp_path / 'i.gpkg'}|layername=GO", "GO", "ogr")
    layer.startEditing()
    feature = next(layer.getFeatures())
    assert (feature["RelFr"], feature["RelIndex"]) == (2, None)
    form = QgsAttributeForm(layer, feature)
    qtbot.addWidget(form)
    for name in ("RelLeftLM", "RelRightLM", "RelUpsCon"):
        form.changeAttribute(name, 1)
    assert form.save()
    assert layer.getFeature(feature.id())["RelIndex"] == 5


@pytest.mark.parametrize("suffix", ["geojson", "shp"])
def test_files_have_their_lists_beside_them(run, engine, outlines, tmp_path, suffix):
    results = run("exportinventory", INPUT=str(outlines), FORM="rogi_ch", OUTPUT=str(tmp_path / f"i.{suffix}"))
    assert results["OUTPUT"] == str(tmp_path / f"i_GO.{suffix}")
    activity = "rgu_activity_class" if suffix == "geojson" else "rgu_acti_1"
    assert drop_down_lists(QgsVectorLayer(str(tmp_path / f"i_PM.{suffix}"), "PM", "ogr"))[activity] == ACTIVITY


@pytest.mark.parametrize("given", ["i.gpkg", "i.gpkg|layername=GO", "i.gpkg|layername=PM"])
def test_an_inventory_comes_back_whichever_layer_is_chosen(run, engine, outlines, tmp_path, given):
    run("exportinventory", INPUT=str(outlines), RESTRICTED=str(outlines), OUTPUT=str(tmp_path / "i.gpkg"))
    results = run("importinventory", INPUT=str(tmp_path / given), OUTPUT=str(tmp_path / "b.gpkg"), RESTRICTED=str(tmp_path / "r.gpkg"))
    assert {name: results[name] for name in ("COUNT", "FORM")} == {"COUNT": 2, "FORM": "rgik"}
    assert [(row["id"], row["activity_class"], row["reliability_front"]) for row in rows_of(results["OUTPUT"])] == [
        (7, "Relict", 2),
        (8, "Uncertain", None),
    ]
    assert [row["outline_type"] for row in rows_of(results["RESTRICTED"])] == ["Restricted"] * 2
    assert "MARKERS" not in results


def test_of_a_selection_the_selected_outlines_are_written(run, engine, outlines, tmp_path):
    layer = QgsVectorLayer(str(outlines), "outlines", "ogr")
    QgsProject.instance().addMapLayer(layer)
    layer.selectByExpression("id = 8")
    run("exportinventory", INPUT=QgsProcessingFeatureSourceDefinition(layer.id(), True), OUTPUT=str(tmp_path / "i.gpkg"))
    assert [row["WorkingID"] for row in rows_of(f"{tmp_path / 'i.gpkg'}|layername=GO")] == ["8"]
