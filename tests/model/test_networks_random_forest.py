"""The random forest: fitted once, otherwise a network like the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.detect import detect
from engine.reporting import SilentReporter
from jobs import DetectJob
from model.calibration import fit_temperature
from model.networks import RandomForest, create_network
from tests.engine.networks import landscape, write_stack
from tests.model import network_checks as checks

BANDS = ("red", "nir", "slope")


def forest(**options) -> RandomForest:
    return create_network("random_forest", checks.statistics(3), bands=BANDS, trees=20, smallest_leaf=5, **options)


@pytest.fixture(scope="module")
def fitted() -> RandomForest:
    grown = forest()
    grown.fit([checks.batch(3)])
    return grown


def test_it_learns_what_it_is_shown(fitted) -> None:
    stack, truth, weight = checks.batch(3)
    marked = fitted(torch.from_numpy(stack)).numpy() > 0
    assert ((marked == truth) | (weight == 0)).mean() > 0.99


def test_the_seed_gives_the_same_forest() -> None:
    twins = [forest(), forest()]
    for twin in twins:
        twin.fit([checks.batch(3)], seed=7)
    assert torch.equal(twins[0].get_extra_state(), twins[1].get_extra_state())


def test_unobserved_is_the_mean(fitted) -> None:
    stack = torch.from_numpy(checks.batch(3)[0])
    filled = torch.where(torch.isnan(stack), 0.25, stack)
    assert torch.equal(fitted(stack), fitted(filled))
    assert torch.equal(fitted(torch.full((1, 3, 8, 8), torch.inf)), fitted(torch.full((1, 3, 8, 8), 0.25)))


def test_state_is_kept_without_a_pickle(fitted, tmp_path) -> None:
    torch.save(fitted.state_dict(), tmp_path / "forest.pt")
    loaded = forest(weights=tmp_path / "forest.pt")
    stack = torch.from_numpy(checks.batch(3)[0])
    assert torch.equal(loaded(stack), fitted(stack))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_exported_forest_agrees(fitted, tmp_path, temperature) -> None:
    card = checks.exported(fitted, tmp_path / "forest", temperature=temperature)
    assert card.bands == BANDS
    assert card.document["network"]["options"]["trees"] == 20
    assert checks.disagreement(fitted, card, temperature) < 1e-4


def test_detect_runs_it(fitted, tmp_path) -> None:
    checks.exported(fitted, tmp_path / "forest")
    red = np.where(landscape(64, 64, (10, 12, 20, 24)) > 0.3, 0.7, 0.2).astype(np.float32)
    write_stack(tmp_path / "stack.tif", red, names=("red", "nir", "slope"), others=0.2)
    job = DetectJob(str(tmp_path / "stack.tif"), str(tmp_path / "polygons.gpkg"), model=str(tmp_path / "forest"), device="cpu")
    found = detect(job, SilentReporter())
    assert found["count"] == 1
    assert found["model"] == "forest"


def test_it_can_be_calibrated(fitted) -> None:
    assert 0.05 < fit_temperature(fitted, [checks.batch(3)]) < 20


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_samples_of_one_class_are_refused(value) -> None:
    stack, truth, weight = checks.batch(3)
    with pytest.raises(ValueError, match="of rock glacier and of background"):
        forest().fit([(stack, np.full_like(truth, value), weight)])


def test_pixels_that_do_not_count_are_not_learnt() -> None:
    stack, truth, weight = checks.batch(3)
    with pytest.raises(ValueError, match="of 0 pixels"):
        forest().fit([(stack, truth, np.zeros_like(weight))])


def test_a_forest_that_is_not_fitted_says_so(tmp_path) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        forest()(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="not fitted"):
        forest().onnx_model()
