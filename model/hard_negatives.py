"""Rounds of training and of negatives from what the network wrongly marks.

A round is four steps: negatives are cut from what the last network marked, a network is trained, evaluated on the validation samples, and
run over the stacks. Each finished step stands in ``state.json``; what does not is swept away and done again.

Source
------
Hu et al. (2023), section 3.2. docs/hard-negatives.md says what was decided here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from rasterio.features import rasterize

from engine import __version__
from engine.card import find_model, read_card
from engine.contact_sheet import thinning
from engine.detect import detect
from engine.errors import EngineError
from engine.evaluate import evaluate
from engine.hard_negatives import (
    REASONS,
    Error,
    KnownGround,
    OccupiedGround,
    Round,
    best_round,
    choose_windows,
    copy_samples,
    find_errors,
    ground_of,
    reason_to_stop,
    with_margin,
    write_grown_tables,
    write_negatives,
)
from engine.outputs import made_folder, whole_file, written_json
from engine.rasters import Grid
from engine.reporting import Reporter, StagedReporter
from engine.sample_cutter import Labels, Stack, look_at_stacks, on_map
from engine.sample_files import BACKGROUND, DOCUMENT, SPLITS, TABLE, Cut, MinedSample, SampleSet, Statistics, located, opened, read_samples
from engine.search_area import SearchArea
from engine.terminal import plain
from engine.vectors import PolygonLayer, read_outlines, read_polygons, write_polygons, write_table
from jobs import STACK_BANDS, DetectJob, EvaluateNetworkJob, ExportNetworkJob, MineHardNegativesJob, TrainJob

STATE, SAMPLES, ROUNDS_TABLE = "state.json", "samples", "rounds.csv"
CANDIDATES, PICTURE, ERRORS = "hard_negatives.gpkg", "hard_negatives.png", "errors.gpkg"
TRAINING, MODEL, EVALUATION, SEARCH = "training", "model", "evaluation.json", ".search"
FORMAT = 1
MAY_CHANGE = ("output", "target_iou", "rounds", "epochs", "minutes", "device")
"""Of a job that goes on: what only says how it does."""
PATHS = ("samples", "areas", "outlines", "model")
SHOWN = 48
"""Windows in the picture."""
TRAINED, EVALUATED = 0.8, 0.85
"""Share of a round's work."""

Step = Callable[[Any, Reporter], Any]


def mine_hard_negatives(job: MineHardNegativesJob, reporter: Reporter) -> dict[str, Any]:
    """Train, look what is marked where no rock glacier is, add it as negatives, train again, until a rule says stop.

    A job on the folder of an interrupted one goes on after its last finished step. Candidates whose field ``use`` a person set to 0 in
    ``hard_negatives.gpkg`` are struck out: they are treated as known rock glaciers, and the rounds that learnt otherwise are done again.

    Returns
    -------
    ``output``, ``samples`` (the grown folder), ``rounds`` (rows of :class:`engine.hard_negatives.Round`), ``reason`` (a key of
    :data:`engine.hard_negatives.REASONS`), ``reason_text``, ``best_round``, ``best_folder``, ``best_model`` (a model folder), ``iou``,
    ``negatives``, ``struck_out``, ``table``, and ``hard_negatives``, ``contact_sheet``: None where nothing was mined.

    Raises
    ------
    EngineError
        ``no_validation``, ``areas_empty``, ``areas_outside``, ``nothing_to_search``, ``other_mining``, ``output_folder``; those of
        :func:`engine.sample_files.read_samples`, :func:`engine.sample_cutter.look_at_stacks`, :func:`engine.detect.detect`,
        :func:`engine.evaluate.evaluate` and of the commands train and export; Cancelled.

    Source
    ------
    Hu et al. (2023), section 3.2.
    """
    from model.export_command import export  # noqa: PLC0415 heavy
    from model.train import train  # noqa: PLC0415

    return mine(job, reporter, train, export)


