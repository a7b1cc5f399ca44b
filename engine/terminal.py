"""How a running command talks: JSON lines for a program, a progress bar and sentences for a person."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from engine.errors import Cancelled, EngineError

SECONDS_BETWEEN_PROGRESS = 0.1


class _CancellableReporter:
    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled

    def check_cancelled(self) -> None:
        """Raise Cancelled when the person cancelled."""
        if self._cancelled.is_set():
            raise Cancelled


class JsonReporter(_CancellableReporter):
    """Writes the messages of :mod:`jobs`, one JSON object a line, to a stream that nothing else writes to."""

    def __init__(self, stream: TextIO, cancelled: threading.Event) -> None:
        super().__init__(cancelled)
        self._stream = stream
        self._last_text: str | None = None
        self._last_time = -math.inf

    def progress(self, fraction: float, text: str = "") -> None:
        """See :class:`engine.reporting.Reporter`. Lines that follow each other too closely are left out."""
        if fraction < 1:
            self.check_cancelled()
        now = time.monotonic()
        if text != self._last_text or fraction >= 1 or now - self._last_time >= SECONDS_BETWEEN_PROGRESS:
            self._last_text, self._last_time = text, now
            self._send(type="progress", percent=round(100 * min(max(fraction, 0.0), 1.0), 2), text=text)

    def info(self, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        self._send(type="info", text=text)

    def warning(self, code: str, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        self._send(type="warning", code=code, text=text)

    def result(self, command: str, result: Mapping[str, Any]) -> None:
        """The last message of a command that was done."""
        self._send(type="result", result=result)

    def error(self, error: EngineError) -> None:
        """The last message of a command that was not."""
        self._send(type="error", code=error.code, text=error.text)

    def _send(self, **message: Any) -> None:
        try:
            self._stream.write(json.dumps(plain(message), allow_nan=False) + "\n")
            self._stream.flush()
        except OSError:  # whoever listened is gone, and with them the wish for a result
            self._cancelled.set()


class TerminalReporter(_CancellableReporter):
    """A progress bar and notes on one stream, the result as a few lines on another; what libraries wrote is in ``log``."""

    def __init__(self, output: TextIO, notes: TextIO, log: TextIO, cancelled: threading.Event) -> None:
        super().__init__(cancelled)
        from tqdm import tqdm  # noqa: PLC0415 not needed by a program that listens to JSON

        self._output, self._notes, self._log = output, notes, log
        layout = "{percentage:3.0f} % |{bar}| {elapsed} {desc}"
        self._bar = tqdm(total=1.0, file=notes, disable=None, leave=False, bar_format=layout)

    def progress(self, fraction: float, text: str = "") -> None:
        """See :class:`engine.reporting.Reporter`."""
        if fraction < 1:
            self.check_cancelled()
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(fraction - self._bar.n)

    def info(self, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        self._bar.clear()
        self._notes.write(text + "\n")
        self._notes.flush()

    def warning(self, code: str, text: str) -> None:
        """See :class:`engine.reporting.Reporter`."""
        self.info(f"Warning: {text}")

    def result(self, command: str, result: Mapping[str, Any]) -> None:
        """The last lines of a command that was done."""
        self._bar.close()
        with contextlib.suppress(BrokenPipeError):  # `| head` has read enough
            self._output.write(summary(command, result) + "\n")
            self._output.flush()

    def error(self, error: EngineError) -> None:
        """The last line of a command that was not."""
        self._bar.close()
        if error.code == "internal":
            sys.stdout.flush()
            self._log.seek(0)
            self._notes.write(self._log.read())
        self._notes.write("Cancelled.\n" if isinstance(error, Cancelled) else f"Error: {error.text}\n")
        self._notes.flush()


def plain(value: Any) -> Any:
    """A value as JSON knows it: numpy scalars and paths unwrapped, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def summary(command: str, result: Mapping[str, Any]) -> str:
    """A command's result in a few lines for a person."""
    return "\n".join(SUMMARIES[command](result))


def _prepare_summary(result: Mapping[str, Any]) -> list[str]:
    return [
        f"{result['output']}: {result['resolution_m']:g} m, {result['crs']}, {100 * result['observed_fraction']:.1f} % observed",
        result["chain"],
    ]


