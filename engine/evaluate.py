"""How well a model does on samples or chips that a person masked: figures, sweep, calibration, a table, pictures, a report.

Source
------
Lin et al. (2024), section 3.3.3. docs/evaluation.md says what was decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.card import ModelCard, find_model
from engine.contact_sheet import thinning
from engine.detect import SAME_GSD
from engine.errors import EngineError
from engine.inference import Network, open_network
from engine.outputs import whole_file, written_json
from engine.probability_accuracy import DEFINITIONS, Tally, best, calibration, figures, mean_of, sweep, sweep_thresholds
from engine.report import filled_template
from engine.reporting import Reporter, StagedReporter
from engine.sample_chips import Chip, find_chips
from engine.sample_files import UNKNOWN, Sample, SampleSet, read_samples
from engine.stack import Channels, choose_channels, observed
from engine.terminal import plain
from engine.tiling import blended_probability
from engine.vectors import write_table
from jobs import STACK_BANDS, EvaluateNetworkJob

SHOWN = 12
"""Samples in a picture."""
FILES = ("json", "table", "report", "worst", "best")
POSITIVE, NEGATIVE = "positive", "negative"

HOW = {
    "tiles": "every sample runs through the network on its own pixels, whatever their size on the ground; one that is larger than the "
    "model's tile runs tile by tile and is blended, one that is smaller is mirrored at its edges, as in Detect",
    "all": "all samples, with and without rock glaciers",
    "positive": "samples whose mask holds rock glacier",
    "negative": "samples whose mask holds none",
    "groups": "each with the figures of its own pixels; the mean is over those that hold rock glacier, each of which weighs the same, "
    "whatever its size; one where a figure is not defined is left out of its mean",
    "best_threshold": "the one of the sweep with the highest IoU of rock glacier, which also has the highest F1. It was chosen on these "
    "very samples: with it, their figures flatter, and other samples decide whether it is good",
    "order": "by IoU of rock glacier; of equal ones, those with more wrong pixels are worse",
}


@dataclass(frozen=True)
class Case:
    """A sample to evaluate on.

    ``name`` for people; ``groups`` what the data says it belongs to, such as ``region``; ``snow`` share, 0-1, None where unknown;
    ``pixel_size_m`` None where unknown; ``read`` gives image (6, rows, cols) and mask (rows, cols).
    """

    name: str
    groups: Mapping[str, str]
    snow: float | None
    pixel_size_m: float | None
    read: Callable[[], tuple[NDArray[np.float32], NDArray[np.uint8]]]


@dataclass(frozen=True)
class Evaluated:
    """A case and what was counted in it; ``threshold`` that its figures are at."""

    case: Case
    tally: Tally
    threshold: float

    @property
    def confusion(self) -> dict[str, Any]:
        """``tp``, ``fp``, ``fn``, ``tn``."""
        return self.tally.confusion(self.threshold)

    @property
    def is_positive(self) -> bool:
        """True where rock glacier counts."""
        return bool(self.confusion["tp"] or self.confusion["fn"])

    @property
    def rank(self) -> tuple[float, int]:
        """The lower, the worse it went: IoU of rock glacier (1 where there is none and none was marked), then few wrong pixels."""
        tp, fp, fn, _ = self.confusion.values()
        return (tp / (tp + fp + fn) if tp + fp + fn else 1.0, -(fp + fn))


@dataclass(frozen=True)
class Model:
    """A network and how a sample reaches it."""

    network: Network
    card: ModelCard
    channels: Channels

    def look(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Probability (rows, cols), NaN where not observed, of an image (6, rows, cols), and where it is observed."""
        stack = image[[STACK_BANDS.index(name) for name in self.channels.names]]
        seen = observed(stack, self.channels)
        return blended_probability(self.network.run, stack, seen, self.card.tile_px, self.card.overlap), seen


