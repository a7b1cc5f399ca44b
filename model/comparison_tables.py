"""Tables of compared networks in the papers' form: means over folds, spread over seeds, which orderings hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from model.comparison_config import RANDOM, Comparison, Entry
from model.comparison_data import Folds
from model.comparison_scores import THRESHOLD
from model.networks.costs import TILE_PX

Outcome = Mapping[str, Any]
"""What a run left in scores.json: ``label``, ``fold``, ``seed``, ``figures`` (name -> 0-1 or None), ``minutes``, ``tile_ms`` ..."""

FIGURES: dict[str, tuple[str, ...]] = {
    "accuracy": ("main", "overall", "accuracy"),
    "miou": ("main", "overall", "miou"),
    "macro_precision": ("main", "macro", "precision"),
    "macro_recall": ("main", "macro", "recall"),
    "macro_f1": ("main", "macro", "f1"),
    "iou": ("main", "rock_glacier", "iou"),
    "precision": ("main", "rock_glacier", "precision"),
    "recall": ("main", "rock_glacier", "recall"),
    "specificity": ("main", "rock_glacier", "specificity"),
    "f1": ("main", "rock_glacier", "f1"),
    "mcc": ("main", "overall", "mcc"),
    "calibration_error": ("main", "expected_calibration_error"),
    "iou_all_positive": ("positive", "rock_glacier", "iou"),
    "negatives_marked": ("negative", "marked_share"),
    "best_threshold_iou": ("best_threshold", "iou"),
}
"""Name -> where it stands among the figures of :func:`model.comparison_scores.scores`."""
HEADS = {
    "accuracy": "Accuracy",
    "miou": "mIoU",
    "macro_precision": "Precision",
    "macro_recall": "Recall",
    "specificity": "Specificity",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1-score",
    "iou": "IoU",
    "calibration_error": "Calibration error",
    "iou_all_positive": "IoU, snow-covered ones too",
    "negatives_marked": "Negatives marked",
    "best_threshold_iou": "IoU at its best threshold",
}
MACRO = ("accuracy", "miou", "macro_precision", "macro_recall", "specificity")
CLASS_WISE = ("iou", "precision", "recall", "specificity", "f1")
BESIDES = ("calibration_error", "iou_all_positive", "negatives_marked", "best_threshold_iou")
YES, UNKNOWN = "✓", "–"
IMAGENET_WORDS = "ImageNet weights of the backbones"

Table = tuple[str, list[list[str]]]
"""Caption and cells, head first."""


def figures_of(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that tables have, out of all of a run's."""

    def at(place: tuple[str, ...]) -> Any:
        found: Any = scores
        for key in place:
            found = None if found is None else found[key]
        return found

    return {name: at(place) for name, place in FIGURES.items()}


@dataclass(frozen=True)
class Spread:
    """A figure over folds and seeds.

    ``mean`` over the folds, each of which weighs the same, then over the seeds; ``seeds`` standard deviation (n - 1) over the seeds of the
    mean over folds, None with one seed; ``folds`` mean over the seeds of each fold.
    """

    mean: float
    seeds: float | None
    folds: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.seeds is None else f" ± {self.seeds:.4f}")


def spread(values: Mapping[tuple[str, int], float | None]) -> Spread | None:
    """Of the values of a figure by fold and seed; only seeds of which every fold is known count, None where there are none."""
    folds, seeds = sorted({fold for fold, _ in values}), sorted({seed for _, seed in values})
    table = np.array([[_number(values.get((fold, seed))) for seed in seeds] for fold in folds], dtype=np.float64)
    whole = table[:, np.isfinite(table).all(axis=0)] if table.size else table
    if not whole.size:
        return None
    of_seeds = whole.mean(axis=0)
    return Spread(
        float(of_seeds.mean()),
        float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None,
        dict(zip(folds, whole.mean(axis=1).tolist(), strict=True)),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True)
class Row:
    """A network in the tables: how many of its ``runs`` are ``done``, its figures by name, its costs."""

    entry: Entry
    done: int
    runs: int
    figures: Mapping[str, Spread | None]
    tile_ms: float | None
    minutes: float | None


def rows(comparison: Comparison, folds: Sequence[str], outcomes: Sequence[Outcome]) -> list[Row]:
    """One for each network, in the order of the file."""
    return [_row(entry, [one for one in outcomes if one["label"] == entry.label], folds, comparison.seeds) for entry in comparison.entries]


def _row(entry: Entry, outcomes: Sequence[Outcome], folds: Sequence[str], seeds: Sequence[int]) -> Row:
    found = {(one["fold"], one["seed"]): one for one in outcomes}
    runs = list(product(folds, seeds))
    return Row(
        entry,
        sum(run in found for run in runs),
        len(runs),
        {name: spread({run: found[run]["figures"][name] if run in found else None for run in runs}) for name in FIGURES},
        next((one["tile_ms"] for one in outcomes if one["tile_ms"] is not None), None),
        float(np.mean([one["minutes"] for one in outcomes])) if outcomes else None,
    )


