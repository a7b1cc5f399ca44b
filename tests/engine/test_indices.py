"""EVI and SAVI against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.indices import evi, savi


def pixel(value: float) -> np.ndarray:
    return np.array([[value]], np.float32)


def test_debris_has_the_indices_of_the_formulas() -> None:
    # N .25, R .20, B .15: 2.5 * .05 / (.25 + 1.2 - 1.125 + 1) and 1.5 * .05 / .95
    assert evi(pixel(0.20), pixel(0.15), pixel(0.25)).item() == pytest.approx(0.125 / 1.325, rel=1e-5)
    assert savi(pixel(0.20), pixel(0.25)).item() == pytest.approx(0.075 / 0.95, rel=1e-5)


def test_soil_adjustment_of_zero_is_1_times_the_normalised_difference() -> None:
    assert savi(pixel(0.2), pixel(0.6), soil_adjustment=0.0).item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "red", "blue", "nir", "expected"),
    [
        ("a denominator of 0.04 means nothing", 0.5, 0.6, 0.54, np.nan),
        ("a denominator of -0.04 means nothing", 0.5, 0.6, 0.46, np.nan),
        ("snow that absorbs near-infrared", 0.70, 0.60, 0.40, 2.5 * -0.3 / 1.1),
        ("a small positive denominator is clipped to -1", 0.80, 0.80, 0.40, -1.0),
        ("a small negative denominator is clipped to 1", 0.90, 0.95, 0.60, 1.0),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_evi_over_snow(name: str, red: float, blue: float, nir: float, expected: float) -> None:
    assert evi(pixel(red), pixel(blue), pixel(nir)).item() == pytest.approx(expected, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_not_observed_has_no_index(missing: float) -> None:
    assert np.isnan(evi(pixel(0.2), pixel(missing), pixel(0.3))).all()
    assert np.isnan(savi(pixel(0.2), pixel(missing))).all()


def test_indices_stay_within_one() -> None:
    random = np.random.default_rng(0)
    red, blue, nir = random.uniform(0, 1.5, (3, 50, 50)).astype(np.float32)
    for index in (evi(red, blue, nir), savi(red, nir)):
        assert index.dtype == np.float32
        assert np.nanmin(index) >= -1
        assert np.nanmax(index) <= 1
