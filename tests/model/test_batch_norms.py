"""Batch norms that stay as they are while the rest is trained."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import Tensor, nn

from model.batch_norms import keep_batch_norms, keep_identities, keep_spectral, make_identity


class TwoBranches(nn.Module):
    """Colours, and a spectral branch whose pooling sees one value of each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.true_colour = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.spectral = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, stack: Tensor) -> Tensor:
        return self.head(self.true_colour(stack[:, :3]) + self.spectral(stack[:, 3:]))


def difference_after_training(network: TwoBranches, seed: int) -> float:
    """Between what the network says as it is trained and as it is used, in shares of how much that varies, where no NIR is seen."""
    torch.manual_seed(seed)
    optimiser = torch.optim.Adam([parameter for parameter in network.parameters() if parameter.requires_grad], 0.05)
    for _ in range(30):
        stack = torch.cat([torch.rand(8, 3, 8, 8), torch.full((8, 3, 8, 8), 0.4)], 1)
        loss = (network.train()(stack) - stack[:, :1]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        trained, used = network.train()(stack), network.eval()(stack)
    return float((trained - used).abs().mean() / trained.std())


def test_a_branch_that_sees_nothing_does_not_drown_the_rest() -> None:
    """In the mean of some networks: how much a single one is off is chance."""
    torch.set_num_threads(1)
    careless, kept = [], []
    for seed in range(1, 6):
        torch.manual_seed(seed)
        network = TwoBranches()
        careless.append(difference_after_training(copy.deepcopy(network), seed))
        keep_spectral(network, ("nir", "evi", "savi"))
        before = copy.deepcopy(network.state_dict())
        kept.append(difference_after_training(network, seed))
        changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert "true_colour.0.weight" in changed
        assert not any(name.startswith("spectral") for name in changed)
    assert sum(careless) > 3 * sum(kept)


def test_a_branch_that_sees_something_is_trained() -> None:
    network = TwoBranches()
    keep_spectral(network, ("evi", "savi"))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_only_identities_are_kept() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2, eps=1e-3), nn.BatchNorm2d(2)).train()
    make_identity(network[0], torch.tensor([3.0, -1.0]))
    keep_identities(network)
    stack = torch.rand(2, 2, 4, 4)
    network.train()
    assert (network[0].training, network[1].training) == (False, True)
    torch.testing.assert_close(network[0](stack), stack + torch.tensor([3.0, -1.0]).reshape(1, 2, 1, 1))


def test_what_is_kept_is_kept_in_other_processes() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    keep_batch_norms(network)
    for again in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network), copy.deepcopy(copy.deepcopy(network))):
        assert not again.train()[1].training
        assert torch.equal(again[1].weight, network[1].weight) and again[1].weight is not network[1].weight
        assert again.state_dict().keys() == network.state_dict().keys()
