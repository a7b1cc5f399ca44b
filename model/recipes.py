"""How a network is trained, by name: one table. What a job gives itself takes the place of the recipe's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from model.augmentation import Augmentation, ScaleAndCrop
from model.training_settings import TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """A recipe.

    ``crop`` pixels along the side of what the network sees of a sample, at most as many as the samples have where the recipe says it
    itself; ``change`` how a sample is changed each time it is seen; the rest as in :class:`model.training_settings.TrainingSettings`.
    """

    network: str
    epochs: int
    crop: int
    batch_size: int
    accumulate: int
    loss: str
    patience: int
    optimiser: str
    learning_rate: float
    encoder_share: float
    weight_decay: float
    warm_up: float
    averaging: float
    clip: float
    change: Augmentation | ScaleAndCrop

    def settings(self, steps: int, minutes: float, seed: int) -> TrainingSettings:
        """Of a training of so many steps."""
        shared = {field.name for field in fields(self)} & {field.name for field in fields(TrainingSettings)}
        return TrainingSettings(steps=steps, minutes=minutes, seed=seed, **{name: getattr(self, name) for name in shared})

    def changed(self, wanted: Mapping[str, Any]) -> Recipe:
        """With the values that are not None instead."""
        return replace(self, **{name: value for name, value in wanted.items() if value is not None})


RECIPES = {
    "modern": Recipe(
        network="dednet-compact",
        epochs=60,
        crop=256,
        batch_size=8,
        accumulate=1,
        loss="dice+cross_entropy",
        patience=20,
        optimiser="adamw",
        learning_rate=1e-3,
        encoder_share=0.4,
        weight_decay=0.02,
        warm_up=0.08,
        averaging=0.997,
        clip=5.0,
        change=Augmentation(),
    ),
    "paper": Recipe(
        network="dednet-hrnet-w48",
        epochs=100,
        crop=352,
        batch_size=4,
        accumulate=1,
        loss="dice",
        patience=0,
        optimiser="adam",
        learning_rate=3e-5,
        encoder_share=1.0,
        weight_decay=0.0,
        warm_up=0.0,
        averaging=0.0,
        clip=0.0,
        change=ScaleAndCrop(base=500),
    ),
}
"""``paper``: Lin et al. (2024), section 3.3.2. Said there: Adam, learning rate, cosine, base and crop size, batch, Dice loss, ImageNet
weights, 100 epochs. That "base" and "crop" are those of the public DeepLabV3+ code is read from its names; mirroring, the filling of what
lies outside a sample with "not observed", and that the best epoch is the one of the highest IoU are ours. ``modern`` is ours throughout."""
