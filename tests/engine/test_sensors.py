"""Which scaling a scene gets, and which it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError
from engine.sensors import PRESETS, Evidence, Scaling, choose_scaling

RANDOM = np.random.default_rng(7)
REFLECTANCE = RANDOM.uniform(0.02, 0.7, (4, 5000)).astype(np.float32)


def evidence(values: np.ndarray, name: str = "scene.tif", **further: Any) -> Evidence:
    bands = len(values)
    return Evidence(name, values.astype(np.float32), **({"scales": (1.0,) * bands, "offsets": (0.0,) * bands} | further))


def scene_of(sensor: str, **further: Any) -> Evidence:
    """The same landscape as the product of a sensor holds it."""
    scaling = PRESETS[sensor]
    values = (REFLECTANCE - scaling.offset) / scaling.scale
    return evidence(values if sensor == "reflectance" else values.round(), is_float=sensor == "reflectance", **further)


def codes(scaling: Scaling) -> list[str]:
    return [code for code, _ in scaling.warnings]


@pytest.mark.parametrize("sensor", PRESETS)
def test_every_preset_returns_the_reflectance_that_its_product_holds(sensor: str) -> None:
    scene = scene_of(sensor)
    scaling = choose_scaling(sensor, scene)
    tolerance = 0.0 if sensor == "reflectance" else scaling.scale
    np.testing.assert_allclose(scaling.reflectance(scene.sample), REFLECTANCE, atol=tolerance + 1e-6)


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("S2A_MSIL2A_20200807T034531_N0214_R104_T46RDT.tif", "sentinel2_l2a"),
        ("LC08_L2SP_139041_20201105_20210317_02_T1.tif", "landsat_c2_l2"),
        ("20210612_043012_1009_3B_AnalyticMS_SR.tif", "planetscope_sr"),
        ("ortho_analytic_4b_sr.tif", "planetscope_sr"),
        ("GF1_PMS1_E97.3_N28.1_20150812_QUAC.tif", "gaofen_pms"),
        ("m_3910505_nw_13_060_20210921.tif", "naip"),
    ],
)
def test_auto_reads_the_product_from_the_file_name(name: str, sensor: str) -> None:
    assert choose_scaling("auto", scene_of(sensor, name=name)).sensor == sensor


def test_auto_reads_the_product_from_the_tags() -> None:
    scene = scene_of("sentinel2_l2a", tags={"PRODUCT_URI": "S2B_MSIL2A_20190101T000000_N0211_R104_T46RDT.SAFE"})
    assert choose_scaling("auto", scene).sensor == "sentinel2_l2a"


def test_auto_takes_the_scale_that_the_bands_declare() -> None:
    scene = evidence(REFLECTANCE / 0.0005, scales=(0.0005,) * 4)
    scaling = choose_scaling("auto", scene)
    assert (scaling.scale, scaling.offset) == (0.0005, 0.0)


def test_auto_knows_landsat_by_its_declared_scale() -> None:
    scene = scene_of("landsat_c2_l2", scales=(2.75e-5,) * 4, offsets=(-0.2,) * 4)
    assert choose_scaling("auto", scene).sensor == "landsat_c2_l2"


def test_bands_that_declare_different_scales_are_refused() -> None:
    with pytest.raises(EngineError, match="unscale") as raised:
        choose_scaling("auto", evidence(REFLECTANCE, scales=(1e-4, 1e-4, 1e-4, 2e-4)))
    assert raised.value.code == "scales_differ"


def test_a_product_name_does_not_scale_what_is_reflectance_already() -> None:
    scaling = choose_scaling("auto", evidence(REFLECTANCE, name="S2A_MSIL2A_reflectance.tif", is_float=True))
    assert (scaling.scale, scaling.offset) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("looks", "values", "is_float", "scale", "offset"),
    [
        ("floats 0-1", REFLECTANCE, True, 1.0, 0.0),
        ("integers to 10000", REFLECTANCE * 1e4, False, 1e-4, 0.0),
        ("floats to 10000", REFLECTANCE * 1e4, True, 1e-4, 0.0),
        ("8 bit", REFLECTANCE * 255, False, 1 / 255, 0.0),
        ("Landsat", (REFLECTANCE + 0.2) / 2.75e-5, False, 2.75e-5, -0.2),
        ("the Sentinel-2 offset left in", REFLECTANCE * 1e4 + 1000, False, 1e-4, -0.1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_auto_without_metadata_goes_by_the_values(looks: str, values: np.ndarray, is_float: bool, scale: float, offset: float) -> None:
    scaling = choose_scaling("auto", evidence(values, is_float=is_float))
    assert (scaling.scale, scaling.offset) == pytest.approx((scale, offset))
    assert ("sensor_assumed" in codes(scaling)) == (looks != "floats 0-1")


def test_8_bit_colours_are_said_to_be_no_reflectance() -> None:
    assert "relative_reflectance" in codes(choose_scaling("naip", scene_of("naip")))


@pytest.mark.parametrize("highest", [800, 60000], ids=["10 bit counts", "16 bit stretch"])
def test_values_that_tell_nothing_are_refused(highest: float) -> None:
    with pytest.raises(EngineError, match="SENSOR") as raised:
        choose_scaling("auto", evidence(REFLECTANCE / 0.7 * highest))
    assert raised.value.code == "not_reflectance"


class TestSentinel2Offset:
    LEFT_IN = REFLECTANCE * 1e4 + 1000
    APPLIED = REFLECTANCE * 1e4

    @staticmethod
    def offset(values: np.ndarray, **further: Any) -> tuple[float, list[str]]:
        scaling = choose_scaling("sentinel2_l2a", evidence(values, **further))
        return round(scaling.offset, 6), codes(scaling)

    def test_a_declared_offset_is_added(self) -> None:
        assert self.offset(self.LEFT_IN, tags={"BOA_ADD_OFFSET": "-1000"}) == (-0.1, [])

    def test_a_list_of_offsets_is_read(self) -> None:
        assert self.offset(self.LEFT_IN, tags={"BOA_ADD_OFFSET_VALUES": "-1000 -1000 -1000"}) == (-0.1, [])

    def test_the_offset_of_the_bands_is_added(self) -> None:
        assert self.offset(self.LEFT_IN, scales=(1e-4,) * 4, offsets=(-0.1,) * 4) == (-0.1, [])

    def test_auto_knows_sentinel_2_by_scale_and_offset_of_the_bands(self) -> None:
        scaling = choose_scaling("auto", evidence(self.LEFT_IN, scales=(1e-4,) * 4, offsets=(-0.1,) * 4))
        assert scaling.sensor == "sentinel2_l2a"
        assert scaling.offset == pytest.approx(-0.1)

    def test_baseline_04_00_carries_the_offset(self) -> None:
        assert self.offset(self.LEFT_IN, tags={"PROCESSING_BASELINE": "04.00"}) == (-0.1, [])

    def test_baseline_in_the_product_name(self) -> None:
        assert self.offset(self.LEFT_IN, name="S2A_MSIL2A_20180101T034131_N0500_R061_T46RDT.tif") == (-0.1, [])

    def test_older_baseline_has_none_even_where_all_is_bright(self) -> None:
        assert self.offset(self.LEFT_IN, tags={"PROCESSING_BASELINE": "02.14"}) == (0.0, [])

    def test_a_statement_that_it_was_applied_counts(self) -> None:
        assert self.offset(self.LEFT_IN, tags={"earthsearch:boa_offset_applied": "True", "PROCESSING_BASELINE": "05.09"}) == (0.0, [])

    def test_a_recent_date_alone_says_nothing(self) -> None:
        assert self.offset(self.APPLIED, tags={"DATETIME": "2023-08-01T05:00:00Z"}) == (0.0, [])

    @pytest.mark.parametrize("tags", [{"BOA_ADD_OFFSET": "-1000"}, {"PROCESSING_BASELINE": "04.00"}], ids=["declared", "baseline"])
    def test_it_is_not_subtracted_twice(self, tags: dict[str, str]) -> None:
        assert self.offset(self.APPLIED, tags=tags) == (0.0, ["offset_contradicted"])

    def test_without_metadata_dark_pixels_show_that_it_was_applied(self) -> None:
        assert self.offset(self.APPLIED) == (0.0, [])

    def test_without_metadata_a_scene_without_dark_pixels_has_it_and_says_so(self) -> None:
        assert self.offset(self.LEFT_IN) == (-0.1, ["offset_assumed"])


def test_top_of_atmosphere_is_told() -> None:
    assert "top_of_atmosphere" in codes(choose_scaling("auto", scene_of("sentinel2_l2a", name="S2A_MSIL1C_20200807T034531.tif")))


@pytest.mark.parametrize(
    ("product", "asked", "fitting"),
    [
        ("sentinel2_l2a", "landsat_c2_l2", "sentinel2_l2a"),
        ("sentinel2_l2a", "reflectance", "sentinel2_l2a"),
        ("sentinel2_l2a", "naip", "sentinel2_l2a"),
        ("landsat_c2_l2", "sentinel2_l2a", "landsat_c2_l2"),
        ("reflectance", "sentinel2_l2a", "reflectance"),
        ("reflectance", "gaofen_pms", "reflectance"),
        ("naip", "reflectance", "naip"),
        ("naip", "planetscope_sr", "naip"),
    ],
)
def test_a_wrong_sensor_is_refused_and_the_fitting_one_named(product: str, asked: str, fitting: str) -> None:
    with pytest.raises(EngineError, match=fitting) as raised:
        choose_scaling(asked, scene_of(product))
    assert raised.value.code == "not_reflectance"


def test_a_wrong_custom_scale_is_refused() -> None:
    with pytest.raises(EngineError, match="sentinel2_l2a") as raised:
        choose_scaling("custom", scene_of("sentinel2_l2a"), scale=0.01)
    assert raised.value.code == "not_reflectance"


@pytest.mark.parametrize(
    ("name", "product"),
    [("LC08_L1TP_139041_20201105.tif", "Level-2"), ("20210612_3B_AnalyticMS.tif", "_sr"), ("ortho_analytic_8b.tif", "_sr")],
)
def test_products_that_are_no_reflectance_are_refused_by_name(name: str, product: str) -> None:
    with pytest.raises(EngineError, match=product) as raised:
        choose_scaling("auto", evidence(REFLECTANCE * 1e4, name=name))
    assert raised.value.code == "not_reflectance"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ten_bit_counts.tif", REFLECTANCE / 0.7 * 1000),
        ("GF6_PMS_E97.3_N28.1_20200812_L1A1120.tif", REFLECTANCE / 0.7 * 3900),
        ("radiance.tif", REFLECTANCE / 0.7 * 250),
    ],
)
def test_raw_gaofen_is_told_to_calibrate_first(name: str, values: np.ndarray) -> None:
    with pytest.raises(EngineError, match="calibrate the scene") as raised:
        choose_scaling("gaofen_pms", evidence(values, name=name))
    assert raised.value.code == "not_reflectance"


def test_sunlit_snow_slightly_above_one_is_fine_and_kept() -> None:
    values = REFLECTANCE.copy()
    values[:, :2000] = 1.1
    scaling = choose_scaling("reflectance", evidence(values, is_float=True))
    assert scaling.reflectance(values).max() == pytest.approx(1.1)


def test_reflectance_is_clipped_to_0_and_1_5() -> None:
    clipped = PRESETS["reflectance"].reflectance(np.array([[-0.03, 0.5, 3.0]], np.float32))
    np.testing.assert_allclose(clipped, [[0.0, 0.5, 1.5]])


def test_pixels_that_are_zero_in_every_band_are_not_observed() -> None:
    values = np.array([[0, 0], [0, 0.2], [0, 0.3]], np.float32)
    assert np.isnan(PRESETS["reflectance"].reflectance(values)).tolist() == [[True, False]] * 3


def test_a_zero_is_no_data_in_products_that_say_so() -> None:
    assert np.isnan(PRESETS["landsat_c2_l2"].reflectance(np.array([[0], [15000]], np.float32))).tolist() == [[True], [False]]


@pytest.mark.parametrize("fill", [-9999.0, -32768.0, 65535.0])
def test_a_fill_value_that_nobody_declared_is_not_observed(fill: float) -> None:
    values = REFLECTANCE * 1e4
    values[:, :500] = fill
    scaling = choose_scaling("auto", evidence(values))
    assert "nodata_assumed" in codes(scaling)
    assert scaling.scale == 1e-4
    assert np.isnan(scaling.reflectance(values)).mean() == pytest.approx(0.1)


@pytest.mark.parametrize("sensor", ["auto", "custom", *PRESETS])
def test_a_scene_in_which_nothing_was_observed_has_a_scaling(sensor: str) -> None:
    scaling = choose_scaling(sensor, evidence(np.full((4, 10), np.nan)))
    assert np.isnan(scaling.reflectance(np.full((4, 2), np.nan, np.float32))).all()