def _detect_summary(result: Mapping[str, Any]) -> list[str]:
    skipped = f" ({result['tiles_skipped']} of them skipped: nothing observed)" if result["tiles_skipped"] else ""
    lines = [f"{result['output']}: {result['count']} polygons in {result['tiles']} tiles{skipped}"]
    if result["probability"]:
        lines.append(f"{result['probability']}: blended probability")
    return [*lines, f"model {result['model']} on {result['device_used']}, {result['seconds_in_network']:.1f} s in the network"]


def _postprocess_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{result['output']}: {result['count']} outlines, {result['total_area_km2']:.3f} km2"]
    if result["raw"]:
        lines.append(f"{result['raw']}: the same before smoothing")
    if result["restricted"]:
        lines.append(f"{result['restricted']}: {result['restricted_count']} restricted footprints")
    if result["report"]:
        lines.append(f"{result['report']}: what each step did")
    return lines


def _compare_inventories_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{row['name']}: {row['count']} outlines, {row['total_area_km2']:.3f} km2" for row in result["inventories"]]
    if result["new"] is not None:
        names = ("new", "missed", "split", "merged", "regrouped", "changed", "unchanged")
        lines.append(", ".join(f"{result[name]} {name}" for name in names))
    if result["bias"] is not None:
        lines.append(f"{result['n_consensus']} consensus outlines, {result['n_disagreements']} pieces of disagreement")
        lines.append(f"{result['held_by_all_km2']:.3f} km2 held by all, {result['held_by_any_km2']:.3f} km2 by any")
        lines += [
            f"{row['inventory']}: {row['missed']} missed, {row['extra']} extra, areas {row['area_deviation_percent']:+.1f} %"
            for row in result["bias"]
        ]
    return lines


def _design_sample_summary(result: Mapping[str, Any]) -> list[str]:
    rows = [f"{row['stratum']:<10}{row['points']:>6} points {row['area_km2']:>12.3f} km2" for row in result["strata"]]
    expected = f"expected: area of rock glaciers ± {result['anticipated_area_ci_km2']:.3f} km2 (95 %)"
    return [f"{result['output']}: {result['count']} points to label", *rows, expected]


def _estimate_area_summary(result: Mapping[str, Any]) -> list[str]:
    def told(figure: Mapping[str, float], unit: str = "", decimals: int = 3) -> str:
        if math.isnan(figure["estimate"]):
            return "unknown"
        half = "unknown" if math.isnan(figure["ci95"]) else f"{figure['ci95']:.{decimals}f}"
        return f"{figure['estimate']:.{decimals}f} ± {half}{unit} (95 %)"

    rock_glacier = {name: result[name]["rock_glacier"] for name in ("users_accuracy", "producers_accuracy")}
    return [
        f"area of rock glaciers  {told(result['area'], ' km2')}; mapped {result['mapped_area_km2']:.3f} km2",
        f"user's accuracy        {told(rock_glacier['users_accuracy'])}",
        f"producer's accuracy    {told(rock_glacier['producers_accuracy'])}",
        f"overall accuracy       {told(result['overall_accuracy'], decimals=4)}",
        f"from {result['labelled']} of {result['points']} points",
    ]


def _attributes_summary(result: Mapping[str, Any]) -> list[str]:
    terrain = f", {result['with_terrain']} with terrain" if result["with_terrain"] is not None else ""
    return [f"{result['output']}: {result['count']} outlines{terrain}, {result['total_area_km2']:.3f} km2"]


def _assess_summary(result: Mapping[str, Any]) -> list[str]:
    name, both, iou = result["settings"]["match_rule"], result["areas"]["matched"], result["pixels"]["rock_glacier"]["iou"]
    rule = result["objects"][name]
    lines = [
        f"{rule['matched_reference']} of {rule['reference']} reference outlines found, {rule['missed']} missed (rule {name})",
        f"{rule['matched_predicted']} of {rule['predicted']} predicted outlines right, {rule['false']} false",
    ]
    for accuracy, words in (("producers_accuracy", "producer's accuracy"), ("users_accuracy", "user's accuracy")):
        interval = rule[f"{accuracy}_interval"]
        known = interval and f"{rule[accuracy]:.4f} (95 % interval {interval[0]:.4f}-{interval[1]:.4f})"
        lines.append(f"{words:<20}{known or 'unknown'}")
    if both["deviation_percent"] is not None:
        lines.append(
            f"{'area':<20}{both['predicted_km2']:.3f} km2 against {both['reference_km2']:.3f} km2, {both['deviation_percent']:+.2f} %"
        )
    lines.append(f"{'IoU':<20}{'unknown' if iou is None else f'{iou:.4f}'}")
    return [*lines, *(result[output] for output in ("output", "table", "json", "report", "figures") if result[output])]


