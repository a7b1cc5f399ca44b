"""Networks trained and tested on the same splits with the same budget, and the tables of them. docs/networks.md describes it."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import torch

from engine import __version__
from engine.errors import Cancelled, EngineError
from engine.outputs import is_disk_full, made_folder, whole_file, written_json
from engine.probability_accuracy import DEFINITIONS
from engine.report import filled_template
from engine.reporting import Reporter, StagedReporter
from engine.terminal import plain
from jobs import CompareNetworksJob
from model import comparison_tables as tables
from model.batch_norms import keep_spectral
from model.checkpoints import BEST, CHECKPOINTS, LAST, PREVIOUS, write_checkpoint
from model.comparison_config import IMAGENET, RANDOM, Comparison, Entry, read_comparison, slug
from model.comparison_data import Folds, chosen, find_folds, statistics
from model.comparison_scores import THRESHOLD, scores
from model.comparison_time import Clock, RunReporter, seconds_of_a_run, spoken
from model.loading import Batches
from model.networks import Network, RandomForest, create_network
from model.networks.timing import tile_milliseconds
from model.recipes import RECIPES
from model.trained_network import described
from model.training import Hardware, run_training

RUNS, TRAINING, SCORES = "runs", "training", "scores.json"
RESULTS, TABLE, TABLES, REPORT = "results.csv", "table.csv", "tables.md", "report.html"
TRAINING_SHARE = 0.9
"""Of a run's progress; the rest is testing."""
STOPPING = ("disk_full", "output_folder")
"""Codes of errors that every further run would meet, too."""


@dataclass(frozen=True, eq=False)
class Run:
    """A network, what it is tested on, a seed; ``folder`` of its own, ``asked`` what its scores depend on."""

    entry: Entry
    fold: str
    seed: int
    folder: Path
    asked: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.entry.label}, {self.fold}, seed {self.seed}"


Train = Callable[[Run, Network, Batches, Comparison, Folds, Reporter], tuple[Network, dict[str, Any]]]
"""Trains the network of a run in its folder, or goes on there; gives it back with ``minutes`` of work and what else is worth telling."""


def compare_networks(job: CompareNetworksJob, reporter: Reporter, train: Train | None = None) -> dict[str, Any]:
    """Train and test every network of a list on every fold with every seed, and write the tables.

    A run that has its scores is skipped, one that was interrupted goes on. A network that fails is reported, and the others go on.

    Parameters
    ----------
    train : what trains a network, :func:`trained` when not given

    Returns
    -------
    ``output``, ``title``; ``networks``, ``folds``, ``runs``, ``done`` (numbers); ``failed`` (what, why); ``table``: ``label``, ``iou``,
    ``iou_sd``, ``miou``, ``miou_sd`` of each network, None where not all folds of a seed are done; ``orderings``; ``files``

    Raises
    ------
    EngineError
        those of :func:`model.comparison_config.read_comparison` and :func:`model.comparison_data.find_folds`; ``config`` when a network
        reads bands that the data do not have; ``other_comparison`` when the output holds runs with other settings; ``nothing_compared``
        when every network failed; ``disk_full``, ``output_folder``; Cancelled.

    Source
    ------
    Lin et al. (2024), sections 5.1 and 5.2, Tables 3 and 4; Maslov and Schellenberger (2022).
    """
    reporter.progress(0.0, "reading what is compared")
    comparison = read_comparison(job.config)
    torch.set_num_threads(comparison.threads)
    folds = find_folds(comparison.place)
    _check_bands(comparison, folds, reporter)
    output = Path(job.output)
    with made_folder(output):
        runs = _runs(comparison, folds, output)
        outcomes = {run: outcome for run in runs if (outcome := _outcome(run)) is not None}
        failed = _work(runs, outcomes, comparison, folds, train or trained, output, reporter)
        if not outcomes:
            raise EngineError("nothing_compared", f"Every network failed. {'; '.join(failed.values())}")
        found = tables.rows(comparison, folds.names, list(outcomes.values()))
        files = _write_tables(comparison, folds, outcomes, output)
        files.append(_write_report(comparison, folds, found, outcomes, failed, output))
    reporter.progress(1.0, "compared")
    return {
        "output": str(output),
        "title": comparison.title,
        "networks": len(comparison.entries),
        "folds": len(folds.names),
        "runs": len(runs),
        "done": len(outcomes),
        "failed": failed,
        "table": [_told(row) for row in found],
        "orderings": [asdict(one) for one in tables.orderings(comparison, list(outcomes.values()), "iou")],
        "files": files,
    }


