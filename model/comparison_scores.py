"""Figures of one of the compared networks on its test samples, counted as *Evaluate network* counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.evaluate import Evaluated
from engine.probability_accuracy import Tally, best, figures, sweep, sweep_thresholds
from engine.reporting import Reporter
from engine.sample_files import UNKNOWN
from engine.tiling import blended_probability
from model.comparison_data import Folds
from model.networks import Network, RandomForest

THRESHOLD, OVERLAP = 0.5, 50.0
"""Probability from which a pixel is marked, the same for all; overlap of tiles, percent."""


def scores(network: Network, folds: Folds, fold: str, tile_px: int, reporter: Reporter) -> dict[str, Any]:
    """Figures of a network on the test samples of a fold.

    Returns
    -------
    ``main`` figures of :func:`engine.probability_accuracy.figures` over the samples that count for the fold, ``positive`` and ``negative``
    over all that hold some and none of what is looked for, None where there are none; ``best_threshold`` of ``main``, which flatters;
    ``samples`` how many of each.

    Raises
    ------
    EngineError
        ``nothing_counts`` when no sample counts; those of the cases' ``read``.
    """
    wanted, seen = ([folds.bands.index(name) for name in names] for names in (network.bands, folds.seen))
    predict = _predictor(network)
    overlap = 0.0 if isinstance(network, RandomForest) else OVERLAP  # each pixel by itself: tiles do not matter
    thresholds = sweep_thresholds(THRESHOLD)
    evaluated = []
    cases = folds.cases(fold)
    for number, case in enumerate(cases):
        reporter.progress(number / len(cases), f"testing on sample {number + 1} of {len(cases)}")
        image, mask = case.read()
        valid = np.asarray(np.isfinite(image[seen]).all(axis=0))
        probability = blended_probability(predict, image[wanted], valid, tile_px, overlap)
        evaluated.append(Evaluated(case, Tally.of(probability, mask, valid & (mask != UNKNOWN), thresholds), THRESHOLD))
    parts = {
        "main": [one for one in evaluated if folds.counts(one.case)],
        "positive": [one for one in evaluated if one.is_positive],
        "negative": [one for one in evaluated if not one.is_positive],
    }
    tallies = {name: _together(ones) for name, ones in parts.items()}
    main = tallies["main"]
    if main is None or not main.pixels:
        raise EngineError("nothing_counts", f"No pixel of {fold} counts: there is nothing to test on.")
    return {
        **{name: None if tally is None else figures(tally, THRESHOLD) for name, tally in tallies.items()},
        "best_threshold": best(sweep(main)),
        "samples": {name: len(ones) for name, ones in parts.items()},
    }


def _predictor(network: Network) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    @torch.no_grad()
    def predict(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        return torch.sigmoid(network(torch.from_numpy(tiles)))[:, 0].numpy()

    network.eval()
    return predict


def _together(evaluated: Sequence[Evaluated]) -> Tally | None:
    return sum((one.tally for one in evaluated[1:]), evaluated[0].tally) if evaluated else None
