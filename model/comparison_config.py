"""What networks are compared on what: a TOML file, read and checked before any work. docs/networks.md describes it."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import EngineError
from jobs import DEVICES, STACK_BANDS
from model.losses import LOSSES
from model.networks import NETWORKS, find_network, network_bands
from model.networks.bands import FEATURE_SETS
from model.networks.costs import Costs, network_costs
from model.recipes import RECIPES

T = TypeVar("T")


def slug(text: str) -> str:
    """A text as a folder's name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


FORMS = ("ablation", "networks", "features")
"""Of the first table: Table 3 and Table 4 of Lin et al. (2024), the glacier table of Maslov and Schellenberger (2022)."""
IMAGENET, RANDOM = "imagenet", "random"


@dataclass(frozen=True)
class Entry:
    """A network to compare.

    ``label`` its name in the tables; ``options`` fields of its family's options, ``bands`` that it reads and ``features``, what they
    are called; ``start``: ``imagenet``, ``random``, or the file of its backbone's ImageNet weights; ``costs`` None for a forest.
    """

    name: str
    label: str
    options: Mapping[str, Any]
    bands: tuple[str, ...]
    features: str
    loss: str
    learning_rate: float
    start: str
    costs: Costs | None

    @property
    def settings(self) -> Any:
        """The options of its family, all of them."""
        return dataclasses.replace(find_network(self.name)[1], **self.options)

    @property
    def slug(self) -> str:
        """The label as a folder's name."""
        return slug(self.label)


@dataclass(frozen=True)
class SamplesPlace:
    """A folder of training samples: trained on one side of its split, tested on the other."""

    folder: Path


@dataclass(frozen=True)
class ChipsPlace:
    """Folders of chips; each of ``folds`` (all regions of chips.csv when empty) is left out once and tested on."""

    images: Path
    masks: Path
    negatives: Path | None
    folds: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """A raster and its mask on the same pixels, and the region that they are of."""

    image: Path
    mask: Path
    region: str


@dataclass(frozen=True)
class ScenesPlace:
    """Rasters whose bands are named by ``bands``, in order, and multiplied by ``scale``; each region is left out once."""

    scenes: tuple[Scene, ...]
    bands: tuple[str, ...]
    scale: Mapping[str, float]


@dataclass(frozen=True)
class Budget:
    """What every network gets: ``steps``, or ``minutes`` of working time, of batches of ``batch_size`` samples, ``crop`` pixels wide.

    ``recipe`` of :data:`model.recipes.RECIPES`, for what is not said here. ``forest_batches``: as many a random forest, which is fitted
    at once, takes its pixels from.
    """

    recipe: str
    steps: int
    minutes: float
    batch_size: int
    crop: int
    forest_batches: int


@dataclass(frozen=True)
class Comparison:
    """All of the file.

    ``target`` what is looked for; ``gsd_m`` ground sampling distance, metres; ``orderings`` labels of a better and a worse network, and
    who says so.
    """

    title: str
    about: str
    form: str
    target: str
    seeds: tuple[int, ...]
    threads: int
    place: SamplesPlace | ChipsPlace | ScenesPlace
    gsd_m: float
    device: str
    budget: Budget
    entries: tuple[Entry, ...]
    orderings: tuple[tuple[str, str, str], ...]