def evaluate(job: EvaluateNetworkJob, reporter: Reporter) -> dict[str, Any]:
    """Run a model over samples or chips and hold what it says against their masks.

    One sample is in memory at a time. Pixels that the mask says are unknown (255), or that the image does not show, do not count.

    Returns
    -------
    ``samples`` (``all``, ``positive``, ``negative``), ``threshold``, ``pixels`` (figures of all), ``subsets`` (``positive``,
    ``negative``, ``low_snow``), ``groups`` (kind of group -> ``mean``, ``of``, ``low_snow``), ``negatives``, ``best_threshold``,
    ``sweep``, ``calibration``, ``model``, ``inputs``, ``settings``, ``definitions``, ``software``, ``date``, ``device_used``,
    ``seconds_in_network``; and the paths ``json``, ``table``, ``report``, ``worst``, ``best``, None where not asked for.

    Raises
    ------
    EngineError
        ``no_samples``; ``band_missing`` when the model needs a band that the data has not; ``nothing_counts``; those of
        :func:`engine.card.find_model`, :func:`engine.sample_files.read_samples`, :func:`engine.sample_chips.find_chips`,
        :func:`engine.inference.open_network`, :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.3.3; Guo et al. (2017), On calibration of modern neural networks; Brier (1950).
    """
    reporter.progress(0.0, "opening the model")
    card = find_model(job.model, job.models_folders)
    threshold = card.threshold if job.threshold is None else job.threshold
    with ExitStack() as files:
        places = {name: files.enter_context(whole_file(path)) for name in FILES if (path := getattr(job, name)) is not None}
        cases, bands, inputs = _chip_cases(job) if job.images is not None else _sample_cases(job)
        if job.images is not None:
            reporter.info(
                f"How large the pixels of the chips are is not known. They run as they are; the model was made for {card.gsd_m:g} m."
            )
        _warn_of_resolution(cases, card, reporter)
        channels = choose_channels(bands, card, str(job.images or job.samples))
        model = Model(open_network(card, job.device, job.batch_size, reporter), card, channels)
        evaluated = _run(model, cases, threshold, StagedReporter(reporter, 0.0, 0.9))
        numbers = _numbers(job, evaluated, model, threshold, inputs)
        _warn_of_masks(evaluated, reporter)
        reporter.progress(0.9, "drawing")
        _write(places, numbers, evaluated, model, reporter)
    reporter.progress(1.0, "evaluated")
    return {**numbers, **{name: getattr(job, name) for name in FILES}}


def chip_case(chip: Chip) -> Case:
    """A chip to evaluate on."""
    name = chip.image.stem if chip.mask is not None else f"{chip.image.parent.name}/{chip.image.stem}"
    return Case(name, {"region": chip.region} if chip.region else {}, chip.snow, None, chip.read)


def sample_case(samples: SampleSet, sample: Sample) -> Case:
    """A sample to evaluate on."""
    groups = {"block": sample.block, "source": "/".join(Path(sample.source).parts[-2:]), "made_for": sample.made_for}
    return Case(sample.sample, groups, None, sample.pixel_size_m, lambda: samples.read(sample))


def _chip_cases(job: EvaluateNetworkJob) -> tuple[list[Case], tuple[str, ...], dict[str, Any]]:
    """The chips of a job, the bands they have, and what the report says of them."""
    chips = find_chips(str(job.images), str(job.masks), job.negatives)
    cases = [chip_case(chip) for chip in chips]
    inputs = {name: Path(path).name for name in ("images", "masks", "negatives") if (path := getattr(job, name))}
    return cases, STACK_BANDS[:3], inputs


def _sample_cases(job: EvaluateNetworkJob) -> tuple[list[Case], tuple[str, ...], dict[str, Any]]:
    """The samples of a job, the bands that any of them has, and what the report says of them."""
    found = read_samples(str(job.samples))
    chosen = found.samples if job.split == "all" else found.of_split(job.split)
    if not chosen:
        raise EngineError(
            "no_samples", f"{job.samples} holds no sample{'' if job.split == 'all' else f' for {job.split}'}. Choose another side."
        )
    cases = [sample_case(found, sample) for sample in chosen]
    bands = tuple(name for name in STACK_BANDS if found.document["bands"][name]["pixels"])
    return cases, bands, {"samples": Path(str(job.samples)).name, "split": job.split, "recipe": found.document.get("recipe")}


def _warn_of_resolution(cases: Sequence[Case], card: ModelCard, reporter: Reporter) -> None:
    sizes = sorted({case.pixel_size_m for case in cases if case.pixel_size_m is not None})
    if any(abs(size / card.gsd_m - 1) > SAME_GSD for size in sizes):
        found = f"{sizes[0]:.3g} m" if len(sizes) == 1 else f"{sizes[0]:.3g} to {sizes[-1]:.3g} m"
        reporter.warning(
            "resolution",
            f"The samples have pixels of {found}, the model {card.name} was made for {card.gsd_m:g} m. They are run as they are, other "
            "than in Detect, which resamples: the figures are those of such pixels. Samples made with a RESOLUTION of "
            f"{card.gsd_m:g} m tell how Detect does.",
        )