@dataclass(frozen=True)
class Ordering:
    """Whether a network that somebody found better than another is: in how many of the ``pairs`` of runs of one fold and seed."""

    better: str
    worse: str
    says: str
    holds: int
    pairs: int
    difference: float | None

    @property
    def verdict(self) -> str:
        """In words; runs of one fold and seed differ in the network alone."""
        if not self.pairs:
            return "not measured"
        if self.holds in (0, self.pairs):
            return "holds" if self.holds else "does not hold"
        return "undecided" + (", rather yes" if 4 * self.holds >= 3 * self.pairs else ", rather no" if 4 * self.holds <= self.pairs else "")


def orderings(comparison: Comparison, outcomes: Sequence[Outcome], figure: str) -> list[Ordering]:
    """The orderings that the file names, by a figure."""
    known = {(one["label"], one["fold"], one["seed"]): value for one in outcomes if (value := one["figures"][figure]) is not None}
    found = []
    for better, worse, says in comparison.orderings:
        pairs = [key[1:] for key in known if key[0] == better and (worse, *key[1:]) in known]
        differences = [known[better, *pair] - known[worse, *pair] for pair in pairs]
        mean = float(np.mean(differences)) if differences else None
        found.append(Ordering(better, worse, says, sum(difference > 0 for difference in differences), len(pairs), mean))
    return found


def tables(comparison: Comparison, folds: Folds, found: Sequence[Row]) -> list[Table]:
    """In the paper's form, class-wise, by fold, costs."""
    target = comparison.target
    first = {
        "ablation": ("In the form of Table 3 of Lin et al. (2024); macro figures", _ablation(found, folds.has_negatives)),
        "networks": (
            "In the form of Table 4 of Lin et al. (2024); mIoU, precision and recall are macro, specificity that of the class",
            _networks(found),
        ),
        "features": (f"In the form of Maslov and Schellenberger (2022); precision, recall, F1 and IoU of {target}", _features(found)),
    }[comparison.form]
    macro = [["Network", *(HEADS[name] for name in MACRO)], *([row.entry.label, *_cells(row, MACRO)] for row in found)]
    class_wise = [["Network", *(HEADS[name] for name in CLASS_WISE)], *([row.entry.label, *_cells(row, CLASS_WISE)] for row in found)]
    besides = [name for name in BESIDES if any(row.figures[name] not in (None, row.figures["iou"]) for row in found)]
    by_fold = [["Network", *folds.names, "Mean"], *([row.entry.label, *_by_fold(row, folds.names)] for row in found)]
    costs = [
        ["Network", "Parameters (million)", f"GMAC, {TILE_PX} px tile", f"ms, {TILE_PX} px tile", "Minutes to train", "Runs"],
        *([row.entry.label, *_costs(row)] for row in found),
    ]
    return [
        first,
        *([("Both classes (macro; specificity that of the class)", macro)] if comparison.form != "networks" else []),
        *([(f"{target.capitalize()} alone", class_wise)] if comparison.form != "features" else []),
        ("Besides", [["Network", *(HEADS[name] for name in besides)], *([row.entry.label, *_cells(row, besides)] for row in found)]),
        (f"IoU of {target} on each left-out part", by_fold),
        (f"What they cost; ms: processor time of one core in onnxruntime for a tile of {TILE_PX} pixels", costs),
    ]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [UNKNOWN if row.figures[name] is None else str(row.figures[name]) for name in names]


def _ablation(found: Sequence[Row], has_negatives: bool) -> list[list[str]]:
    head = ["Network", "RGB", "NIR-EVI-SAVI", "Block 1", "Block 2", "Negative sample", "mIoU"]
    cells = []
    for row in found:
        blocks = getattr(row.entry.settings, "blocks", ())
        marks = ("red" in row.entry.bands, "nir" in row.entry.bands, 1 in blocks, 2 in blocks, has_negatives)
        cells.append([row.entry.label, *(YES if mark else "" for mark in marks), *_cells(row, ["miou"])])
    return [head, *cells]


def _networks(found: Sequence[Row]) -> list[list[str]]:
    return [
        ["Network", "Backbone", "Pretrained", *(HEADS[name] for name in MACRO)],
        *(
            [row.entry.label, getattr(row.entry.settings, "backbone", UNKNOWN), _pretrained(row.entry), *_cells(row, MACRO)]
            for row in found
        ),
    ]


def _pretrained(entry: Entry) -> str:
    return UNKNOWN if entry.costs is None else str(entry.start != RANDOM)