def _told(row: tables.Row) -> dict[str, Any]:
    spreads = {name: row.figures[name] for name in ("iou", "miou")}
    return {
        "label": row.entry.label,
        **{name: None if spread is None else spread.mean for name, spread in spreads.items()},
        **{f"{name}_sd": None if spread is None else spread.seeds for name, spread in spreads.items()},
    }


def _check_bands(comparison: Comparison, folds: Folds, reporter: Reporter) -> None:
    """Say, before any work, which networks read what the data do not have."""
    for entry in comparison.entries:
        if missing := [name for name in entry.bands if name not in folds.bands]:
            raise EngineError(
                "config", f"{entry.label} reads {', '.join(missing)}; the data have {', '.join(folds.bands)}. Choose other features."
            )
    blind = {entry.label: names for entry in comparison.entries if (names := [name for name in entry.bands if name in folds.absent])}
    if blind:
        reporter.warning(
            "bands_unseen",
            f"The data hold no {', '.join(folds.absent)}. To {'; '.join(blind)} these bands look the same everywhere: nothing can be "
            "learnt from them, and what these networks would gain from them does not show.",
        )


def _runs(comparison: Comparison, folds: Folds, output: Path) -> list[Run]:
    """All of them, in an order in which half of the work already compares all networks."""
    budget, data = asdict(comparison.budget), {fold: folds.fingerprint(fold) for fold in folds.names}
    runs = []
    for seed, fold, entry in product(comparison.seeds, folds.names, comparison.entries):
        network = {"name": entry.name, "options": dict(entry.options), "loss": entry.loss, "learning_rate": entry.learning_rate}
        asked = {**network, "start": Path(entry.start).name, **budget, "seed": seed, "data": data[fold]}
        runs.append(Run(entry, fold, seed, output / RUNS / entry.slug / slug(fold) / f"seed-{seed}", json.loads(json.dumps(asked))))
    return runs