def mine(job: MineHardNegativesJob, reporter: Reporter, train: Step, export: Step) -> dict[str, Any]:
    """As :func:`mine_hard_negatives`, with the commands that train a network and make a model folder of one."""
    told = _Once(reporter)
    ground = _Ground(job, told)
    with made_folder(job.output) as folder:
        return _Mining(job, told, ground, folder, train, export).run()


class _Once:
    """Passes on what is told, each note and warning once: every round runs the same commands."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._told: set[str] = set()
        self.progress, self.check_cancelled = reporter.progress, reporter.check_cancelled

    def info(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._reporter.info(text)

    def warning(self, code: str, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._reporter.warning(code, text)


class _Ground:
    """The samples to begin with, the stacks to search, and what is known of them; read before anything is trained.

    ``size`` pixels along a negative's side; ``without`` bands that no training sample shows; ``validation`` ground of validation samples;
    ``model`` to begin with.
    """

    def __init__(self, job: MineHardNegativesJob, reporter: Reporter) -> None:
        self.margin = job.margin
        self.original = read_samples(job.samples)
        document, validation = self.original.document, self.original.of_split(SPLITS[1])
        if not any(sample.rock_glacier for sample in validation):
            raise EngineError(
                "no_validation",
                f"{job.samples} holds no rock glacier for validation: no round could be told from another. Make the samples with more "
                "outlines or a larger VALIDATION_SHARE.",
            )
        self.size = int(document.get("size") or max(max(sample.rows, sample.columns) for sample in self.original.samples))
        of_train = document.get("bands_of_train", document["bands"])
        self.without = [name for name in STACK_BANDS if not of_train[name]["pixels"]]
        self.stacks, pixel = look_at_stacks(job.stacks, document.get("resolution_m") or _nominal_pixel(), reporter)
        self.crs = self.stacks[0].crs
        self.areas = None if job.areas is None else read_outlines(job.areas, job.areas_layer, reporter)
        self._check_areas(job, reporter)
        self._outlines = PolygonLayer(np.empty(0, dtype=object), self.crs)
        if job.outlines is not None:
            outlines = read_outlines(job.outlines, job.outlines_layer, reporter)
            known = Labels.of(outlines, reporter).value != BACKGROUND
            self._outlines = PolygonLayer(outlines.geometries[known], outlines.crs)
        self.systems = list(dict.fromkeys(stack.crs for stack in self.stacks))
        places = [ground_of(sample) for sample in validation]
        self.validation = [place for place in places if place is not None]
        known = self.known(PolygonLayer(np.empty(0, dtype=object), self.crs))
        if not any(inside.any() for stack in self.stacks for _, inside in known[stack.crs].searched(stack.grid)):
            raise _nothing_to_search()
        self.model = None
        if job.model is not None:
            self.model = Path(job.model).absolute() if Path(job.model).exists() else find_model(job.model).folder
        self._warn(job, pixel, len(places) - len(self.validation), reporter)

    def _check_areas(self, job: MineHardNegativesJob, reporter: Reporter) -> None:
        if self.areas is None:
            return
        if not len(self.areas):
            raise EngineError("areas_empty", f"{job.areas} holds no polygon: there is nowhere to search. Draw where no rock glaciers are.")
        here = [stack for stack in self.stacks if not SearchArea(self.areas, stack.grid).is_empty()]
        if not here:
            raise EngineError(
                "areas_outside",
                f"No polygon of {job.areas} lies over a stack: there is nowhere to search. Check the places and coordinate reference "
                "systems of both.",
            )
        for stack in self.stacks:
            if stack not in here:
                reporter.info(f"No polygon of {job.areas} lies over {stack.path}: it is not searched.")
        self.stacks = here

    def _warn(self, job: MineHardNegativesJob, pixel: float, without_place: int, reporter: Reporter) -> None:
        if self.without:
            reporter.info(
                f"No training sample shows {', '.join(self.without)}: mined ones do not either, or a network would learn that as a sign."
            )
        if self.original.document.get("resolution_m") is None:
            reporter.info(f"How large the pixels of the samples are is not known; mined ones have {pixel:g} m, as training takes them for.")
        if without_place:
            reporter.warning(
                "validation_without_place",
                f"{without_place} validation samples have no place on the map: whether mined ground is theirs is not known. Where it is, "
                "the validation IoU flatters.",
            )
        sources = {sample.source for sample in self.original.samples if sample.rock_glacier}
        if not sources & {located(stack.path) for stack in self.stacks}:
            reporter.warning(
                "other_imagery",
                "No sample with rock glaciers comes from the stacks that are searched: a network can learn to tell the imagery instead of "
                "the ground, and mark nothing in it at all. Search the stacks that the samples come from, and others beside them.",
            )

    def known(self, struck: PolygonLayer) -> dict[CRS, KnownGround]:
        """Where marks are errors, on the map of each CRS; ``struck``: what a person struck out."""
        there = OccupiedGround(self.validation, self.systems)
        return {
            crs: KnownGround(
                self.areas,
                PolygonLayer(np.concatenate([with_margin(layer, self.margin, crs).geometries for layer in (self._outlines, struck)]), crs),
                there.layer(crs),
            )
            for crs in self.systems
        }


class _Mining:
    """The rounds of a job in their folder."""

    def __init__(self, job: MineHardNegativesJob, reporter: _Once, ground: _Ground, folder: Path, train: Step, export: Step) -> None:
        self._job, self._reporter, self._ground, self._folder = job, reporter, ground, folder
        self._train_network, self._export = train, export
        self._samples = folder / SAMPLES
        self._state = self._taken_up()

    def run(self) -> dict[str, Any]:
        for left in self._folder.glob(".*.part"):  # of outputs that a kill left unfinished
            shutil.rmtree(left)
        if not self._rounds:
            self._save()  # from here on the folder is this job's
            copy_samples(self._ground.original, self._samples)
            self._rounds.append({"round": 0, "negatives": 0})
            self._save()
        else:
            self._strike_out()
            self._sweep()
            self._show()
        while True:
            self._finish_round()
            reason = reason_to_stop(self._figures(), self._job.target_iou, self._job.rounds)
            if reason is not None:
                return self._result(reason)
            self._mine(len(self._rounds))

    @property
    def _rounds(self) -> list[dict[str, Any]]:
        rounds: list[dict[str, Any]] = self._state["rounds"]
        return rounds

    def _figures(self) -> list[Round]:
        names = [column.name for column in dataclasses.fields(Round)]
        return [Round(**{name: entry[name] for name in names}) for entry in self._rounds if all(name in entry for name in names)]

    def _of(self, number: int) -> Path:
        return self._folder / f"round-{number}"

    # state

    def _taken_up(self) -> dict[str, Any]:
        """What an interrupted job left, or a new beginning."""
        path, identity = self._folder / STATE, self._identity()
        if not path.exists():
            others = sorted(file.name for file in self._folder.iterdir() if not file.name.startswith("."))
            if others:
                raise EngineError(
                    "output_folder", f"The folder {self._folder} holds other files, {others[0]} among them. Give a new or an empty folder."
                )
            return {"format": FORMAT, "job": identity, "candidates": 0, "struck": [], "rounds": []}
        try:
            state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name, value in identity.items() if state["job"].get(name) != value]
        except (ValueError, KeyError, AttributeError) as error:
            raise EngineError("other_mining", f"{path} is not what this command wrote. Choose a new folder. ({error})") from error
        if state["format"] != FORMAT or differing:
            raise EngineError(
                "other_mining",
                f"{self._folder} holds the rounds of another job: {', '.join(differing) or 'the format'} was different. Choose a new "
                "folder, or the same values.",
            )
        return state

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a job to go on."""
        job = {name: value for name, value in asdict(self._job).items() if name not in MAY_CHANGE}
        job |= {name: located(job[name]) for name in PATHS if job[name] is not None}
        digest = hashlib.sha256(b"".join((self._ground.original.folder / name).read_bytes() for name in (TABLE, DOCUMENT)))
        stacks = [{"path": located(path), "bytes": Path(path).stat().st_size} for path in job["stacks"] if Path(path).exists()]
        identity: dict[str, Any] = plain({**job, "stacks": stacks, "samples_sha256": digest.hexdigest()})
        return identity

    def _save(self) -> None:
        with written_json(self._folder / STATE, {**self._state, "software": f"Rock Glacier Mapper {__version__}"}):
            pass

    def _sweep(self) -> None:
        """Remove what no finished step speaks of."""
        there = {f"round-{entry['round']}" for entry in self._rounds}
        for folder in self._folder.glob("round-*"):
            if folder.name not in there:
                shutil.rmtree(folder)
        mined = self._mined_samples()
        kept = [sample for sample in mined if sample.round < len(self._rounds)]
        if len(kept) < len(mined):
            write_grown_tables(self._samples, self._ground.original, self._cuts(kept))
            for sample in set(mined) - set(kept):
                for name in (sample.image, sample.mask):
                    (self._samples / name).unlink()

    # what a person struck out

    def _strike_out(self) -> None:
        """Take up what a person changed in the field ``use``; rounds that learnt otherwise are forgotten."""
        path = self._folder / CANDIDATES
        if not path.exists():
            return
        uses, before = _uses(path), {row["candidate"]: row for row in self._state["struck"]}
        mined = {row["candidate"]: row for row in self._mined()}
        new = [row for number, row in mined.items() if uses.get(number, True) is False]
        back = [row for number, row in before.items() if uses.get(number, False)]
        if not new and not back:
            return
        here = shapely.buffer(np.array([shapely.from_wkt(row["wkt"]) for row in new], dtype=object), self._job.margin)
        touched = [sample.round for sample in self._mined_samples() if shapely.intersects(self._footprint(sample), here).any()]
        first = min([row["round"] for row in (*new, *back)] + touched)
        self._reporter.info(
            f"{len(new)} candidates were struck out and {len(back)} taken back: round {first} and those after it are done again."
        )
        self._state["struck"] = [row for row in before.values() if row not in back] + new
        del self._rounds[first:]
        for name in ("errors", "marked_share", "searched_km2"):
            self._rounds[-1].pop(name, None)
        self._save()

    def _struck(self) -> PolygonLayer:
        shapes = [shapely.from_wkt(row["wkt"]) for row in self._state["struck"]]
        return PolygonLayer(np.array([*shapes, None], dtype=object)[:-1], self._ground.crs)

    def _footprint(self, sample: MinedSample) -> shapely.Geometry:
        """In the CRS of candidates."""
        place = ground_of(sample)
        assert place is not None
        return on_map(np.array([place[0]], dtype=object), place[1], self._ground.crs)[0]

    # the steps of a round

    def _finish_round(self) -> None:
        """All that the last round still lacks."""
        entry = self._rounds[-1]
        number, most = entry["round"], max(self._job.rounds, entry["round"]) + 1
        self._of(number).mkdir(exist_ok=True)
        reporter = StagedReporter(self._reporter, number / most, (number + 1) / most)
        if "model" not in entry:
            entry["model"] = self._model_of(number, StagedReporter(reporter, 0.0, TRAINED))
            self._save()
        if "iou" not in entry:
            entry.update(self._evaluated(entry["model"], number, StagedReporter(reporter, TRAINED, EVALUATED)))
            self._save()
        if "errors" not in entry:
            entry.update(self._searched(entry["model"], number, StagedReporter(reporter, EVALUATED, 1.0)))
            self._save()
        rows = [asdict(one) for one in self._figures()]
        write_table(self._folder / ROUNDS_TABLE, {name: _column([row[name] for row in rows]) for name in rows[0]}, "rounds")

    def _model_of(self, number: int, reporter: Reporter) -> str:
        """The model folder of a round: the one to begin with, or of a network that is trained now."""
        job, folder, first = self._job, self._of(number), self._ground.model
        if number == 0 and first is not None:
            if (first / "model.json").is_file():
                return str(read_card(first).folder)
            self._export(ExportNetworkJob(str(first), str(folder / MODEL)), reporter)
            return str(folder / MODEL)
        before = None if number == 0 else first if number == 1 and first is not None else self._of(number - 1) / TRAINING
        self._train_network(
            TrainJob(
                samples=str(self._samples),
                output=str(folder / TRAINING),
                network=job.network,
                recipe=job.recipe,
                start=TrainJob.start if before is None else str(before),
                epochs=job.epochs,
                minutes=job.minutes,
                device=job.device,
                seed=job.seed,
                model=str(folder / MODEL),
            ),
            reporter,
        )
        return str(folder / MODEL)

    def _evaluated(self, model: str, number: int, reporter: Reporter) -> dict[str, Any]:
        report = str(self._of(number) / EVALUATION)
        found = evaluate(EvaluateNetworkJob(model=model, samples=str(self._samples), device=self._job.device, json=report), reporter)
        of_class = found["pixels"]["rock_glacier"]
        if of_class["iou"] is None:
            raise EngineError("no_validation", "The validation samples show no rock glacier: no round can be told from another.")
        return {**{name: of_class[name] for name in ("iou", "precision", "recall")}, "threshold": found["threshold"]}

    def _searched(self, model: str, number: int, reporter: Reporter) -> dict[str, Any]:
        """Run a model over the stacks; what it marks where no rock glacier is goes to ``errors.gpkg``."""
        job, ground = self._job, self._ground
        known, threshold = ground.known(self._struck()), read_card(Path(model)).threshold
        workplace = self._of(number) / SEARCH
        errors: list[Error] = []
        marked_m2 = searched_m2 = 0.0
        for index, stack in enumerate(ground.stacks):
            shutil.rmtree(workplace, ignore_errors=True)
            workplace.mkdir()
            stage = StagedReporter(reporter, index / len(ground.stacks), (index + 1) / len(ground.stacks))
            probability = workplace / "probability.tif"
            detection = DetectJob(
                stack.path,
                str(workplace / "tiles.gpkg"),
                probability=str(probability),
                model=model,
                device=job.device,
                mask=job.areas,
                mask_layer=job.areas_layer,
            )
            detect(detection, StagedReporter(stage, 0.0, 0.9))
            there, marked, searched = find_errors(stack, probability, threshold, known[stack.crs], job.min_area, workplace, stage)
            errors += there
            marked_m2 += marked * stack.grid.resolution**2
            searched_m2 += searched * stack.grid.resolution**2
        shutil.rmtree(workplace)
        first = self._state["candidates"] + 1
        self._write_errors(self._of(number) / ERRORS, [dataclasses.replace(one, candidate=first + i) for i, one in enumerate(errors)])
        self._state["candidates"] += len(errors)
        if not searched_m2:
            raise _nothing_to_search()
        return {"errors": len(errors), "marked_share": marked_m2 / searched_m2, "searched_km2": searched_m2 / 1e6}

    def _mine(self, number: int) -> None:
        """Begin a round: add what the last network marks as negatives. What it still marks on mined ground takes more training."""
        ground = self._ground
        earlier = self._mined_samples()
        occupied = OccupiedGround(ground.validation, ground.systems)
        for sample in earlier:
            place = ground_of(sample)
            assert place is not None
            occupied.add(place)
        most = self._job.per_round or sum(sample.rock_glacier > 0 for sample in ground.original.of_split(SPLITS[0])) or 1
        chosen = choose_windows(self._read_errors(number - 1), ground.stacks, ground.size, occupied, most)
        first = max(int(sample.sample) for sample in (*ground.original.samples, *earlier)) + 1
        added = write_negatives(self._samples, chosen, ground.known(self._struck()), number, first, ground.without)
        write_grown_tables(self._samples, ground.original, [*self._cuts(earlier), *added])
        samples: dict[str, str] = {}
        for mined, cut in zip(chosen, added, strict=True):
            for error in mined.errors:
                samples.setdefault(str(error.candidate), cut.row.sample)
        self._rounds.append({"round": number, "negatives": len(added), "mined": samples})
        self._save()
        self._show()

    # errors, candidates, samples

    def _write_errors(self, path: Path, errors: Sequence[Error]) -> None:
        shapes = [on_map(np.array([one.geometry], dtype=object), self._crs_of(one.stack), self._ground.crs)[0] for one in errors]
        fields: dict[str, np.ndarray[Any, Any]] = {
            "candidate": np.array([one.candidate for one in errors], dtype=np.int32),
            "probability": np.array([one.probability for one in errors], dtype=np.float64),
            "area_m2": np.array([one.area_m2 for one in errors], dtype=np.float64),
            "wrongness": np.array([one.wrongness for one in errors], dtype=np.float64),
            "stack": _column([one.stack for one in errors]),
        }
        write_polygons(path, PolygonLayer(np.array([*shapes, None], dtype=object)[:-1], self._ground.crs, fields), "errors")

    def _read_errors(self, number: int) -> list[Error]:
        layer = read_polygons(self._of(number) / ERRORS)
        rows = zip(layer.geometries, *(layer.fields[name] for name in ("stack", "probability", "candidate")), strict=True)
        return [
            Error(stack, on_map(np.array([shape], dtype=object), layer.crs, self._crs_of(stack))[0], float(probability), int(candidate))
            for shape, stack, probability, candidate in rows
        ]

    def _crs_of(self, stack: str) -> CRS:
        return self._stack(stack).crs

    def _stack(self, path: str) -> Stack:
        return next(stack for stack in self._ground.stacks if located(stack.path) == path)

    def _mined(self) -> list[dict[str, Any]]:
        """All candidates that are in samples."""
        rows: list[dict[str, Any]] = []
        for entry in self._rounds[1:]:
            layer = read_polygons(self._of(entry["round"] - 1) / ERRORS)
            for i, candidate in enumerate(layer.fields["candidate"]):
                sample = entry["mined"].get(str(int(candidate)))
                if sample is not None:
                    row = plain({name: values[i] for name, values in layer.fields.items()})
                    rows.append({**row, "round": entry["round"], "sample": sample, "wkt": shapely.to_wkt(layer.geometries[i], -1)})
        return rows

    def _mined_samples(self) -> list[MinedSample]:
        found = read_samples(self._samples, MinedSample).samples
        return [sample for sample in found if isinstance(sample, MinedSample) and sample.round]

    def _cuts(self, samples: Sequence[MinedSample]) -> list[Cut]:
        found = read_samples(self._samples)
        return [Cut(sample, Statistics.of(found.read(sample)[0])) for sample in samples]

    # what is shown

    def _show(self) -> None:
        """``hard_negatives.gpkg`` and the picture of what was mined; both go where nothing is."""
        candidates, picture = self._folder / CANDIDATES, self._folder / PICTURE
        struck = self._state["struck"]
        uses = _uses(candidates) if candidates.exists() else {}  # a person may have changed it meanwhile: for the next run
        rows = [{**row, "use": int(uses.get(row["candidate"], False))} for row in struck]
        rows += [{**row, "use": int(uses.get(row["candidate"], True))} for row in self._mined()]
        if not rows:
            candidates.unlink(missing_ok=True)
            picture.unlink(missing_ok=True)
            return
        shapes = np.array([*(shapely.from_wkt(row["wkt"]) for row in rows), None], dtype=object)[:-1]
        names = ("candidate", "use", "round", "sample", "probability", "area_m2", "wrongness", "stack")
        fields = {name: _column([row[name] for row in rows]) for name in names}
        write_polygons(candidates, PolygonLayer(shapes, self._ground.crs, fields), "hard_negatives")
        self._draw(picture, rows)

    def _draw(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        from engine import evaluation_figures  # noqa: PLC0415 heavy
        from engine import figures as plots  # noqa: PLC0415

        found = read_samples(self._samples)
        worst = sorted(self._mined_samples(), key=lambda sample: -sample.wrongness)[:SHOWN]
        with plots.style():
            pictures = [self._picture(found, sample, rows) for sample in worst]
            figure = evaluation_figures.gallery(pictures, f"The {len(worst)} hard negatives most wrong. Is none a rock glacier?")
            with whole_file(path) as place:
                place.write_bytes(plots.rendered(figure, "png"))

    def _picture(self, found: SampleSet, sample: MinedSample, rows: Sequence[Mapping[str, Any]]) -> Any:
        from engine.evaluation_figures import Picture  # noqa: PLC0415 heavy

        image, mask = found.read(sample)
        with opened(found.folder / sample.image) as dataset:
            grid = Grid.of(dataset)
        own = self._crs_of(sample.source)
        here = [row for row in rows if row["stack"] == sample.source and row["round"] == sample.round]
        shapes = np.array([*(shapely.from_wkt(row["wkt"]) for row in here), None], dtype=object)[:-1]
        placed = [(shape, 1) for shape in on_map(shapes, self._ground.crs, own)]
        marked = rasterize(placed, mask.shape, transform=grid.transform, dtype="uint8") if placed else np.zeros(mask.shape, np.uint8)
        thin = np.s_[:: thinning(mask.shape), :: thinning(mask.shape)]
        title = f"{sample.sample.lstrip('0')}  round {sample.round}  wrongness {sample.wrongness / 1e6:.3f} km²"
        return Picture(image[:3].transpose(1, 2, 0)[thin], mask[thin], marked[thin] == 1, title)

    def _result(self, reason: str) -> dict[str, Any]:
        rounds = self._figures()
        best = best_round(rounds)
        is_mined = (self._folder / CANDIDATES).exists()
        negatives = len(self._mined_samples())
        if negatives:
            self._reporter.info(
                f"{negatives} negatives were mined. An error may be a rock glacier that nobody mapped: look at {CANDIDATES} and {PICTURE}."
            )
        self._reporter.progress(1.0, REASONS[reason])
        return {
            "output": self._job.output,
            "samples": str(self._samples),
            "rounds": [asdict(one) for one in rounds],
            "reason": reason,
            "reason_text": REASONS[reason],
            "best_round": best.round,
            "best_folder": str(self._of(best.round)),
            "best_model": self._rounds[best.round]["model"],
            "iou": best.iou,
            "negatives": negatives,
            "struck_out": len(self._state["struck"]),
            "table": str(self._folder / ROUNDS_TABLE),
            "hard_negatives": str(self._folder / CANDIDATES) if is_mined else None,
            "contact_sheet": str(self._folder / PICTURE) if is_mined else None,
        }


def _nominal_pixel() -> float:
    """Metres that training takes the pixels of chips for."""
    from model.training_preparation import NOMINAL_PIXEL_M  # noqa: PLC0415 heavy

    return NOMINAL_PIXEL_M


def _nothing_to_search() -> EngineError:
    return EngineError(
        "nothing_to_search",
        "Nothing of the stacks can be searched: areas, known rock glaciers with their margin, validation samples and what is not observed "
        "leave no ground. Give more stacks or a smaller margin.",
    )


def _uses(path: Path) -> dict[int, bool]:
    """Candidate -> whether it is to be used, as a person left it."""
    layer = read_polygons(path)
    if not {"candidate", "use"} <= set(layer.fields):
        raise EngineError(
            "candidates", f"{path} has lost its field candidate or use. Delete the file: it is written again, with all in use."
        )
    candidates, uses = (np.ma.filled(layer.fields[name], 1) for name in ("candidate", "use"))
    return {int(number): bool(use) for number, use in zip(candidates, np.nan_to_num(np.asarray(uses, np.float64), nan=1.0), strict=True)}


def _column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Values of a field as an array; texts and nothing at all as objects, None in numbers as NaN."""
    if not values or any(isinstance(value, str) for value in values):
        return np.array([*values, None], dtype=object)[:-1]
    return np.array([np.nan if value is None else value for value in values])