class _Table:
    """A table of the file; what nobody asked for is an error at the end."""

    def __init__(self, values: Mapping[str, Any], name: str, folder: Path) -> None:
        self._values, self._name, self._folder = dict(values), name, folder
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, kind: type[T], default: T | None = None, holds: Callable[[T], bool] = lambda _: True, rule: str = "") -> T:
        """A value of a type; required where there is no default."""
        self._asked.append(key)
        if key not in self._values:
            if default is None:
                raise self._wrong(key, "is missing")
            return default
        value: Any = self._values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # a bool is an int
            raise self._wrong(key, f"is {value!r}; it must be {TYPES[kind]}")
        if not holds(value):
            raise self._wrong(key, f"is {value!r}; it must be {rule}")
        return value

    def several(self, key: str, kind: type[T], default: tuple[T, ...] | None = None) -> tuple[T, ...]:
        """A list of values of a type, not empty where it is required."""
        if default is not None and key not in self._values:
            self._asked.append(key)
            return default
        values = self.take(key, list)
        if not values or not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise self._wrong(key, f"is {values!r}; it must be a list in which each is {TYPES[kind]}")
        return tuple(values)

    def choice(self, key: str, known: Iterable[str], default: str | None = None) -> str:
        """One of some names."""
        value = self.take(key, str, default)
        if value not in (known := list(known)):
            raise self._wrong(key, f"is {value!r}{_suggested(value, known)}; known are {', '.join(known)}")
        return value

    def path(self, key: str, is_folder: bool = False) -> Path:
        """A file or folder that is there, relative to that of the configuration."""
        place = (self._folder / self.take(key, str)).resolve()
        if not (place.is_dir() if is_folder else place.is_file()):
            raise EngineError("file_missing", f"{self._name}: there is no {'folder' if is_folder else 'file'} {place} ({key}).")
        return place

    def tables(self, key: str, required: bool = True) -> list[_Table]:
        """The tables of a list ``[[key]]``."""
        values = self.take(key, list, None if required else [])
        if (required and not values) or not all(isinstance(value, dict) for value in values):
            raise self._wrong(key, f"must be one table [[{key}]] or more")
        return [_Table(value, f"{self._name}, {key} {number}", self._folder) for number, value in enumerate(values, 1)]

    def table(self, key: str, required: bool = True) -> _Table:
        """The table ``[key]``."""
        return _Table(self.take(key, dict, None if required else {}), f"{self._name}, {key}", self._folder)

    def rest(self) -> dict[str, Any]:
        """What was not taken yet."""
        rest = {key: value for key, value in self._values.items() if key not in self._asked}
        self._asked += rest
        return rest

    def finish(self) -> None:
        """Raise an error for a key that is not known."""
        for key in self._values:
            if key not in self._asked:
                raise self._wrong(key, f"is not known{_suggested(key, self._asked)}; known are {', '.join(self._asked)}")

    def _wrong(self, key: str, what: str) -> EngineError:
        return EngineError("config", f"{self._name}: {key} {what}.")


TYPES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    bool: "true or false",
}