def _outcome(run: Run) -> dict[str, Any] | None:
    """What a finished run left, None of one that is not.

    Raises
    ------
    EngineError
        ``other_comparison`` when it was asked for with other settings.
    """
    try:
        outcome: dict[str, Any] = json.loads((run.folder / SCORES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise EngineError(
            "other_comparison", f"{run.folder / SCORES} cannot be read ({error}). Delete it, and the run is done again."
        ) from error
    there, here = outcome["asked"], run.asked
    if changed := [
        f"{name} was {there.get(name)!r}, now it is {here.get(name)!r}" for name in {**there, **here} if there.get(name) != here.get(name)
    ]:
        raise EngineError(
            "other_comparison",
            f"{run.name} was done with other settings ({'; '.join(changed)}). Choose another folder, or delete {run.folder}.",
        )
    return outcome


def _work(
    runs: list[Run],
    outcomes: dict[Run, dict[str, Any]],
    comparison: Comparison,
    folds: Folds,
    train: Train,
    output: Path,
    reporter: Reporter,
) -> dict[str, str]:
    """Do what is not done, adding to ``outcomes``; what failed, and why."""
    waiting = [run for run in runs if run not in outcomes]
    if outcomes and waiting:
        reporter.info(f"{len(outcomes)} of {len(runs)} runs are done already.")
    clock = Clock(_expected(waiting, outcomes, comparison, folds, reporter))
    if waiting:
        pace = "on this machine, as busy as it is now"
        reporter.info(f"{len(waiting)} trainings of {len(comparison.entries)} networks: about {spoken(clock.left(0.0))} {pace}.")
    failed: dict[str, str] = {}
    for number, run in enumerate(waiting, 1):
        try:
            outcomes[run] = _run(run, comparison, folds, train, RunReporter(reporter, clock, f"{run.name} ({number} of {len(waiting)})"))
        except Cancelled:
            raise
        except Exception as error:  # whatever is wrong with one network, the others go on
            if is_disk_full(error) or getattr(error, "code", "") in STOPPING:
                raise
            failed[run.name] = (str(error).strip() or type(error).__name__).splitlines()[0]
            reporter.warning("run_failed", f"{run.name} failed: {failed[run.name]} The others go on; the same command tries it again.")
        clock.finish_one()
        if outcomes:
            _write_tables(comparison, folds, outcomes, output)
    return failed


def _run(run: Run, comparison: Comparison, folds: Folds, train: Train, reporter: Reporter) -> dict[str, Any]:
    """Train and test a network; its scores are written last, so that a run with scores is whole."""
    budget = comparison.budget
    reporter.progress(0.0, "reading its samples")
    run.folder.mkdir(parents=True, exist_ok=True)
    batches = chosen(folds.batches(run.fold, budget.crop, budget.batch_size, run.seed), folds.bands, run.entry.bands)
    network = _new_network(run, batches)
    keep_spectral(network, folds.absent)
    network, course = train(run, network, batches, comparison, folds, StagedReporter(reporter, 0.0, TRAINING_SHARE))
    is_first = (run.fold, run.seed) == (folds.names[0], comparison.seeds[0])
    start = time.monotonic()
    found = scores(network, folds, run.fold, budget.crop, StagedReporter(reporter, TRAINING_SHARE, 1.0))
    outcome = plain(
        {
            "label": run.entry.label,
            "fold": run.fold,
            "seed": run.seed,
            "asked": run.asked,
            "figures": tables.figures_of(found),
            "tile_ms": tile_milliseconds(network) if is_first else None,
            **course,
            "test_minutes": (time.monotonic() - start) / 60,
            "scores": found,
            "threshold": THRESHOLD,
            "versions": {"rock_glacier_mapper": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    with written_json(run.folder / SCORES, outcome):
        pass
    for name in (LAST, PREVIOUS):  # twice as large as the network, and of use only until it is trained
        (run.folder / TRAINING / CHECKPOINTS / name).unlink(missing_ok=True)
    return dict(outcome)


def _new_network(run: Run, batches: Batches) -> Network:
    entry = run.entry
    torch.manual_seed(run.seed)
    pretrained: bool | str = entry.start == IMAGENET if entry.start in (IMAGENET, RANDOM) else entry.start
    return create_network(entry.name, statistics(batches), pretrained=pretrained, **entry.options)


def trained(
    run: Run, network: Network, batches: Batches, comparison: Comparison, folds: Folds, reporter: Reporter
) -> tuple[Network, dict[str, Any]]:
    """Train a network with the trainer of the command ``train``; a random forest is fitted at once. See :data:`Train`."""
    budget, entry = comparison.budget, run.entry
    about = {
        "name": entry.name,
        "gsd_m": comparison.gsd_m,
        "tile_px": budget.crop,
        "nir": "required" if "nir" in folds.seen else "optional",
        "training": {"recipe": "compare-networks", "comparison": comparison.title, "left_out": run.fold},
        "training_data": [{"what": f"{comparison.title}, without {run.fold}"}],
        "asked": run.asked,
    }
    if isinstance(network, RandomForest):
        return _fitted(run, network, batches, about, budget.forest_batches)
    own = {"loss": entry.loss, "learning_rate": entry.learning_rate, "encoder_share": 1.0 if entry.start == RANDOM else None, "patience": 0}
    settings = RECIPES[budget.recipe].changed(own).settings(budget.steps, budget.minutes, run.seed)
    result = run_training(
        network, batches, settings, run.folder / TRAINING, reporter, about=about, hardware=Hardware(device=comparison.device)
    )
    return result.network, {"minutes": result.seconds / 60, "steps": result.step}


def _fitted(run: Run, forest: RandomForest, batches: Batches, about: Mapping[str, Any], count: int) -> tuple[Network, dict[str, Any]]:
    """A forest, kept as trainings keep their networks."""
    start = time.monotonic()
    forest.fit((batches[number] for number in range(count)), run.seed)
    seconds = time.monotonic() - start
    place = run.folder / TRAINING / CHECKPOINTS
    place.mkdir(parents=True, exist_ok=True)
    description = {"network": described(run.entry.name, forest), "settings": {"batches": count, "seed": run.seed}, **about}
    state = {"description": description, "weights": forest.state_dict(), "step": count, "epoch": 1, "seconds": seconds}
    write_checkpoint(place / BEST, state)
    return forest, {"minutes": seconds / 60, "steps": count}


def _expected(
    waiting: list[Run], outcomes: Mapping[Run, Mapping[str, Any]], comparison: Comparison, folds: Folds, reporter: Reporter
) -> list[float]:
    """Seconds that each waiting run takes: as earlier ones of its network took, or as a step of it takes now."""
    known: dict[str, list[float]] = {}
    for run, outcome in outcomes.items():
        known.setdefault(run.entry.label, []).append(60 * (outcome["minutes"] + outcome["test_minutes"]))
    of_entry = {label: sum(times) / len(times) for label, times in known.items()}
    for run in waiting:
        if (label := run.entry.label) not in of_entry:
            reporter.progress(0.0, f"looking how long {label} takes")
            of_entry[label] = seconds_of_a_run(run.entry, run.fold, run.seed, comparison.budget, folds)
    return [of_entry[run.entry.label] for run in waiting]


def _write_tables(comparison: Comparison, folds: Folds, outcomes: Mapping[Run, Mapping[str, Any]], output: Path) -> list[str]:
    """results.csv, table.csv, tables.md: as far as the work is."""
    ordered = list(outcomes.values())
    found = tables.rows(comparison, folds.names, ordered)
    figures = list(tables.FIGURES)
    told = ("label", "fold", "seed", "minutes", "steps", "tile_ms", "date")
    results = [[*told, *figures], *([*(one[name] for name in told), *(one["figures"][name] for name in figures)] for one in ordered)]
    contents = {
        RESULTS: _csv(results),
        TABLE: _csv(tables.flat(found, folds.names)),
        TABLES: tables.document(comparison, folds, found, ordered),
    }
    for name, content in contents.items():
        with whole_file(output / name) as place:
            place.write_text(content, encoding="utf-8")
    return [str(output / name) for name in contents]


def _csv(rows: list[list[Any]]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerows(rows)
    return target.getvalue()


def _write_report(
    comparison: Comparison,
    folds: Folds,
    found: list[tables.Row],
    outcomes: Mapping[Run, Mapping[str, Any]],
    failed: Mapping[str, str],
    output: Path,
) -> str:
    from engine import figures as plots  # noqa: PLC0415 heavy
    from model.comparison_figure import runs_of_networks  # noqa: PLC0415

    values = [(one["label"], one["fold"], one["figures"]["iou"]) for one in outcomes.values()]
    means = {told["label"]: told["iou"] for told in map(_told, found)}
    with plots.style():
        drawn = {"runs": plots.rendered(runs_of_networks(values, means, list(folds.names), f"IoU of {comparison.target}"), "svg")}
    text = filled_template(
        "comparison.html",
        drawn,
        title=comparison.title,
        about=comparison.about,
        tables=[*tables.tables(comparison, folds, found), *tables.told_orderings(comparison, list(outcomes.values()))],
        how=tables.how(comparison, folds),
        failed=failed,
        definitions=DEFINITIONS,
        software={"name": "Rock Glacier Mapper", "version": __version__},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with whole_file(output / REPORT) as place:
        place.write_text(text, encoding="utf-8")
    return str(output / REPORT)
