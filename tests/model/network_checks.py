"""What holds for every network: it learns, and what is exported says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.card import ModelCard
from engine.inference import open_network
from engine.reporting import SilentReporter
from model.export import write_model_folder
from model.losses import LOSSES
from model.model_folder import read_model_folder
from model.networks import NETWORKS, BandStatistics, Network, create_network, network_bands


def statistics(bands: int) -> BandStatistics:
    """Of bands between 0 and 1."""
    return BandStatistics((0.0,) * bands, (1.0,) * bands, (0.25,) * bands)


def network(name: str, **options: object) -> Network:
    """A network by name with random weights, the same at each call."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    return create_network(name, statistics(len(network_bands(name, **options))), **options)


def batch(bands: int, side: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two samples whose first band is brighter on a rectangle that is a rock glacier; some pixels are not observed."""
    rng = np.random.default_rng(1)
    truth = np.zeros((2, 1, side, side), np.float32)
    truth[0, :, 10:40, 20:50] = truth[1, :, 30:60, 5:30] = 1
    stack = rng.uniform(0.1, 0.3, (2, bands, side, side)).astype(np.float32)
    stack[:, :1] += 0.5 * truth
    stack[:, :, :4] = np.nan
    weight = np.isfinite(stack[:, :1]).astype(np.float32)
    return stack, truth, weight


def losses(network: Network, steps: int = 4, loss: str = "dice+cross_entropy") -> list[float]:
    """Of some steps on one batch, without dropout."""
    stack, truth, weight = (torch.from_numpy(array) for array in batch(len(network.bands)))
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    found = []
    for _ in range(steps):
        value = LOSSES[loss](network.train()(stack), truth, weight)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        found.append(value.item())
    return found


def settled(network: Network) -> Network:
    """Its batch norms calibrated on one batch: with their starting values logits may overflow."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.from_numpy(batch(len(network.bands))[0]))
    return network.eval()


def exported(network: Network, folder: Path, **values: object) -> ModelCard:
    """The model folder, read by the engine. The network comes back from it as it was."""
    card = write(network, folder, **values)
    back = read_model_folder(folder).network
    assert back.options == network.options
    assert different(network, back) == []
    return card


def write(network: Network, folder: Path, **values: object) -> ModelCard:
    """The model folder, read by the engine."""
    return write_model_folder(
        folder,
        network,
        title="A test",
        version="0.0",
        gsd_m=10.0,
        tile_px=64,
        overlap=50.0,
        threshold=0.5,
        nir="optional",
        licence="GPL-2.0-or-later",
        network_name=next(name for name, (family, _) in NETWORKS.items() if family is type(network)),
        about={},
        **values,
    )


def different(one: Network, other: Network) -> list[str]:
    """Names of the values that differ in two networks' states, the counts of batches apart."""
    state, back = one.state_dict(), other.state_dict()
    assert state.keys() == back.keys()
    return [name for name in state if not name.endswith("num_batches_tracked") and not torch.equal(state[name], back[name])]


def disagreement(network: Network, card: ModelCard, temperature: float = 1.0) -> float:
    """Largest difference between Detect's and torch's probabilities on tiles of two shapes with and without values."""
    detector = open_network(card, "cpu", 2, SilentReporter())
    rng = np.random.default_rng(2)
    worst = 0.0
    for count, rows, cols in ((1, 64, 64), (2, 70, 101)):
        stack = rng.random((count, len(network.bands), rows, cols), dtype=np.float32)
        stack[0, :, 5:9] = np.nan
        stack[0, -1] = np.nan
        stack[0, 0, 0, 0] = np.inf
        probability = detector.run(stack)[:, None]
        with torch.no_grad():
            own = torch.sigmoid(network(torch.from_numpy(stack)) / temperature).numpy()
        assert probability.shape == own.shape == (count, 1, rows, cols)
        assert probability.std() > 1e-3
        worst = max(worst, float(np.abs(probability - own).max()))
    return worst