def _features(found: Sequence[Row]) -> list[list[str]]:
    names = ("accuracy", "precision", "recall", "f1", "iou")
    return [
        ["Network", "Data", *(HEADS[name] for name in names)],
        *([row.entry.name, row.entry.features, *_cells(row, names)] for row in found),
    ]


def _by_fold(row: Row, folds: Sequence[str]) -> list[str]:
    iou = row.figures["iou"]
    return [UNKNOWN] * (len(folds) + 1) if iou is None else [*(f"{iou.folds[fold]:.4f}" for fold in folds), str(iou)]


def _costs(row: Row) -> list[str]:
    costs = row.entry.costs
    counted = [UNKNOWN, UNKNOWN] if costs is None else [f"{costs.parameters / 1e6:.1f}", f"{costs.gmac:.1f}"]
    timed = [UNKNOWN if value is None else f"{value:.{decimals}f}" for value, decimals in ((row.tile_ms, 0), (row.minutes, 1))]
    return [*counted, *timed, f"{row.done} of {row.runs}"]


def told_orderings(comparison: Comparison, outcomes: Sequence[Outcome]) -> list[Table]:
    """The table of the orderings that the file names, where it names any."""
    found = orderings(comparison, outcomes, "iou")
    cells = [
        ["Better", "Worse", "Says", "Difference of IoU", "Holds in", ""],
        *(
            [
                one.better,
                one.worse,
                one.says,
                UNKNOWN if one.difference is None else f"{one.difference:+.4f}",
                f"{one.holds} of {one.pairs} runs",
                one.verdict,
            ]
            for one in found
        ),
    ]
    return [("Orderings, by the IoU of runs that differ in the network alone", cells)] if found else []


def how(comparison: Comparison, folds: Folds) -> list[tuple[str, str]]:
    """What was done, in words: name and text."""
    budget = comparison.budget
    length = f"{budget.steps} steps" if budget.steps else f"{budget.minutes:g} minutes"
    starts = sorted({IMAGENET_WORDS if entry.start != RANDOM else "random weights" for entry in comparison.entries if entry.costs})
    forests = (
        [f"random forests: the pixels of {budget.forest_batches} batches"] if any(not entry.costs for entry in comparison.entries) else []
    )
    return [
        ("Budget", "; ".join([f"{length} of {budget.batch_size} samples of {budget.crop} x {budget.crop} pixels", *starts, *forests])),
        ("Seeds", ", ".join(map(str, comparison.seeds))),
        ("Left out, one at a time", ", ".join(folds.names)),
        ("Figures over", f"{folds.main}; marked from a probability of {THRESHOLD:g} on, the same for all networks"),
        ("Network", "as it is at the end of its budget: nothing was chosen by what it is tested on"),
        ("Mean ± spread", "mean over what was left out, each part weighing the same, then over seeds; standard deviation over seeds"),
        ("Macro", "mean of both classes. Macro recall of two classes is the balanced accuracy"),
    ]


def document(comparison: Comparison, folds: Folds, found: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    """All tables in Markdown."""
    parts = [f"# {comparison.title}", *([comparison.about] if comparison.about else [])]
    parts.append("\n".join(f"- **{name}**: {text}." for name, text in how(comparison, folds)))
    for caption, cells in [*tables(comparison, folds, found), *told_orderings(comparison, outcomes)]:
        parts += [f"**{caption}**", markdown(cells)]
    return "\n\n".join(parts) + "\n"


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Cells, head first, as a table in Markdown; numbers to the right."""
    numeric = [
        all(row[i][:1].isdigit() or row[i][:1] in ("", "+", "-", UNKNOWN) for row in cells[1:]) and i > 0 for i in range(len(cells[0]))
    ]
    lines = [cells[0], ["---:" if right else "---" for right in numeric], *cells[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def flat(found: Sequence[Row], folds: Sequence[str]) -> list[list[Any]]:
    """All figures of all networks with their spread, head first, as numbers for a program."""
    head: list[Any] = ["label", "name", "features", "start", "runs", "runs_done", "parameters", "gmac", "tile_ms", "minutes"]
    for name in FIGURES:
        head += [name, f"{name}_sd_seeds", *(f"{name}_{fold}" for fold in folds)]
    lines = [head]
    for row in found:
        entry, costs = row.entry, row.entry.costs
        line: list[Any] = [entry.label, entry.name, entry.features, entry.start, row.runs, row.done]
        line += [costs and costs.parameters, costs and round(costs.gmac, 3), row.tile_ms, row.minutes]
        for name in FIGURES:
            figure = row.figures[name]
            line += [None] * (2 + len(folds)) if figure is None else [figure.mean, figure.seeds, *(figure.folds[fold] for fold in folds)]
        lines.append(line)
    return lines
