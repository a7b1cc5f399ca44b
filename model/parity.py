"""Whether an exported network says the same as the one it was made of, on random tiles and on real samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.errors import EngineError
from engine.reporting import Reporter
from engine.sample_files import ROCK_GLACIER, UNKNOWN, SampleSet
from engine.tiling import pad_to_tile
from jobs import STACK_BANDS
from model.export import ProbabilityNetwork
from model.networks.network import MinMaxNormalisation

Array = NDArray[np.float32]
Look = Callable[[Array], Array]
"""Stacks (n, bands, rows, cols) -> probability (n, rows, cols)."""
RANDOM_TILES = 4
PATCH_PX = 8


@dataclass(frozen=True)
class Limits:
    """Beyond which an export is refused: ``difference`` of any probability (None: any), ``flipped`` share of the pixels on the other
    side of the threshold, ``iou_loss`` of rock glacier on validation samples."""

    difference: float | None
    flipped: float
    iou_loss: float


LIMITS = {"fp32": Limits(1e-4, 1e-3, 1e-3), "fp16": Limits(None, 5e-3, 5e-3), "int8": Limits(None, 2e-2, 1e-2)}
"""fp32 only rounds in another order. Reduced precision may move what is near the threshold: one or two pixels in a hundred, evenly to
either side (an IoU of 0.005 or 0.01), is less than what two trainings of different seeds differ by, or two people who outline."""


FINITE = Limits(None, 1.0, 1.0)
"""Any probabilities will do."""


@dataclass(frozen=True)
class Agreement:
    """``difference`` the largest one of two probabilities; ``flipped`` share of the pixels that the threshold puts on the other side;
    ``iou_before``, ``iou_after`` of rock glacier, None without masks that hold any."""

    difference: float
    flipped: float
    iou_before: float | None = None
    iou_after: float | None = None

    @property
    def iou_loss(self) -> float:
        """0 where it is not known."""
        return 0.0 if self.iou_before is None or self.iou_after is None else self.iou_before - self.iou_after

    def beyond(self, limits: Limits) -> str:
        """What is more than it may be, in words; empty when nothing is."""
        wrong = []
        if not np.isfinite(self.difference):
            wrong.append("some probabilities are no numbers")
        elif limits.difference is not None and self.difference > limits.difference:
            wrong.append(f"probabilities differ by up to {self.difference:.2g} (at most {limits.difference:g} is allowed)")
        if self.flipped > limits.flipped:
            wrong.append(f"{100 * self.flipped:.2f} % of the pixels change sides of the threshold (at most {100 * limits.flipped:g} %)")
        if self.iou_loss > limits.iou_loss:
            wrong.append(f"the IoU falls from {self.iou_before:.4f} to {self.iou_after:.4f} (by {limits.iou_loss:g} at most)")
        return "; ".join(wrong)


@dataclass(frozen=True)
class Tile:
    """``stack`` (bands, rows, cols), NaN where not observed; ``mask`` (rows, cols) as samples have it."""

    stack: Array
    mask: NDArray[np.uint8]


def random_tiles(normalise: MinMaxNormalisation, tile: int, seed: int = 1) -> list[Tile]:
    """Patches and noise within the range of the training samples: one whole, one with a hole, one with its last bands missing, one of
    another size."""
    rng = np.random.default_rng(seed)
    low, high = (values.numpy()[0] for values in (normalise.minimum, normalise.maximum))
    tiles = []
    for number in range(RANDOM_TILES):
        rows, columns = (tile, tile) if number < RANDOM_TILES - 1 else (tile + tile // 4 + 1, tile + PATCH_PX)
        patches = rng.random((len(low), rows // PATCH_PX + 1, columns // PATCH_PX + 1))
        smooth = patches.repeat(PATCH_PX, axis=1).repeat(PATCH_PX, axis=2)[:, :rows, :columns]
        stack = (low + (high - low) * (0.8 * smooth + 0.2 * rng.random(smooth.shape))).astype(np.float32)
        if number == 1:
            stack[:, : tile // 3, tile // 4 :] = np.nan
            stack[0, -1, -1] = np.inf
        if number == 2:
            stack[len(low) // 2 :] = np.nan
        tiles.append(Tile(stack, np.full((rows, columns), UNKNOWN, np.uint8)))
    return tiles


def sample_tiles(samples: SampleSet, split: str, bands: Sequence[str], tile: int, most: int) -> list[Tile]:
    """The middles of samples of a split, ``most`` of them spread evenly over the table.

    Raises
    ------
    EngineError
        ``band_missing`` when the network reads what samples do not have; those of :meth:`engine.sample_files.SampleSet.read`.
    """
    if further := [name for name in bands if name not in STACK_BANDS]:
        raise EngineError(
            "band_missing",
            f"The network reads {', '.join(further)}, which training samples do not hold. Export it in fp32 without samples.",
        )
    places = [STACK_BANDS.index(name) for name in bands]
    found = samples.of_split(split)
    chosen = sorted({int(i) for i in np.linspace(0, len(found) - 1, min(most, len(found)))}) if found else []
    tiles = []
    for number in chosen:
        image, mask = samples.read(found[number])
        row, column = (max(0, (size - tile) // 2) for size in mask.shape)
        middle = (slice(row, row + tile), slice(column, column + tile))
        labels = mask[middle]
        padding = [(0, max(0, tile - size)) for size in labels.shape]
        tiles.append(Tile(pad_to_tile(image[places][:, middle[0], middle[1]], tile), np.pad(labels, padding, constant_values=UNKNOWN)))
    return tiles


def torch_look(network: ProbabilityNetwork) -> Look:
    """The network itself."""

    @torch.no_grad()
    def look(stacks: Array) -> Array:
        probability: Array = network(torch.from_numpy(stacks))[:, 0].numpy()
        return probability

    return look


def float64_look(network: ProbabilityNetwork) -> Look:
    """A copy of the network in float64, made when it is first asked."""
    copies: list[nn.Module] = []

    @torch.no_grad()
    def look(stacks: Array) -> Array:
        if not copies:
            copies.append(copy.deepcopy(network).double())
        probability: Array = copies[0](torch.from_numpy(stacks).double())[:, 0].float().numpy()
        return probability

    return look


def looked_at(tiles: Sequence[Tile], look: Look, reporter: Reporter) -> list[Array]:
    """The probability (rows, cols) of each tile."""
    found = []
    for tile in tiles:
        reporter.check_cancelled()
        found.append(look(tile.stack[None])[0])
    return found


def agreement(tiles: Sequence[Tile], before: Sequence[Array], after: Sequence[Array], threshold: float) -> Agreement:
    """How the probabilities of some tiles compare. Pixels that are unknown or not observed do not count for the IoU."""
    difference = max(float(np.abs(one - other).max()) for one, other in zip(before, after, strict=True))
    marks = [np.concatenate([(probability >= threshold).ravel() for probability in side]) for side in (before, after)]
    truth = np.concatenate([tile.mask.ravel() for tile in tiles])
    counts = (truth != UNKNOWN) & np.concatenate([np.isfinite(tile.stack).any(axis=0).ravel() for tile in tiles])
    is_rock_glacier = (truth == ROCK_GLACIER) & counts
    ious: list[float | None] = [None, None]
    if is_rock_glacier.any():
        ious = [float((mark & is_rock_glacier).sum() / ((mark & counts) | is_rock_glacier).sum()) for mark in marks]
    return Agreement(difference, float((marks[0] != marks[1]).mean()), *ious)


def as_written(found: Agreement, tiles: int) -> dict[str, Any]:
    """As a card has it."""
    values: dict[str, Any] = {
        "tiles": tiles,
        "largest_difference": float(f"{found.difference:.3g}"),
        "flipped_share": float(f"{found.flipped:.3g}"),
    }
    if found.iou_before is not None and found.iou_after is not None:
        values |= {"iou_before": round(found.iou_before, 4), "iou_after": round(found.iou_after, 4)}
    return values