def _suggested(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def read_comparison(path: str | Path) -> Comparison:
    """The file, every name and value in it checked, and every file that it names.

    Raises
    ------
    EngineError
        ``file_missing``; ``config`` for what cannot be read or is not known, with what is meant perhaps.
    """
    place = Path(path)
    try:
        document = tomllib.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError("file_missing", f"{place} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise EngineError("config", f"{place} is no TOML file: {error}.") from error
    whole = _Table(document, place.name, place.resolve().parent)
    sets = {**FEATURE_SETS, **_feature_sets(whole.table("features", required=False))}
    training = whole.table("training")
    recipe = training.choice("recipe", RECIPES, "modern")
    budget = _budget(training, recipe)
    shared = {
        "loss": training.choice("loss", LOSSES, RECIPES[recipe].loss),
        "learning_rate": training.take("learning_rate", float, RECIPES[recipe].learning_rate, lambda rate: rate > 0, "more than 0"),
        "start": _start(training, RANDOM),
    }
    device = training.choice("device", DEVICES, "auto")
    training.finish()
    entries = tuple(_entry(table, sets, shared) for table in whole.tables("networks"))
    for slug in {entry.slug for entry in entries}:
        if len(same := [entry.label for entry in entries if entry.slug == slug]) > 1:
            raise EngineError("config", f"{place.name}: {len(same)} networks are labelled {same[0]!r}. Give each its own label.")
    data = whole.table("data")
    gsd_m = data.take("gsd_m", float, 10.0, lambda size: size > 0, "more than 0")
    comparison = Comparison(
        title=whole.take("title", str, place.stem),
        about=whole.take("about", str, ""),
        form=whole.choice("form", FORMS, "networks"),
        target=whole.take("target", str, "rock glacier"),
        seeds=whole.several("seeds", int, (1,)),
        threads=whole.take("threads", int, 1, lambda threads: threads >= 1, "1 or more"),
        place=_place(data),
        gsd_m=gsd_m,
        device=device,
        budget=budget,
        entries=entries,
        orderings=tuple(_ordering(table, [entry.label for entry in entries]) for table in whole.tables("orderings", required=False)),
    )
    whole.finish()
    if len(set(comparison.seeds)) < len(comparison.seeds):
        raise EngineError("config", f"{place.name}: seeds names a number twice.")
    return comparison


def _feature_sets(table: _Table) -> dict[str, tuple[str, ...]]:
    return {name: table.several(name, str) for name in list(table.rest())}


def _budget(table: _Table, recipe: str) -> Budget:
    if ("steps" in table) == ("minutes" in table):
        raise EngineError("config", "training: give either steps, which makes the same networks again, or minutes of working time.")
    return Budget(
        recipe=recipe,
        steps=table.take("steps", int, 0, lambda steps: steps >= 1, "1 or more"),
        minutes=table.take("minutes", float, 0.0, lambda minutes: minutes > 0, "more than 0"),
        batch_size=table.take(
            "batch_size", int, RECIPES[recipe].batch_size, lambda size: size >= 2, "2 or more: batch norm cannot work on one"
        ),
        crop=table.take("crop", int, RECIPES[recipe].crop, lambda side: side >= 32, "32 pixels or more"),
        forest_batches=table.take("forest_batches", int, 50, lambda count: count >= 1, "1 or more"),
    )


def _entry(table: _Table, sets: Mapping[str, tuple[str, ...]], shared: Mapping[str, Any]) -> Entry:
    name = table.choice("name", NETWORKS)
    label = table.take("label", str, name, lambda label: bool(label.strip()), "a text that is not empty")
    options = {key: _frozen(value) for key, value in table.take("options", dict, {}).items()}
    features = table.choice("features", sets) if "features" in table else ""
    known = {field.name for field in dataclasses.fields(find_network(name)[1])}
    for option in options:
        if option not in known:
            raise EngineError("config", f"{label}: {name} has no option {option!r}{_suggested(option, known)}.")
    if features:
        if "bands" in known:
            options["bands"] = sets[features]
        elif sets[features] != network_bands(name):
            raise EngineError("config", f"{label}: {name} reads {', '.join(network_bands(name))} alone, not the features {features}.")
    entry = Entry(
        name=name,
        label=label,
        options=options,
        bands=network_bands(name, **options),
        features=features or " ".join(network_bands(name, **options)),
        loss=table.choice("loss", LOSSES, shared["loss"]),
        learning_rate=table.take("learning_rate", float, shared["learning_rate"], lambda rate: rate > 0, "more than 0"),
        start=_start(table, shared["start"]),
        costs=_costs(name, label, options),
    )
    table.finish()
    return entry


def _start(table: _Table, default: str) -> str:
    start = table.take("start", str, default)
    return start if start in (IMAGENET, RANDOM, default) else str(table.path("start"))


def _costs(name: str, label: str, options: Mapping[str, Any]) -> Costs | None:
    """What the network costs; building it, without computing anything, shows whether its options are possible."""
    if name == "random_forest":
        return None
    try:
        return network_costs(name, **options)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise EngineError("config", f"{label}: {name} cannot be built with the options {dict(options)}: {error}.") from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _ordering(table: _Table, labels: list[str]) -> tuple[str, str, str]:
    ordering = (table.choice("better", labels), table.choice("worse", labels), table.take("says", str, ""))
    table.finish()
    return ordering


def _place(table: _Table) -> SamplesPlace | ChipsPlace | ScenesPlace:
    place: SamplesPlace | ChipsPlace | ScenesPlace
    if "samples" in table:
        place = SamplesPlace(table.path("samples", is_folder=True))
    elif "images" in table:
        negatives = table.path("negatives", is_folder=True) if "negatives" in table else None
        table.choice("leave_out", ("region",), "region")
        place = ChipsPlace(
            table.path("images", is_folder=True), table.path("masks", is_folder=True), negatives, table.several("folds", str, ())
        )
    elif "scenes" in table:
        table.choice("leave_out", ("region",), "region")
        bands = table.several("bands", str)
        scale = table.table("scale", required=False)
        scales = {name: scale.take(name, float, 1.0) for name in bands}
        scale.finish()
        scenes = tuple(_scene(one) for one in table.tables("scenes"))
        if len({scene.region for scene in scenes}) < 2:
            raise EngineError("config", "data: all scenes are of one region: none can be left out. Name the region of each.")
        place = ScenesPlace(scenes, bands, scales)
    else:
        raise EngineError("config", "data: give samples (a folder), or images and masks (folders of chips), or scenes.")
    table.finish()
    return place


def _scene(table: _Table) -> Scene:
    scene = Scene(table.path("image"), table.path("mask"), table.take("region", str))
    table.finish()
    return scene


def computed_bands(bands: Iterable[str]) -> tuple[str, ...]:
    """The bands of a raster, with EVI and SAVI where they can be computed."""
    there = tuple(bands)
    return (*there, *(name for name in STACK_BANDS[4:] if name not in there and {"red", "blue", "nir"} <= set(there)))