def _export_inventory_summary(result: Mapping[str, Any]) -> list[str]:
    layers = ", ".join(f"{count} in {name}" for name, count in result["layers"].items())
    return [", ".join(result["files"]), f"form {result['form']}: {layers}"]


def _import_inventory_summary(result: Mapping[str, Any]) -> list[str]:
    form = f"form {result['form']}" if result["form"] else "no known form"
    return [f"{result['output']}: {result['count']} outlines, {form}"]


def _split_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{result['output']}: {result['count']} units of {result['outlines']} outlines, {result['systems_count']} of which were split",
        f"{result['cuts_made']} cuts made, {result['cuts_proposed']} more proposed",
    ]
    return [*lines, *(f"{result[name]}: {name}" for name in ("systems", "cuts") if result[name])]


def _fall_lines_summary(result: Mapping[str, Any]) -> list[str]:
    without = f", {result['without']} outlines have none" if result["without"] else ""
    return [f"{result['output']}: {result['count']} fall lines{without}"]


def _start_review_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{result['output']}: {result['count']} outlines to review, {result['predicted']} predicted, {result['missed']} manual ones missed"
    ]
    if result["relations"] is not None:
        lines.append("by relation: " + ", ".join(f"{count} {kind}" for kind, count in result["relations"].items()))
    lines.append(f"{result['suspects']} look like several rock glaciers in one (merge suspect 0.5 or more)")
    lines.append(f"{result['restricted']} restricted outlines")
    return [*lines, f"{result['tiles']} tiles of {result['tile_size']:.0f} m to search"]


def _update_review_summary(result: Mapping[str, Any]) -> list[str]:
    if result["is_unchanged"]:
        return [f"{result['output']}: nothing has changed"]
    names = ("found", "lost", "moved", "unchanged", "decided")
    lines = [f"{result['output']}: {result['count']} outlines, {result['undecided']} of them to review"]
    lines += [f"{side}: " + ", ".join(f"{result[side][name]} {name}" for name in names) for side in ("predicted", "manual")]
    return lines


def _merge_reviews_summary(result: Mapping[str, Any]) -> list[str]:
    by_operator = ", ".join(f"{count} by {name}" for name, count in result["operators"].items())
    return [
        f"{result['output']}: {result['count']} outlines of {result['sessions']} sessions, {result['decided']} decided",
        f"{result['conflicts']} wait because people disagree, {result['versions']} of them second versions",
        f"{result['merged']} on which several people agree, {result['added']} that not all sessions had",
        *([f"decided: {by_operator}"] if by_operator else []),
    ]


def _finish_review_summary(result: Mapping[str, Any]) -> list[str]:
    undecided = f", {result['undecided']} not decided and left out" if result["undecided"] else ""
    lines = [f"{result['folder']}: {result['kept']} outlines kept, {result['rejected']} rejected{undecided}"]
    if result["edited_share"] is not None:
        lines.append(f"{100 * result['edited_share']:.1f} % of the predicted outlines that were kept were edited")
    if result["minutes"] is not None:
        lines.append(f"{result['minutes']:.0f} minutes")
    return [*lines, *result["files"]]


def _samples_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{result['output']}: {result['count']} samples, {result['train']} to train, {result['validation']} to validate",
        f"{result['positive']} with rock glaciers, {result['negative']} without",
        *(f"left out: {count}, {reason}" for reason, count in result["left_out"].items()),
    ]
    return [*lines, *([f"{result['contact_sheet']}: contact sheet"] if result["contact_sheet"] else [])]


