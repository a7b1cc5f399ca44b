"""Inventories in the published forms: what is filled in, what stays a person's, and that nothing is lost on the way back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS, Transformer

from engine.errors import Cancelled, EngineError
from engine.inventory import export_inventory, in_degrees
from engine.inventory_forms import FORMS, domains, recognised, short_names
from engine.inventory_import import import_inventory
from engine.reporting import SilentReporter
from engine.terminal import plain
from engine.vectors import PolygonLayer, read_points, read_polygons, write_layer, write_polygons
from jobs import INVENTORY_FORMS, ExportInventoryJob, ImportInventoryJob
from tests.engine.processes import engine_process

UTM45 = CRS.from_epsg(32645)
WGS84 = CRS.from_epsg(4326)
RGIK = [name for name in INVENTORY_FORMS if FORMS[name].rgik]

DOTTED_PM = ["PrimaryID", "WorkingID", "Assoc.RGS", "Morpho.", "Complet.", "Upsl.Con.", "Upsl.Cur.", "Acti.Ass.", "Acti.Cl.",
             "Destabili.", "Kin.Att.", "Rel.Kin.", "Kin.Period", "Comment"]  # fmt: skip
GO = ["RelFr", "RelLeftLM", "RelRightLM", "RelUpsCon", "RelIndex", "Comment", "Operator", "Imagery", "Date", "Method"]
RGI7 = ["PrimaryID", "src_date", "cenlon", "cenlat", "utm_zone", "area_km2", "termlon", "termlat", "zmin_m", "zmax_m", "zmed_m",
        "zmean_m", "slope_deg", "aspect_deg", "aspect_sec", "dem_source", "lmax_m"]  # fmt: skip
SWISS_PM = ["pm_pid", "pm_working_id", "pm_alter_id", "rgu_rgs_type", "rgu_morphology", "rgu_complete", "rgu_upsl_con", "rgu_upsl_cur",
            "rgu_activity_assessment", "rgu_activity_class", "rgu_destabilized", "rgu_kin_att", "rgu_kin_radar", "rgu_kin_optical",
            "pm_comment"]  # fmt: skip
ACTIVITY = ["Active", "Active uncertain", "Transitional", "Relict uncertain", "Relict", "Uncertain"]


def box(number: int, size: float = 400.0) -> shapely.Polygon:
    """An outline of size x 600 m, the next one 1 km to the east."""
    return shapely.box(600000 + number * 1000, 3100000, 600000 + number * 1000 + size, 3100600)


def layer(path: Path, geometries: list[shapely.Geometry], crs: CRS = UTM45, **fields: Any) -> str:
    columns = {name.replace("__", "."): np.array(values, dtype=object if any(isinstance(v, str) for v in values) else None)
               for name, values in fields.items()}  # fmt: skip
    write_polygons(
        path,
        PolygonLayer(np.array(geometries, dtype=object), crs, columns),
        path.stem,
        geometries[0].geom_type if geometries else "Polygon",
    )
    return str(path)


def table(path: str | Path, name: str | None = None) -> dict[str, list[Any]]:
    """Columns of a layer, None where empty."""
    meta, _, _, values = pyogrio.raw.read(path, layer=name, read_geometry=False)
    return {field: [plain(value) for value in column] for field, column in zip(meta["fields"], values, strict=True)}


def shapes(path: str | Path, name: str | None = None) -> np.ndarray:
    return shapely.from_wkb(pyogrio.raw.read(path, layer=name)[2])


def exported(outlines: str, output: Path, reporter: SilentReporter | None = None, **options: Any) -> dict[str, Any]:
    return export_inventory(ExportInventoryJob(outlines, str(output), **options), reporter or SilentReporter())


def imported(inventory: str | Path, output: Path, reporter: SilentReporter | None = None, **options: Any) -> dict[str, Any]:
    return import_inventory(ImportInventoryJob(str(inventory), str(output), **options), reporter or SilentReporter())


@pytest.fixture
def three(tmp_path: Path) -> str:
    """Three outlines as Postprocess writes them."""
    return layer(
        tmp_path / "outlines.gpkg", [box(0), box(1), box(2)], id=[1, 2, 3], reliability_front=[0.0, 2.0, np.nan],
        reliability_left=[1.0, 2.0, 1.0], reliability_right=[1.0, 2.0, 1.0], reliability_upslope=[0.0, 2.0, 1.0],
    )  # fmt: skip


class TestForms:
    @pytest.mark.parametrize(
        ("form", "layers"),
        [
            ("rgik", {"GO": ["PrimaryID", "WorkingID", "Out.Type", *GO], "PM": DOTTED_PM}),
            (
                "rgik_release",
                {
                    "GO": ["PolyUID", "PrimaryID", "WorkingID", "OutType", *GO],
                    "PM": [*(name.replace(".", "") for name in DOTTED_PM), "Country"],
                },
            ),
            ("rogi_ch", {"GO": ["pm_pid", "pm_working_id", "ou_type", *GO], "PM": SWISS_PM}),
            ("rgi7", {"rock_glaciers": RGI7}),
        ],
    )
    def test_layers_and_fields(self, three: str, tmp_path: Path, form: str, layers: dict[str, list[str]]) -> None:
        output = tmp_path / "inventory.gpkg"
        result = exported(three, output, form=form)
        assert {name: list(table(output, name)) for name, _ in pyogrio.list_layers(output) if name != "layer_styles"} == layers
        assert result["layers"] == dict.fromkeys(layers, 3)
        assert {str(pyogrio.read_info(output, layer=name)["crs"]) for name in layers} == {"EPSG:4326"}

    def test_names_with_dots_are_those_that_a_shapefile_holds(self) -> None:
        assert all(len(name) <= 10 for name in [*DOTTED_PM, *GO, "Out.Type"])

    def test_geometry_types_are_those_of_the_release(self, three: str, tmp_path: Path) -> None:
        area = layer(tmp_path / "area.gpkg", [shapely.box(599000, 3099000, 604000, 3102000)], name=["Khumbu"])
        exported(three, tmp_path / "inventory.gpkg", area_of_interest=area)
        kinds = dict(pyogrio.list_layers(tmp_path / "inventory.gpkg"))
        assert kinds == {"GO": "MultiPolygon", "PM": "Point", "AOI": "MultiPolygon", "layer_styles": None}
        assert table(tmp_path / "inventory.gpkg", "AOI") == {"name": ["Khumbu"]}

    def test_shapefile_names_are_told_apart(self) -> None:
        assert short_names(["rgu_activity_assessment", "rgu_activity_class", "Acti.Cl.", "rgu_activity"]) == [
            "rgu_activi", "rgu_acti_1", "Acti.Cl.", "rgu_acti_2",
        ]  # fmt: skip

    def test_every_form_knows_its_own_outlines(self) -> None:
        for name, form in FORMS.items():
            assert recognised(field.name for field in form.outlines.fields) == name
        assert recognised(["id", "area_km2", "primary_id", "longitude", "latitude", "aspect", "maat", "pzi"]) is None


class TestWhatIsFilledIn:
    def test_activity_and_kinematics_are_never_guessed(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0)], probability_mean=[0.99], permafrost_fraction=[1.0], votes=[4.0])
        exported(outlines, tmp_path / "i.gpkg")
        markers = table(tmp_path / "i.gpkg", "PM")
        assert (markers["Acti.Cl."], markers["Kin.Att."]) == (["Uncertain"], ["undefined"])
        a_persons = ("Morpho.", "Complet.", "Upsl.Con.", "Upsl.Cur.", "Acti.Ass.", "Destabili.", "Rel.Kin.", "Kin.Period")
        assert {name: markers[name] for name in a_persons} == dict.fromkeys(a_persons, [None])

    @pytest.mark.parametrize("spelled", ["activity_class", "Acti__Cl__", "ActiCl", "rgu_activity_class", "actiCL"])
    def test_what_a_person_said_is_carried_over_in_any_spelling(self, tmp_path: Path, spelled: str) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], **{spelled: ["Relict", None]})
        exported(outlines, tmp_path / "i.gpkg")
        assert table(tmp_path / "i.gpkg", "PM")["Acti.Cl."] == ["Relict", "Uncertain"]

    def test_the_forms_own_field_comes_before_the_projects(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], id=[7, 8], WorkingID=["TH-1", None])
        exported(outlines, tmp_path / "i.gpkg")
        assert table(tmp_path / "i.gpkg", "PM")["WorkingID"] == ["TH-1", "8"]

    def test_reliabilities_and_their_sum(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.gpkg")
        outlines = table(tmp_path / "i.gpkg", "GO")
        assert outlines["RelFr"] == [0, 2, None]
        assert outlines["RelIndex"] == [2, 8, None]
        assert pyogrio.read_info(tmp_path / "i.gpkg", layer="GO")["dtypes"][3:8].tolist() == ["int32"] * 5

    def test_markers_lie_on_bent_tongues(self, tmp_path: Path) -> None:
        bent = shapely.Polygon([(0, 0), (900, 0), (900, 90), (90, 90), (90, 900), (0, 900)])
        outline = shapely.transform(bent, lambda places: places + [600000, 3100000])
        assert not outline.contains(outline.centroid)
        exported(layer(tmp_path / "o.gpkg", [outline]), tmp_path / "i.gpkg")
        (marker,), (footprint,) = shapes(tmp_path / "i.gpkg", "PM"), shapes(tmp_path / "i.gpkg", "GO")
        assert footprint.contains(marker)
        name = table(tmp_path / "i.gpkg", "PM")["PrimaryID"][0]
        assert name == f"RGU{round(marker.y * 1e4):06d}N{round(marker.x * 1e4):07d}E"

    def test_a_marker_that_was_placed_stays_and_one_off_its_outline_is_told(self, tmp_path: Path) -> None:
        to_degrees = Transformer.from_crs(UTM45, WGS84, always_xy=True).transform
        on, off = to_degrees(600010, 3100010), to_degrees(601900, 3100010)
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1), box(2)], longitude=[on[0], off[0], np.nan], latitude=[on[1], off[1], np.nan])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.gpkg", reporter)
        markers = shapes(tmp_path / "i.gpkg", "PM")
        assert [(marker.x, marker.y) for marker in markers[:2]] == [on, off]
        assert shapes(tmp_path / "i.gpkg", "GO")[2].contains(markers[2])
        assert [code for code, _ in reporter.warnings] == ["marker_off"]

    def test_units_of_a_system_share_its_id(self, tmp_path: Path) -> None:
        units = [shapely.box(600000, 3100000, 600400, 3100600), shapely.box(600400, 3100000, 600800, 3100600), box(5)]
        exported(layer(tmp_path / "o.gpkg", units, system_id=[4.0, 4.0, np.nan]), tmp_path / "i.gpkg")
        systems = table(tmp_path / "i.gpkg", "PM")["Assoc.RGS"]
        exported(layer(tmp_path / "s.gpkg", [shapely.union_all(units[:2])]), tmp_path / "j.gpkg")
        assert systems == [table(tmp_path / "j.gpkg", "PM")["PrimaryID"][0].replace("RGU", "RGS")] * 2 + [None]

    def test_method_is_what_the_review_says_and_rejected_outlines_stay_out(self, tmp_path: Path) -> None:
        status = ["accepted", "edited", "added", "rejected", None]
        outlines = layer(tmp_path / "o.gpkg", [box(n) for n in range(5)], status=status)
        result = exported(outlines, tmp_path / "i.gpkg", operator="A. Kääb", imagery="GF-1, 2020")
        found = table(tmp_path / "i.gpkg", "GO")
        assert found["Method"] == ["model", "model-edited", "manual", None]
        assert (set(found["Operator"]), set(found["Imagery"])) == ({"A. Kääb"}, {"GF-1, 2020"})
        assert (result["count"], result["rejected"]) == (4, 1)

    def test_attributes_of_the_terrain_in_the_forms_that_have_room(self, tmp_path: Path) -> None:
        outlines = layer(
            tmp_path / "o.gpkg", [box(0), box(1), box(2)], elevation_min=[4810.0, np.nan, 1.0], slope_mean=[17.7, 1.0, 1.0],
            aspect=[10.0, 315.0, np.nan], aspect_sector=["N", "NW", None], length_m=[600.0, 1.0, 1.0], maat=[-2.5, 0.0, 0.0],
            solar_kwh_m2=[1500.0, 1.0, 1.0], dem_source=["COP30", "", None], precipitation=[400.0, 1.0, 1.0],
        )  # fmt: skip
        found = {}
        for form in ("rgi7", "global2026", "tprogi"):
            exported(outlines, tmp_path / f"{form}.gpkg", form=form)
            found[form] = table(tmp_path / f"{form}.gpkg", FORMS[form].outlines.name)
        assert found["rgi7"]["zmin_m"] == [4810.0, None, 1.0]
        assert found["rgi7"]["aspect_sec"] == [1, 8, 9]
        assert found["rgi7"]["utm_zone"] == [45] * 3
        assert found["rgi7"]["dem_source"] == ["COP30", None, None]
        assert found["global2026"]["aspect"] == [7, 6, None]
        assert (found["tprogi"]["MAAT"][0], found["tprogi"]["PISR"][0], found["tprogi"]["AP"][0]) == (-2.5, 1500.0, 400.0)

    @pytest.mark.parametrize(("sector", "code"), [("E", 1), ("SE", 2), ("S", 3), ("SW", 4), ("W", 5), ("NW", 6), ("N", 7), ("NE", 8)])
    def test_aspect_classes_of_the_global_inventory_begin_in_the_east(self, sector: str, code: int) -> None:
        codes = next(field.codes for field in FORMS["global2026"].outlines.fields if field.name == "aspect")
        assert codes is not None and codes[sector] == code

    def test_areas_are_measured_not_copied(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0)], area_km2=[99.0])
        exported(outlines, tmp_path / "r.gpkg", form="rgi7")
        exported(outlines, tmp_path / "g.gpkg", form="global2026")
        shape = shapely.transform(box(0), Transformer.from_crs(UTM45, 8857, always_xy=True).transform, interleaved=False)
        assert table(tmp_path / "g.gpkg")["area"][0] == pytest.approx(shape.area / 1e6, rel=1e-9)
        assert table(tmp_path / "r.gpkg")["area_km2"][0] == pytest.approx(0.2401325, rel=1e-6)

    def test_existing_ids_are_kept_and_odd_ones_told(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], PrimaryID=["RGU280000N0880000E", "rg-17"])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.gpkg", reporter, field_mapping=("OldID=PrimaryID",))
        found = table(tmp_path / "i.gpkg", "GO")
        assert found["PrimaryID"][0] == "RGU280000N0880000E"
        assert found["PrimaryID"][1].startswith("RGU2802")
        assert found["OldID"][1] == "rg-17"
        assert [code for code, _ in reporter.warnings] == ["no_primary_id"]


class TestRestrictedOutlines:
    @pytest.mark.parametrize("fields", [{"id": [2, 1]}, {"WorkingID": ["2", "1"]}])
    def test_belong_to_the_outline_of_their_id(self, three: str, tmp_path: Path, fields: dict[str, Any]) -> None:
        restricted = layer(tmp_path / "r.gpkg", [box(1, 300), box(0, 300)], reliability_front=[1.0, 0.0], **fields)
        result = exported(three, tmp_path / "i.gpkg", restricted=restricted)
        found = table(tmp_path / "i.gpkg", "GO")
        assert found["Out.Type"] == ["Extended"] * 3 + ["Restricted"] * 2
        assert found["PrimaryID"][3:] == [found["PrimaryID"][1], found["PrimaryID"][0]]
        assert found["RelFr"][3:] == [1, 0]
        assert (len(table(tmp_path / "i.gpkg", "PM")["PrimaryID"]), result["count"], result["restricted"]) == (3, 3, 2)

    def test_belong_to_the_outline_of_their_primary_id_and_may_be_on_another_map(self, tmp_path: Path) -> None:
        ids = ["RGU280000N0880000E", "RGU280001N0880000E"]
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], PrimaryID=ids, id=[1, 2])
        inner = shapely.transform(box(1, 300), Transformer.from_crs(UTM45, 3857, always_xy=True).transform, interleaved=False)
        restricted = layer(tmp_path / "r.gpkg", [inner], CRS.from_epsg(3857), PrimaryID=ids[1:], id=[1])
        exported(outlines, tmp_path / "i.gpkg", restricted=restricted)
        assert table(tmp_path / "i.gpkg", "GO")["PrimaryID"] == [*ids, ids[1]]
        footprints = shapes(tmp_path / "i.gpkg", "GO")
        assert footprints[1].buffer(1e-7).contains(footprints[2])

    def test_without_ids_they_are_refused(self, three: str, tmp_path: Path) -> None:
        with pytest.raises(EngineError) as caught:
            exported(three, tmp_path / "i.gpkg", restricted=layer(tmp_path / "r.gpkg", [box(0, 300)]))
        assert caught.value.code == "restricted_ids"

    def test_restricted_outlines_go_where_they_lie_when_outlines_were_numbered_anew(self, tmp_path: Path) -> None:
        left, right = shapely.box(600000, 3100000, 600200, 3100600), shapely.box(600200, 3100000, 600400, 3100600)
        units = layer(tmp_path / "units.gpkg", [left, right, box(1)], id=[1, 2, 3])  # made of outlines 1 and 2
        inner, other = shapely.box(600050, 3100050, 600350, 3100550), box(1, 300)
        reporter = SilentReporter()
        exported(units, tmp_path / "i.gpkg", reporter, restricted=layer(tmp_path / "r.gpkg", [inner, other], id=[1, 2]))
        assert [code for code, _ in reporter.warnings] == ["restricted_elsewhere"]
        found, drawn = table(tmp_path / "i.gpkg", "GO"), shapes(tmp_path / "i.gpkg", "GO")
        number = {
            entry: index
            for index, (entry, kind) in enumerate(zip(found["PrimaryID"], found["Out.Type"], strict=True))
            if kind == "Extended"
        }
        belongs = [(index, number[entry]) for index, entry in enumerate(found["PrimaryID"]) if found["Out.Type"][index] == "Restricted"]
        assert sorted(extended for _, extended in belongs) == [0, 1, 2]
        assert all(shapely.covers(shapely.buffer(drawn[extended], 1e-7), drawn[index]) for index, extended in belongs)

    def test_of_no_outline_they_are_kept_and_told(self, three: str, tmp_path: Path) -> None:
        reporter = SilentReporter()
        exported(three, tmp_path / "i.gpkg", reporter, restricted=layer(tmp_path / "r.gpkg", [box(9, 300)], id=[9]))
        assert [code for code, _ in reporter.warnings] == ["restricted_alone"]
        assert len(table(tmp_path / "i.gpkg", "PM")["PrimaryID"]) == 4

    def test_forms_without_room_say_so(self, three: str, tmp_path: Path) -> None:
        reporter = SilentReporter()
        restricted, area = layer(tmp_path / "r.gpkg", [box(0, 300)], id=[1]), layer(tmp_path / "a.gpkg", [box(0)])
        result = exported(three, tmp_path / "i.gpkg", reporter, form="rgi7", restricted=restricted, area_of_interest=area)
        assert result["layers"] == {"rock_glaciers": 3}
        assert [code for code, _ in reporter.warnings] == ["no_room", "no_room"]


class TestDropDownLists:
    """In real QGIS: tests/plugin/test_runs_inventory.py."""

    def values(self, qml: str) -> dict[str, list[str]]:
        fields = ElementTree.fromstring(qml).findall(".//fieldConfiguration/field")
        assert all(field.find("editWidget").get("type") == "ValueMap" for field in fields)  # type: ignore[union-attr]
        lists = {field.get("name", ""): field.findall(".//Option[@name='map']/Option/Option") for field in fields}
        return {name: [option.get("value", "") for option in options] for name, options in lists.items()}

    def test_a_geopackage_carries_them_as_its_default_styles(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.gpkg", area_of_interest=three)
        with sqlite3.connect(tmp_path / "i.gpkg") as connection:
            rows = connection.execute("SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles").fetchall()
        assert [row[:3] for row in rows] == [("GO", "geom", 1), ("PM", "geom", 1), ("AOI", "geom", 1)]
        assert self.values(rows[0][3]) == {
            "Out.Type": ["Extended", "Restricted"], "RelFr": ["0", "1", "2"], "RelLeftLM": ["0", "1", "2"],
            "RelRightLM": ["0", "1", "2"], "RelUpsCon": ["0", "1", "2"],
        }  # fmt: skip
        lists = self.values(rows[1][3])
        assert lists["Acti.Cl."] == ACTIVITY
        assert lists["Upsl.Con."] == domains()["upslope_connection"]["values"]
        assert len(lists["Upsl.Con."]) == 9
        assert len(lists["Kin.Att."]) == 8
        assert set(lists) == {
            "Morpho.",
            "Complet.",
            "Upsl.Con.",
            "Upsl.Cur.",
            "Acti.Ass.",
            "Acti.Cl.",
            "Destabili.",
            "Kin.Att.",
            "Rel.Kin.",
        }

    def test_other_files_have_them_beside_with_the_names_in_the_file(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.shp", form="rogi_ch")
        assert self.values((tmp_path / "i_PM.qml").read_text())["rgu_acti_1"] == ACTIVITY

    def test_values_outside_a_domain_are_kept_and_told(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], ActiCl=["transitional uncertain", "Active"], reliability_front=[3.0, 1.0])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.gpkg", reporter)
        assert table(tmp_path / "i.gpkg", "PM")["Acti.Cl."] == ["transitional uncertain", "Active"]
        assert table(tmp_path / "i.gpkg", "GO")["RelFr"] == [3, 1]
        assert [(code, "transitional uncertain" in text) for code, text in reporter.warnings] == [("domain", False), ("domain", True)]

    def test_what_is_no_number_is_told(self, tmp_path: Path) -> None:
        reporter = SilentReporter()
        exported(layer(tmp_path / "o.gpkg", [box(0)], RelFr=["high"]), tmp_path / "i.gpkg", reporter)
        assert table(tmp_path / "i.gpkg", "GO")["RelFr"] == [None]
        assert [(code, "high" in text) for code, text in reporter.warnings] == [("not_kept", True)]


class TestFieldMapping:
    def test_fills_fills_otherwise_and_adds(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0)], mapper=["X. Y."], votes=[3.5], my_area=[7.0])
        exported(outlines, tmp_path / "i.gpkg", field_mapping=("Operator=mapper", "Votes=votes"))
        found = table(tmp_path / "i.gpkg", "GO")
        assert (found["Operator"], found["Votes"]) == (["X. Y."], [3.5])
        exported(outlines, tmp_path / "t.gpkg", form="tprogi", field_mapping=("AREA=my_area",))
        assert table(tmp_path / "t.gpkg", "TPRoGI_Extended_Footprint")["AREA"] == [7.0]

    def test_numbers_stay_numbers_beside_restricted_outlines(self, three: str, tmp_path: Path) -> None:
        restricted = layer(tmp_path / "r.gpkg", [box(0, 300)], id=[1])
        exported(three, tmp_path / "i.gpkg", restricted=restricted, field_mapping=("Number=id",))
        assert table(tmp_path / "i.gpkg", "GO")["Number"] == [1, 2, 3, None]

    @pytest.mark.parametrize("run", [exported, imported])
    def test_a_field_that_is_not_there(self, three: str, tmp_path: Path, run: Any) -> None:
        with pytest.raises(EngineError) as caught:
            run(three, tmp_path / "i.gpkg", field_mapping=("Operator=mapper",))
        assert caught.value.code == "field_missing"
        assert "reliability_front" in caught.value.text

    def test_on_the_way_in(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.gpkg")
        imported(tmp_path / "i.gpkg", tmp_path / "o.gpkg", field_mapping=("front=RelFr",))
        assert table(tmp_path / "o.gpkg")["front"] == [0, 2, None]


class TestFiles:
    def test_geojson_is_cut_at_the_antimeridian(self, tmp_path: Path) -> None:
        across = shapely.box(179.998, 66, 180.002, 66.002)
        outlines = layer(tmp_path / "o.gpkg", [across, shapely.box(179.99, 66, 179.992, 66.002)], WGS84)
        result = exported(outlines, tmp_path / "i.geojson", form="rgi7")
        assert result["files"] == [str(tmp_path / "i.geojson")]
        document = json.loads((tmp_path / "i.geojson").read_text())
        assert "crs" not in document
        parts = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in document["features"]]
        assert [len(part.geoms) for part in parts] == [2, 1]
        assert sorted(piece.bounds for piece in parts[0].geoms) == [(-180, 66, -179.998, 66.002), (179.998, 66, 180, 66.002)]
        assert parts[0].geoms[0].exterior.is_ccw
        areas = [feature["properties"]["area_km2"] for feature in document["features"]]
        assert areas[0] == pytest.approx(2 * areas[1], rel=1e-9)
        assert document["features"][0]["properties"]["PrimaryID"] == "RGU660010N1800000E"

    def test_from_a_map_whose_degrees_go_from_0_to_360(self) -> None:
        outlines = PolygonLayer(np.array([shapely.box(290, -33, 290.01, -32.99)], dtype=object), WGS84)
        assert in_degrees(outlines)[0].bounds == pytest.approx((-70, -33, -69.99, -32.99))

    @pytest.mark.parametrize("suffix", [".geojson", ".shp"])
    def test_a_file_for_each_layer_and_none_where_one_fails(
        self, three: str, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "inventory"
        folder.mkdir()
        result = exported(three, folder / f"i{suffix}", operator="first")
        assert result["output"] == str(folder / f"i_GO{suffix}")
        assert {Path(file).name for file in result["files"]} == {f"i_GO{suffix}", f"i_PM{suffix}"}
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

        def full(place: Path, content: PolygonLayer, name: str, *args: Any, **options: Any) -> None:
            if name == "i_PM":
                raise OSError(28, "No space left on device")
            write_layer(place, content, name, *args, **options)

        monkeypatch.setattr("engine.inventory.write_layer", full)
        with pytest.raises(EngineError) as caught:
            exported(three, folder / f"i{suffix}", operator="second")
        assert caught.value.code == "disk_full"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_shapefiles_say_what_they_cannot_hold(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0)], comment=["é" * 128], operator=["Käab"])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.shp", reporter, form="rogi_ch")
        assert [(code, "pm_comment" in text) for code, text in reporter.warnings] == [("text_cut", True)]
        assert any("rgu_activity_class is rgu_acti_1" in info for info in reporter.infos)
        assert table(tmp_path / "i_GO.shp")["Operator"] == ["Käab"]

    def test_one_of_the_files_would_replace_the_input(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "i_GO.geojson", [shapely.box(88, 28, 88.01, 28.01)], WGS84)
        with pytest.raises(EngineError) as caught:
            exported(outlines, tmp_path / "i.geojson")
        assert caught.value.code == "output_is_input"

    def test_a_geopackage_that_is_open_elsewhere_is_replaced_whole(self, three: str, tmp_path: Path) -> None:
        output = tmp_path / "i.gpkg"
        exported(three, output, operator="first")
        connection = sqlite3.connect(output)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE gpkg_contents SET description = 'unsaved'")
        exported(three, output, operator="second")
        assert set(table(output, "GO")["Operator"]) == {"second"}
        connection.close()
        assert set(table(output, "GO")["Operator"]) == {"second"}
        assert pyogrio.read_info(output, layer="GO")["features"] == 3

    def test_a_read_only_geopackage_is_read(self, three: str, tmp_path: Path) -> None:
        Path(three).chmod(0o444)
        assert exported(three, tmp_path / "i.gpkg")["count"] == 3
        (tmp_path / "i.gpkg").chmod(0o444)
        assert imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")["count"] == 3


EVERYTHING: dict[str, list[Any]] = {
    "WorkingID": ["TH-1", "TH-2", "TH-3"],
    "associated_rgs": ["RGS280242N0880193E", None, None],
    "activity_class": ["Active", "Relict uncertain", "Uncertain"],
    "kinematic_attribute": ["dm/yr", "undefined", "> m/yr"],
    "kinematic_reliability": ["high", None, "low"],
    "kinematic_period": ["2018-2021", None, None],
    "upslope_connection": ["talus", "glacier forefield", None],
    "upslope_current": ["yes", "no", None],
    "unit_morphology": ["simple", "complex", None],
    "system_type": ["multi-unit", "mono-unit", None],
    "completeness": ["complete", None, "uncertain"],
    "activity_assessment": ["with kinematic data", None, None],
    "destabilisation": ["no", None, "yes (ongoing)"],
    "comment": ["steep front; Ü", None, "second visit"],
    "outline_comment": [None, "snow on the left", None],
    "country": ["Nepal", "Nepal", None],
    "poly_uid": ["P1", "P2", "P3"],
    "alternative_id": ["a", None, "c"],
    "kinematic_radar": ["x", None, None],
    "kinematic_optical": [None, "y", None],
    "operator": ["A", "B", None],
    "imagery": ["GF-1", None, None],
    "date": ["2020-09-01", "2021", None],
    "method": ["model", "manual", None],
    "subregion": ["Khumbu", None, "Rolwaling"],
    "aspect_sector": ["N", "SW", None],
    "dem_source": ["COP30", None, None],
    "reliability_front": [0.0, 1.0, np.nan],
    "reliability_left": [2.0, 1.0, 0.0],
    "reliability_right": [1.0, 1.0, 0.0],
    "reliability_upslope": [0.0, 2.0, 0.0],
    "longitude": [88.0190, 88.0290, np.nan],
    "latitude": [28.0240, 28.0240, np.nan],
    "terminus_longitude": [88.0189, np.nan, 88.04],
    "terminus_latitude": [28.0230, np.nan, 28.02],
    **{name: [1.25 + number, np.nan, -number] for number, name in enumerate(
        ["elevation_min", "elevation_max", "elevation_mean", "elevation_median", "slope_mean", "aspect", "length_m", "maat", "magt",
         "precipitation", "pzi", "solar_kwh_m2"])},
}  # fmt: skip


class TestThereAndBack:
    @pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
    @pytest.mark.parametrize("form", INVENTORY_FORMS)
    def test_what_a_form_holds_is_the_same_after_import_and_export(self, tmp_path: Path, form: str, suffix: str) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1), box(2)], **EVERYTHING)
        restricted = layer(
            tmp_path / "r.gpkg", [box(0, 300), box(2, 200)], WorkingID=["TH-1", "TH-3"], RelFr=[2, 0], Comment=["by eye", None]
        )
        alone = str(tmp_path / "m.gpkg")
        points = PolygonLayer(shapely.points([88.1], [28.1]), WGS84, {"ActiCl": np.array(["Relict"], dtype=object)})
        write_polygons(alone, points, "markers", "Point")
        for folder in ("first", "second"):
            (tmp_path / folder).mkdir()
        first = exported(outlines, tmp_path / "first" / f"i{suffix}", form=form, restricted=restricted, markers=alone)
        back = {"markers": str(tmp_path / "m2.gpkg")} if FORMS[form].markers else {}
        result = imported(tmp_path / "first" / f"i{suffix}", tmp_path / "o2.gpkg", **back)
        assert (result["form"], result["unknown_fields"]) == (form, [])
        second = exported(str(tmp_path / "o2.gpkg"), tmp_path / "second" / f"i{suffix}", form=form, **back)
        assert first["layers"] == second["layers"]
        names = list(first["layers"])
        for name, one, other in zip(names, first["files"] * len(names), second["files"] * len(names), strict=False):
            within = name if suffix == ".gpkg" else None
            assert_same(table(one, within), table(other, within))
            np.testing.assert_array_less(shapely.hausdorff_distance(shapes(one, within), shapes(other, within)), 2e-9)

    def test_outlines_have_this_projects_names(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1), box(2)], **EVERYTHING)
        exported(outlines, tmp_path / "i.gpkg")
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        found = table(tmp_path / "b.gpkg")
        known = {name: column for name, column in EVERYTHING.items() if name in found}
        assert {"activity_class", "reliability_front", "comment", "outline_comment", "associated_rgs", "method"} <= set(known)
        for name, column in known.items():
            if name not in ("longitude", "latitude"):
                assert found[name] == [plain(value) for value in column], name
        assert found["id"] == EVERYTHING["WorkingID"]
        assert pyogrio.read_info(tmp_path / "b.gpkg")["geometry_type"] == "Polygon"

    def test_numbers_as_working_ids_become_the_id_again(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.gpkg")
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        assert table(tmp_path / "b.gpkg")["id"] == [1, 2, 3]

    def test_no_id_is_made_up(self, tmp_path: Path) -> None:
        exported(layer(tmp_path / "o.gpkg", [box(0)]), tmp_path / "i.gpkg")
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        assert table(tmp_path / "i.gpkg", "GO")["WorkingID"] == [None]
        assert "id" not in table(tmp_path / "b.gpkg")

    @pytest.mark.parametrize(("form", "codes"), [("rgi7", "aspect_sec"), ("global2026", "aspect")])
    def test_codes_of_aspect_classes_are_undone(self, tmp_path: Path, form: str, codes: str) -> None:
        sectors = ["N", "NE", "E", "SE", "S", "SW", "W", "NW", None]
        outlines = layer(tmp_path / "o.gpkg", [box(n) for n in range(9)], aspect_sector=sectors)
        exported(outlines, tmp_path / "i.gpkg", form=form)
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        assert sorted(code for code in table(tmp_path / "i.gpkg")[codes] if code) == list(range(1, 10 if form == "rgi7" else 9))
        assert table(tmp_path / "b.gpkg")["aspect_sector"] == sectors


def assert_same(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> None:
    assert list(one) == list(other)
    for name, column in one.items():
        for value, again in zip(column, other[name], strict=True):
            same = again == pytest.approx(value, rel=1e-6, abs=2e-9) if isinstance(value, float) else again == value
            assert same, (name, value, again)


class TestImport:
    def released(self, path: Path) -> str:
        """A GeoPackage as the release of 2025 is laid out, with moving areas and a marker without an outline."""
        ids = np.array(["RGU280242N0880193E", "RGU280241N0880295E"], dtype=object)
        square = [shapely.box(88.017, 28.022, 88.021, 28.026), shapely.box(88.027, 28.022, 88.031, 28.026)]
        both = np.array([square[1], square[0], square[0].buffer(-0.0005)], dtype=object)
        points = shapely.points([88.019, 88.029, 88.5], [28.024, 28.024, 28.5])
        layers = [
            ("AOI", "Polygon", np.array([shapely.box(88, 28, 89, 29)], dtype=object), {}),
            ("PM", "Point", points, {"PrimaryID": np.append(ids, "RGU285000N0885000E"), "ActiCl": np.array(["Active", None, "Relict"]),
                                     "Country": np.array(["NP", "NP", "NP"], dtype=object)}),
            ("MA", "MultiPolygon", both, {"VelClass": np.array([1, 2, 3])}),
            ("GO", "MultiPolygon", both, {"PolyUID": np.arange(3), "PrimaryID": ids[[1, 0, 0]], "RelFr": np.array([2, 1, 0]),
                                          "OutType": np.array(["Extended", "Extended", "Restricted"], dtype=object),
                                          "Reviewer": np.array(["Z", None, "Z"], dtype=object)}),
        ]  # fmt: skip
        for number, (name, kind, geometries, fields) in enumerate(layers):
            content = PolygonLayer(geometries if kind != "MultiPolygon" else shapely.multipolygons(geometries[:, None]), WGS84, fields)
            write_layer(path, content, f"ESACCI-PERMAFROST_ROGI_ALL-AREAS_{name}_2025-fv02.0", kind, "GPKG", append=number > 0)
        return str(path)

    def test_all_outputs_appear_or_none(self, tmp_path: Path) -> None:
        inventory, restricted, alone = self.released(tmp_path / "i.gpkg"), tmp_path / "r.gpkg", tmp_path / "m.gpkg"
        with pytest.raises(EngineError) as caught:
            imported(inventory, tmp_path / "no folder" / "o.gpkg", restricted=str(restricted), markers=str(alone))
        assert caught.value.code == "output_folder"
        assert not restricted.exists() and not alone.exists()

    def test_the_released_geopackage(self, tmp_path: Path) -> None:
        inventory = self.released(tmp_path / "ESACCI-PERMAFROST_ROGI_ALL-AREAS_AOI-PM-MA-GO_2025-fv02.0.gpkg")
        reporter = SilentReporter()
        restricted, alone = str(tmp_path / "r.gpkg"), str(tmp_path / "m.gpkg")
        result = imported(inventory, tmp_path / "o.gpkg", reporter, restricted=restricted, markers=alone)
        assert {name: result[name] for name in ("form", "count", "restricted", "markers_alone", "unknown_fields")} == {
            "form": "rgik_release", "count": 2, "restricted": 1, "markers_alone": 1, "unknown_fields": ["Reviewer"],
        }  # fmt: skip
        found = table(tmp_path / "o.gpkg")
        assert found["activity_class"] == [None, "Active"]
        assert (found["Reviewer"], found["reliability_front"], found["poly_uid"]) == (["Z", None], [2, 1], [0, 1])
        assert found["longitude"] == [88.029, 88.019]
        assert table(restricted)["primary_id"] == ["RGU280242N0880193E"]
        assert table(alone)["activity_class"] == ["Relict"]
        assert reporter.warnings == []

    def test_restricted_outlines_and_lonely_markers_are_told_where_nobody_asks_for_them(self, tmp_path: Path) -> None:
        reporter = SilentReporter()
        result = imported(self.released(tmp_path / "i.gpkg"), tmp_path / "o.gpkg", reporter)
        assert (result["count"], table(tmp_path / "o.gpkg")["outline_type"]) == (3, ["Extended", "Extended", "Restricted"])
        assert [code for code, _ in reporter.warnings] == ["restricted_among", "markers_alone"]

    def test_a_swiss_shapefile_with_names_cut_by_gdal(self, tmp_path: Path) -> None:
        names = ["pm_pid", "ou_type", "pm_working_id"]
        columns = [np.array([value], dtype=object) for value in ("RGU280242N0880193E", "Extended", "7")]
        square = shapely.to_wkb(np.array([shapely.box(88.017, 28.022, 88.021, 28.026)], dtype=object))
        pyogrio.raw.write(tmp_path / "GO.shp", square, columns, names, geometry_type="Polygon", crs="EPSG:4326")
        names = ["pm_pid", "rgu_upsl_cur", "rgu_upsl_con", "rgu_activity_assessment", "rgu_activity_class", "rgu_kin_optical"]
        said = ("RGU280242N0880193E", "yes", "talus", "with kinematic data", "Active", "seen")
        columns = [np.array([value], dtype=object) for value in said]
        point = shapely.to_wkb(shapely.points([88.019], [28.024]))
        pyogrio.raw.write(tmp_path / "PM.shp", point, columns, names, geometry_type="Point", crs="EPSG:4326")
        imported(tmp_path / "GO.shp", tmp_path / "o.gpkg")
        found = table(tmp_path / "o.gpkg")
        assert (found["activity_assessment"], found["activity_class"]) == (["with kinematic data"], ["Active"])
        assert (found["id"], found["kinematic_optical"]) == ([7], ["seen"])

    def test_from_the_file_of_markers_its_outlines_are_found(self, three: str, tmp_path: Path) -> None:
        exported(three, tmp_path / "i.geojson", form="tprogi")
        assert imported(tmp_path / "i_TPRoGI_Primary_Marker.geojson", tmp_path / "o.gpkg")["count"] == 3

    def test_an_unknown_form_travels_on(self, three: str, tmp_path: Path) -> None:
        reporter = SilentReporter()
        result = imported(three, tmp_path / "o.gpkg", reporter)
        assert (result["form"], [code for code, _ in reporter.warnings]) == ("", ["form_unknown"])
        assert table(tmp_path / "o.gpkg") == table(three)

    def test_several_layers_that_could_be_the_outlines(self, tmp_path: Path) -> None:
        for number, name in enumerate(("west", "east")):
            content = PolygonLayer(np.array([box(number)], dtype=object), UTM45, {})
            write_layer(tmp_path / "i.gpkg", content, name, "Polygon", "GPKG", append=number > 0)
        with pytest.raises(EngineError) as caught:
            imported(tmp_path / "i.gpkg", tmp_path / "o.gpkg")
        assert caught.value.code == "several_layers"
        assert imported(tmp_path / "i.gpkg", tmp_path / "o.gpkg", input_layer="east")["count"] == 1

    @pytest.mark.parametrize(
        ("name", "code"), [("nothing.gpkg", "file_missing"), ("text.gpkg", "not_a_vector"), ("points.gpkg", "not_polygons")]
    )
    def test_files_that_are_no_inventory(self, tmp_path: Path, name: str, code: str) -> None:
        (tmp_path / "text.gpkg").write_text("text")
        write_polygons(tmp_path / "points.gpkg", PolygonLayer(shapely.points([88.0], [28.0]), WGS84), "points", "Point")
        with pytest.raises(EngineError) as caught:
            imported(tmp_path / name, tmp_path / "o.gpkg")
        assert caught.value.code == code

    def test_repeated_ids_are_joined_in_their_order(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1)], PrimaryID=["RGU280000N0880000E"] * 2, activity_class=["Active", "Relict"])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.gpkg", reporter)
        assert [code for code, _ in reporter.warnings] == ["primary_id_repeated"]
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        assert table(tmp_path / "b.gpkg")["activity_class"] == ["Active", "Relict"]

    def test_markers_and_outlines_without_ids_are_not_joined(self, tmp_path: Path) -> None:
        square = np.array([shapely.box(88.017, 28.022, 88.021, 28.026)], dtype=object)
        nothing, kind = np.array([None], dtype=object), np.array(["Extended"], dtype=object)
        write_layer(tmp_path / "i.gpkg", PolygonLayer(square, WGS84, {"PrimaryID": nothing, "OutType": kind}), "GO", "Polygon", "GPKG")
        marker = PolygonLayer(shapely.points([88.5], [28.5]), WGS84, {"PrimaryID": nothing, "ActiCl": np.array(["Relict"], dtype=object)})
        write_layer(tmp_path / "i.gpkg", marker, "PM", "Point", "GPKG", append=True)
        reporter = SilentReporter()
        assert imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg", reporter)["markers_alone"] == 1
        assert table(tmp_path / "b.gpkg")["activity_class"] == [None]
        assert [code for code, _ in reporter.warnings] == ["outlines_alone", "markers_alone"]

    def test_what_a_form_does_not_know_is_kept(self, tmp_path: Path) -> None:
        square = [shapely.box(88.017, 28.022, 88.021, 28.026)]
        rgi = layer(tmp_path / "r.gpkg", square, WGS84, cenlon=[88.0], cenlat=[28.0], aspect_sec=[12], utm_zone=["45N"], rgi_id=["RGI-1"])
        imported(rgi, tmp_path / "b.gpkg", markers=str(tmp_path / "m.gpkg"))
        found = table(tmp_path / "b.gpkg")
        assert (found["aspect_sector"], found["utm_zone"], found["rgi_id"]) == (["12"], ["45N"], ["RGI-1"])
        assert len(read_points(str(tmp_path / "m.gpkg"), None)) == 0

    def test_outlines_and_markers_that_say_different_things(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0)], id=["m"], outline_working_id=["o"], comment=["marker"], outline_comment=["outline"])
        exported(outlines, tmp_path / "i.gpkg")
        imported(tmp_path / "i.gpkg", tmp_path / "b.gpkg")
        found = table(tmp_path / "b.gpkg")
        assert (found["id"], found["outline_working_id"], found["comment"], found["outline_comment"]) == (
            ["m"],
            ["o"],
            ["marker"],
            ["outline"],
        )


class TestBadInput:
    def test_nothing_to_export(self, tmp_path: Path) -> None:
        for form in INVENTORY_FORMS:
            for suffix in (".gpkg", ".geojson", ".shp"):
                result = exported(layer(tmp_path / "o.gpkg", [], id=np.empty(0, int)), tmp_path / f"{form}{suffix}", form=form)
                assert (result["count"], set(result["layers"].values())) == (0, {0})
                assert imported(tmp_path / f"{form}{suffix}", tmp_path / "b.gpkg")["count"] == 0

    def test_repeated_and_missing_ids(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.gpkg", [box(0), box(1), box(2)], id=["1", "1", None])
        reporter = SilentReporter()
        exported(outlines, tmp_path / "i.gpkg", reporter)
        found = table(tmp_path / "i.gpkg", "GO")
        assert found["WorkingID"] == ["1", "1", None]
        assert len(set(found["PrimaryID"])) == 3
        assert [code for code, _ in reporter.warnings] == ["id_repeated"]

    @pytest.mark.parametrize("run", [exported, imported])
    @pytest.mark.parametrize("step", [0, 1, 2])
    def test_cancelled(self, three: str, tmp_path: Path, run: Any, step: int) -> None:
        exported(three, tmp_path / "i.gpkg")
        folder = tmp_path / "result"
        folder.mkdir()
        with pytest.raises(Cancelled):
            run(three if run is exported else tmp_path / "i.gpkg", folder / "o.gpkg", SilentReporter(cancel_after=step))
        assert not list(folder.iterdir())

    def test_heights_and_measures_are_left_out(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.geojson", [shapely.force_3d(shapely.box(88, 28, 88.01, 28.01), 4800)], WGS84)
        exported(outlines, tmp_path / "i.gpkg")
        assert not shapely.has_z(shapes(tmp_path / "i.gpkg", "GO")).any()

    def test_self_crossing_outlines_are_repaired_and_counted(self, tmp_path: Path) -> None:
        bow = shapely.Polygon([(0, 0), (400, 600), (400, 0), (0, 600)])
        reporter = SilentReporter()
        exported(
            layer(tmp_path / "o.gpkg", [shapely.transform(bow, lambda places: places + [600000, 3100000])]), tmp_path / "i.gpkg", reporter
        )
        assert "1 invalid" in reporter.infos[0]
        assert shapely.is_valid(shapes(tmp_path / "i.gpkg", "GO")).all()

    def test_a_field_called_fid(self, tmp_path: Path) -> None:
        outlines = layer(tmp_path / "o.geojson", [shapely.box(88, 28, 88.01, 28.01)], WGS84, fid=["a"], OutType=["Extended"])
        exported(outlines, tmp_path / "i.gpkg", area_of_interest=outlines, field_mapping=("fid=fid",))
        assert imported(outlines, tmp_path / "b.gpkg")["count"] == 1

    def test_points_where_outlines_are_needed_and_the_other_way_round(self, three: str, tmp_path: Path) -> None:
        write_polygons(tmp_path / "points.gpkg", PolygonLayer(shapely.points([88.0], [28.0]), WGS84), "points", "Point")
        for options, code in (({"markers": three}, "not_points"), ({"restricted": str(tmp_path / "points.gpkg")}, "not_polygons")):
            with pytest.raises(EngineError) as caught:
                exported(three, tmp_path / "i.gpkg", **options)
            assert caught.value.code == code


def test_in_a_terminal(three: str, tmp_path: Path) -> None:
    inventory, back = str(tmp_path / "i.gpkg"), str(tmp_path / "b.gpkg")
    said = []
    for arguments in (
        ["export-inventory", three, inventory, "--form", "rgik_release", "--field-mapping", "Number=id"],
        ["import-inventory", inventory, back, "--field-mapping", "number=Number"],
    ):
        output, error = engine_process(*arguments).communicate(timeout=60)
        assert not error
        said.append(output)
    assert said == [f"{inventory}\nform rgik_release: 3 in GO, 3 in PM\n", f"{back}: 3 outlines, form rgik_release\n"]
    assert table(back)["number"] == [1, 2, 3]
    assert read_polygons(back).crs == WGS84