def _run(model: Model, cases: Sequence[Case], threshold: float, reporter: Reporter) -> list[Evaluated]:
    thresholds = sweep_thresholds(threshold)
    evaluated = []
    for number, case in enumerate(cases, 1):
        reporter.progress((number - 1) / len(cases), f"sample {number} of {len(cases)}")
        image, mask = case.read()
        probability, seen = model.look(image)
        evaluated.append(Evaluated(case, Tally.of(probability, mask, seen & (mask != UNKNOWN), thresholds), threshold))
    if not any(one.tally.pixels for one in evaluated):
        raise EngineError(
            "nothing_counts",
            f"No pixel of the {len(cases)} samples counts: their masks are unknown throughout, or the images lack a band that the model "
            f"{model.card.name} needs.",
        )
    return evaluated


def _numbers(
    job: EvaluateNetworkJob, evaluated: Sequence[Evaluated], model: Model, threshold: float, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """All figures, as the JSON file has them."""
    positive = [one for one in evaluated if one.is_positive]
    negative = [one for one in evaluated if not one.is_positive]
    low_snow = [one for one in evaluated if one.case.snow is not None and one.case.snow < job.low_snow]
    everything = _together(evaluated)
    rows = sweep(everything)
    subsets = {"positive": positive, "negative": negative, "low_snow": low_snow}
    card, document = model.card, model.card.document
    numbers: dict[str, Any] = plain(
        {
            "samples": {"all": len(evaluated), "positive": len(positive), "negative": len(negative)},
            "threshold": threshold,
            "pixels": figures(everything, threshold),
            "subsets": {name: _figures_of(ones) if ones else None for name, ones in subsets.items()},
            "groups": {kind: _by_group(kind, evaluated, low_snow) for kind in _kinds_of_groups(evaluated)},
            "negatives": _marked_in(negative),
            "best_threshold": best(rows),
            "sweep": rows,
            "calibration": calibration(everything),
            "model": {
                **{name: getattr(card, name) for name in ("name", "title", "version", "nir", "gsd_m", "tile_px", "overlap", "sha256")},
                "training_data": [row.get("what", "") for row in document.get("training_data", []) if isinstance(row, dict)],
            },
            "inputs": inputs,
            "settings": {
                "threshold_from": "card" if job.threshold is None else "job",
                "low_snow": job.low_snow,
                "bands_absent": model.channels.absent,
            },
            "definitions": {
                **DEFINITIONS,
                **HOW,
                "low_snow": f"samples that are known to be snow-covered to less than {100 * job.low_snow:g} %",
            },
            "software": {"name": "Rock Glacier Mapper", "version": __version__},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device_used": model.network.device,
            "seconds_in_network": model.network.seconds,
        }
    )
    return numbers


def _together(evaluated: Sequence[Evaluated]) -> Tally:
    return sum((one.tally for one in evaluated[1:]), evaluated[0].tally)


def _figures_of(evaluated: Sequence[Evaluated]) -> dict[str, Any]:
    return {"samples": len(evaluated), **figures(_together(evaluated), evaluated[0].threshold)}


def _kinds_of_groups(evaluated: Sequence[Evaluated]) -> list[str]:
    """What the data groups its samples by, where that makes several groups and not one for each sample."""
    kinds = dict.fromkeys(kind for one in evaluated for kind in one.case.groups)
    members = {kind: [group for one in evaluated if (group := one.case.groups.get(kind))] for kind in kinds}
    return [kind for kind, names in members.items() if 1 < len(set(names)) < len(names)]


def _by_group(kind: str, evaluated: Sequence[Evaluated], low_snow: Sequence[Evaluated]) -> dict[str, Any]:
    """Figures of each group and their mean (None where fewer than two groups hold rock glacier); the same for little snow."""

    def of(chosen: Sequence[Evaluated]) -> dict[str, Any] | None:
        names = sorted({group for one in chosen if (group := one.case.groups.get(kind))})
        found = {name: _figures_of([one for one in chosen if one.case.groups.get(kind) == name]) for name in names}
        holding = [figures_of for figures_of in found.values() if figures_of["confusion"]["tp"] or figures_of["confusion"]["fn"]]
        return {"mean": mean_of(holding) if len(holding) > 1 else None, "of": found} if found else None

    return {**(of(evaluated) or {}), "low_snow": of(low_snow)}


def _marked_in(negative: Sequence[Evaluated]) -> dict[str, Any]:
    """How much of the samples without rock glacier is marked."""
    if not negative:
        return {"samples": 0, "marked_share": None, "samples_marked": 0}
    return {
        "samples": len(negative),
        "marked_share": figures(_together(negative), negative[0].threshold)["marked_share"],
        "samples_marked": sum(one.confusion["fp"] > 0 for one in negative),
    }


def _warn_of_masks(evaluated: Sequence[Evaluated], reporter: Reporter) -> None:
    if not any(one.is_positive for one in evaluated):
        reporter.warning(
            "no_rock_glaciers", "No sample holds rock glacier: whether the model finds any is not known, only what it marks that is none."
        )
    if empty := sum(not one.tally.pixels for one in evaluated):
        reporter.warning("unknown_samples", f"{empty} of {len(evaluated)} samples have no pixel that counts: unknown, or not observed.")


def _write(
    places: Mapping[str, Path], numbers: Mapping[str, Any], evaluated: Sequence[Evaluated], model: Model, reporter: Reporter
) -> None:
    from engine import evaluation_figures  # noqa: PLC0415 heavy
    from engine import figures as plots  # noqa: PLC0415

    worst = sorted((one for one in evaluated if one.tally.pixels), key=lambda one: one.rank)[:SHOWN]
    fine = sorted((one for one in evaluated if one.is_positive), key=lambda one: one.rank, reverse=True)[:SHOWN]
    if "json" in places:
        with written_json(places["json"], numbers):
            pass
    if "table" in places:
        write_table(places["table"], _table(evaluated), "samples")
    shown = [name for name in ("worst", "best") if name in places or "report" in places]
    with plots.style():
        made = {
            name: evaluation_figures.gallery(
                [_picture(one, model) for one in ones], f"The {len(ones)} samples that went {name}, threshold {numbers['threshold']:g}"
            )
            for name, ones in (("worst", worst), ("best", fine))
            if name in shown
        }
        reporter.progress(0.95, "writing")
        for name in set(shown) & set(places):
            places[name].write_bytes(plots.rendered(made[name], "png"))
        if "report" in places:
            highest = numbers["best_threshold"] and numbers["best_threshold"]["threshold"]
            made["curves"] = evaluation_figures.curves(numbers["sweep"], numbers["threshold"], highest, numbers["calibration"])
            drawn = {name: plots.rendered(figure, "svg") for name, figure in made.items()}
            places["report"].write_text(filled_template("evaluation.html", drawn, **numbers), encoding="utf-8")
    reporter.check_cancelled()


def _picture(one: Evaluated, model: Model) -> Any:
    from engine.evaluation_figures import Picture  # noqa: PLC0415 heavy

    image, mask = one.case.read()
    probability, _ = model.look(image)
    step = thinning(mask.shape)
    title = f"{one.case.name}  IoU {one.rank[0]:.2f}" if one.is_positive else f"{one.case.name}  {one.confusion['fp']} px marked"
    thin = np.s_[::step, ::step]
    return Picture(image[:3].transpose(1, 2, 0)[thin], mask[thin], (probability >= one.threshold)[thin], title)


def _table(evaluated: Sequence[Evaluated]) -> dict[str, NDArray[np.generic]]:
    """One row for each sample, the worst first."""
    ordered = sorted(evaluated, key=lambda one: one.rank)
    found = [figures(one.tally, one.threshold) for one in ordered]
    kinds = dict.fromkeys(kind for one in ordered for kind in one.case.groups)

    def numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def texts(values: Sequence[str]) -> NDArray[np.object_]:
        return np.array([*values, None], dtype=object)[:-1]

    return {
        "sample": texts([one.case.name for one in ordered]),
        "kind": texts([POSITIVE if one.is_positive else NEGATIVE for one in ordered]),
        **{kind: texts([one.case.groups.get(kind, "") for one in ordered]) for kind in kinds},
        "snow": numbers([one.case.snow for one in ordered]),
        **{name: np.array([row["confusion"][name] for row in found], dtype=np.int32) for name in ("tp", "fp", "fn", "tn")},
        **{name: numbers([row["rock_glacier"][name] for row in found]) for name in ("precision", "recall", "specificity", "f1", "iou")},
        **{name: numbers([row["overall"][name] for row in found]) for name in ("accuracy", "balanced_accuracy", "mcc", "miou")},
        **{name: numbers([row[name] for row in found]) for name in ("marked_share", "brier_score")},
    }