def _evaluate_summary(result: Mapping[str, Any]) -> list[str]:
    def told(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.4f}"

    def row(name: str, found: Mapping[str, Any] | None) -> list[str]:
        if found is None:
            return []
        of_class, overall = found["rock_glacier"], found["overall"]
        cells = [told(of_class["iou"]), told(of_class["precision"]), told(of_class["recall"]), told(of_class["f1"]), told(overall["miou"])]
        return [f"{name:<28}" + "".join(f"{cell:>11}" for cell in cells)]

    counts, subsets = result["samples"], result["subsets"]
    lines = [
        f"{result['model']['name']} {result['model']['version']} on {counts['all']} samples, {counts['positive']} with rock glaciers, "
        f"threshold {result['threshold']:g}",
        f"{'':<28}" + "".join(f"{name:>11}" for name in ("IoU", "precision", "recall", "F1", "mIoU")),
        *row("all samples", result["pixels"]),
        *row("with rock glaciers", subsets["positive"] if counts["negative"] else None),
        *row("low snow", subsets["low_snow"]),
    ]
    for kind, groups in result["groups"].items():
        lines += row(f"mean over {kind.replace('_', ' ')}", groups["mean"])
        lines += row(f"  low snow, mean over {kind}", groups["low_snow"] and groups["low_snow"]["mean"])
    negatives, best = result["negatives"], result["best_threshold"]
    if negatives["samples"]:
        lines.append(
            f"{100 * (negatives['marked_share'] or 0):.3f} % of the pixels of {negatives['samples']} samples without rock glaciers marked"
        )
    lines.append(f"calibration error {told(result['pixels']['expected_calibration_error'])}, Brier {told(result['pixels']['brier_score'])}")
    if best:
        lines.append(f"highest IoU {best['iou']:.4f} at threshold {best['threshold']:g}, chosen on these samples: it flatters")
    lines.append(f"on {result['device_used']}, {result['seconds_in_network']:.1f} s in the network")
    return [*lines, *(result[name] for name in ("json", "table", "report", "worst", "best") if result[name])]


def _train_summary(result: Mapping[str, Any]) -> list[str]:
    counts = result["samples"]
    about = f"{result['network']}, {result['parameters'] / 1e6:.1f} million parameters, on {result['device_used']}"
    lines = [f"{about}; {counts['train']} samples to train, {counts['validation']} to validate"]
    if result["stopped_by"] == "estimate":
        return [*lines, "nothing was trained"]
    ends = {
        "steps": "all epochs are done",
        "minutes": "the minutes are used up",
        "patience": "no better for many epochs",
        "fitted": "fitted",
    }
    lines.append(f"{result['epochs']} epochs, {result['steps']} steps, {result['minutes']:g} minutes: {ends[result['stopped_by']]}")
    if result["iou"] is not None:
        figures = ", ".join(f"{name} {result[key]:.4f}" for name, key in (("IoU", "iou"), ("F1", "f1")))
        best = f" after epoch {result['best_epoch']}" if result["best_epoch"] else ""
        lines.append(f"validation: {figures}{best}, threshold {result['threshold']:g}, chosen on these samples: it flatters")
    files = (result[name] for name in ("checkpoint", "curves", "metrics", "model"))
    return [*lines, *(file for file in files if file)]


def _export_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{result['output']}: {result['precision']}, {result['size_mb']:.1f} MB, threshold {result['threshold']:g}"]
    for name, found in ((name, result["parity"][name]) for name in ("random", "samples")):
        if found:
            text = f"{found['tiles']} {'random tiles' if name == 'random' else 'samples'}: probabilities differ by up to "
            text += f"{found['largest_difference']:.2g}, {100 * found['flipped_share']:.3f} % of the pixels change sides"
            lines.append(text + (f", IoU {found['iou_before']:.4f} -> {found['iou_after']:.4f}" if "iou_before" in found else ""))
    if result["calibrated_by"]:
        lines.append(f"calibrated by {result['calibrated_by']}")
    return [*lines, f"runs in Detect on {' and '.join(result['devices'])}, {result['tiles_per_second']:g} tiles a second"]


def _adapt_summary(result: Mapping[str, Any]) -> list[str]:
    def told(found: Mapping[str, Any]) -> str:
        of_class = found["rock_glacier"]
        return ", ".join(f"{name} {'-' if of_class[key] is None else format(of_class[key], '.4f')}" for name, key in SCORES)

    kinds = {"adapted": "trained on your outlines", "recalibrated": "old weights, new threshold", "unchanged": "as the old one"}
    counts, held_back = result["samples"], result["held_back"]
    lines = [
        f"{result['name']} from {result['adapted_from']['name']}: {kinds[result['chosen']]}",
        f"{counts['positive']} samples with rock glaciers in {counts['places']} places, {counts['negative']} without; "
        f"{result['steps']} steps, {result['minutes']:.1f} minutes on {result['device_used']}",
    ]
    if held_back is None:
        lines.append("nothing could be held back: how good it is elsewhere is not known")
    else:
        lines += [f"held-back outlines, {name}: {told(held_back[name])}" for name in ("before", "after")]
    lines.append(f"threshold {result['threshold']['before']:g} before, {result['threshold']['after']:g} now")
    return [*lines, result["output"], *([result["json"]] if result["json"] else [])]


