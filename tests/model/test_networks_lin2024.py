"""The networks of Lin et al. (2024), tables 3 and 4: each learns, is exported, and runs in Detect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from engine.detect import detect
from engine.reporting import SilentReporter
from jobs import STACK_BANDS, DetectJob
from model.networks import Network, create_network
from model.networks.dednet import NoBlock
from tests.engine.networks import write_stack
from tests.model import network_checks as checks

NARROW = {"aspp_width": 16, "decoder_width": 16, "low_width": 8, "atrous_rates": (1, 2)}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SYSTEMS = [
    ("dednet-compact", {}),
    ("dednet-compact-block1", {}),
    ("dednet-compact-block2", {}),
    ("dednet-compact-noblocks", {}),
    ("dednet-compact", {"aspp_placement": "after_fusion", "blocks": (1,)}),
    ("dednet-compact", {"aspp_placement": "after_fusion", "blocks": (), "unfused": "concatenate"}),
    ("cdnet-compact", {}),
    ("cdnet-nir-compact", {}),
    ("mi-cdnet-compact", {}),
    ("ac-cdnet-compact", {"added_convolution": 3}),
    ("mi-cdnet-compact", {"bands": (*STACK_BANDS, "elevation", "slope", "coherence")}),
    ("dednet-hrnet-w48", {"backbone": "hrnet_w18_small", **NARROW}),
    ("dednet-resnet50", {"backbone": "resnet18", **NARROW}),
    ("dednet-drn", {"backbone": "drn_d_22", **NARROW}),
    ("cdnet-xception", {"backbone": "xception41", **NARROW}),
    ("dednet-vit", {"backbone": "vit_tiny", **NARROW}),
]


@pytest.mark.parametrize(("name", "options"), SYSTEMS)
def test_loss_falls_and_every_parameter_learns(name: str, options: dict) -> None:
    network = checks.network(name, **options)
    first, *_, last = checks.losses(network)
    assert last < first
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_level_without_its_block_is_the_true_colour_one() -> None:
    only_high = checks.network("dednet-compact-block2")
    assert isinstance(only_high.block1, NoBlock)
    low1, low2 = torch.rand(2, 1, 24, 4, 4)
    assert only_high.block1(low1, low2) is low1
    only_low = checks.settled(checks.network("dednet-compact-block1"))
    seen: list[torch.Tensor] = []
    only_low.block2.register_forward_hook(lambda _, __, output: seen.append(output))
    stack = torch.rand(1, 6, 64, 64)
    changed = stack.clone()
    changed[:, 3:] = 0.0
    with torch.no_grad():
        assert not torch.equal(only_low(stack), only_low(changed))
    assert torch.equal(*seen)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("dednet-compact", {"blocks": ()}, "cdnet"),
        ("dednet-compact", {"blocks": (1, 3)}, "blocks are 1 and 2"),
        ("dednet-compact", {"unfused": "sum"}, "unfused"),
        ("ac-cdnet-compact", {"added_convolution": 2}, "odd"),
        ("cdnet-compact", {"bands": STACK_BANDS[:4]}, "statistics of 6"),
        ("dednet-drn", {"output_stride": 16}, "output stride 8"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        create_network(name, checks.statistics(6), **options)


# exported -----------------------------------------------------------------------------------------------------------------


def cut_short(network: Network) -> Network:
    """An Xception without repetitions of the same block: random weights that deep make much of each rounding."""
    del network.encoder.coarse[3:10]
    return network


def test_a_deep_backbone_comes_back(tmp_path: Path) -> None:
    options = {"backbone": "xception41", "output_stride": 16}
    checks.exported(checks.settled(checks.network("mi-cdnet-hrnet-w48", **NARROW, **options)), tmp_path / "deep")


EXPORTED = [
    ("cdnet-hrnet-w48", {"backbone": "hrnet_w18_small"}),
    ("cdnet-nir-hrnet-w48", {"backbone": "resnet18", "output_stride": 16}),
    ("cdnet-drn", {"backbone": "drn_d_22"}),
    ("mi-cdnet-hrnet-w48", {"backbone": "xception41", "output_stride": 16}),
    ("ac-cdnet-hrnet-w48", {"backbone": "vit_tiny", "output_stride": 16}),
]


@pytest.mark.parametrize(("name", "options"), EXPORTED, ids=[f"{name}-{options['backbone']}" for name, options in EXPORTED])
def test_it_runs_in_detect_as_in_torch(name: str, options: dict, tmp_path: Path) -> None:
    network = checks.network(name, **NARROW, **options)
    is_deep = options["backbone"] == "xception41"
    network = checks.settled(cut_short(network) if is_deep else network)
    card = (checks.write if is_deep else checks.exported)(network, tmp_path / "small")
    assert card.bands == network.bands
    assert list(card.document["normalisation"]["mean"]) == list(network.bands)
    assert checks.disagreement(network, card) < 1e-4

    red = np.random.default_rng(4).uniform(0.05, 0.6, (64, 64)).astype(np.float32)
    write_stack(tmp_path / "stack.tif", red)
    job = DetectJob(str(tmp_path / "stack.tif"), str(tmp_path / "tiles.gpkg"), str(tmp_path / "probability.tif"), str(card.folder))
    assert detect(replace(job, device="cpu"), SilentReporter())["tiles"] == 1
    with rasterio.open(tmp_path / "stack.tif") as source, rasterio.open(tmp_path / "probability.tif") as written:
        stack = source.read([STACK_BANDS.index(band) + 1 for band in network.bands])[None]
        with torch.no_grad():
            expected = torch.sigmoid(network(torch.from_numpy(stack)))[0, 0].numpy()
        assert np.abs(written.read(1) * written.scales[0] - expected).max() < 0.01