SCORES = (("IoU", "iou"), ("precision", "precision"), ("recall", "recall"))


def _mine_hard_negatives_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{'round':>5}{'negatives':>11}{'errors':>8}{'marked %':>10}{'IoU':>8}{'precision':>11}{'recall':>8}"]
    for row in result["rounds"]:
        figures = [f"{'-' if row[name] is None else format(row[name], '.4f')}" for name in ("iou", "precision", "recall")]
        lines.append(
            f"{row['round']:>5}{row['negatives']:>11}{row['errors']:>8}{100 * row['marked_share']:>10.3f}"
            f"{figures[0]:>8}{figures[1]:>11}{figures[2]:>8}"
        )
    lines.append(f"stopped: {result['reason_text']}")
    lines.append(f"best: round {result['best_round']}, IoU {result['iou']:.4f}, {result['best_model']}")
    if result["negatives"]:
        lines.append(f"{result['hard_negatives']}: look at what was mined before you trust it, and set use to 0 where it is a rock glacier")
    return lines


def _models_summary(result: Mapping[str, Any]) -> list[str]:
    columns = ("name", "version", "gsd_m", "tile_px", "nir", "licence", "state", "folder")
    rows = [list(columns), *([str(model[column] or "-") for column in columns] for model in result["models"])]
    widths = [max(len(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _doctor_summary(result: Mapping[str, Any]) -> list[str]:
    lines = [f"{name:<22}{value}" for name, value in result["versions"].items()]
    lines += [f"{'provider ' + name:<22}{state}" for name, state in result["providers"].items()]
    training = result["training"]
    lines += [f"{name:<21} {version}" for name, version in training["versions"].items()]
    lines += [f"{'training':<22}{training['state']}{' on ' + training['device'] if training['device'] else ''}"]
    lines += [f"{'GPU':<22}{result['gpu']}", f"{'free disk':<22}{result['free_disk_gb']:.1f} GB at {result['user_folder']}"]
    lines += ["", *_models_summary(result), ""]
    if not result["problems"]:
        return [*lines, "Nothing is missing."]
    return [*lines, *(f"! {problem['text']}\n  {problem['mend']}" for problem in result["problems"])]


def _compare_networks_summary(result: Mapping[str, Any]) -> list[str]:
    def told(row: Mapping[str, Any], name: str) -> str:
        if row[name] is None:
            return "unknown"
        return f"{row[name]:.4f}" + ("" if row[f"{name}_sd"] is None else f" ± {row[f'{name}_sd']:.4f}")

    width = max(len(row["label"]) for row in result["table"])
    lines = [
        f"{result['output']}: {result['done']} of {result['runs']} trainings of {result['networks']} networks",
        f"{'':<{width}}{'IoU':>18}{'mIoU':>18}",
        *(f"{row['label']:<{width}}{told(row, 'iou'):>18}{told(row, 'miou'):>18}" for row in result["table"]),
        *(f"{row['better']} better than {row['worse']}: in {row['holds']} of {row['pairs']} trainings" for row in result["orderings"]),
        *(f"failed: {name}: {why}" for name, why in result["failed"].items()),
    ]
    return [*lines, *result["files"]]


SUMMARIES = {
    "adapt": _adapt_summary,
    "prepare": _prepare_summary,
    "detect": _detect_summary,
    "postprocess": _postprocess_summary,
    "split": _split_summary,
    "fall_lines": _fall_lines_summary,
    "compare_inventories": _compare_inventories_summary,
    "design_sample": _design_sample_summary,
    "estimate_area": _estimate_area_summary,
    "attributes": _attributes_summary,
    "assess": _assess_summary,
    "export_inventory": _export_inventory_summary,
    "import_inventory": _import_inventory_summary,
    "start_review": _start_review_summary,
    "update_review": _update_review_summary,
    "merge_reviews": _merge_reviews_summary,
    "finish_review": _finish_review_summary,
    "samples": _samples_summary,
    "evaluate": _evaluate_summary,
    "train": _train_summary,
    "export": _export_summary,
    "mine_hard_negatives": _mine_hard_negatives_summary,
    "compare_networks": _compare_networks_summary,
    "models": _models_summary,
    "doctor": _doctor_summary,
}
