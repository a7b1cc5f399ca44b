"""Batch norms that follow a convolution: folded into it, and told apart again."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.networks.network import Network

SPECTRAL = ("nir", "evi", "savi")
"""What a stack has of near-infrared."""
SIDE = 64
"""Pixels of the tile that is run to see what follows what."""


@torch.no_grad()
def norms_after_convolutions(network: Network) -> dict[str, str]:
    """Name of a convolution -> name of the batch norm that takes its output. Those that are run more than once are left out."""
    made_by: dict[int, str] = {}
    kept: list[Tensor] = []  # as long as a tensor lives, no other one has its id
    found: dict[str, str] = {}
    runs: Counter[str] = Counter()
    hooks = []

    def after_convolution(name: str) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            runs[name] += 1
            kept.append(output)
            made_by[id(output)] = name

        return note

    def before_norm(name: str) -> Any:
        def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            runs[name] += 1
            if (convolution := made_by.get(id(inputs[0]))) is not None:
                found[convolution] = name

        return note

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after_convolution(name)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before_norm(name)))
    was_training = network.training
    try:
        network.eval()(torch.rand(1, len(network.bands), SIDE, SIDE))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return {convolution: norm for convolution, norm in found.items() if runs[convolution] == runs[norm] == 1}


def folded(network: Network) -> Network:
    """A copy that computes the same without the batch norms that follow a convolution."""
    network = copy.deepcopy(network).eval()
    modules = dict(network.named_modules())
    for convolution, norm in norms_after_convolutions(network).items():
        _replace(network, convolution, fuse_conv_bn_eval(modules[convolution], modules[norm]))
        _replace(network, norm, nn.Sequential(*modules[norm].children()))  # timm's have their activation inside
    return network


def make_identity(norm: nn.BatchNorm2d, bias: Tensor) -> None:
    """Let a batch norm only add a bias (channels,) or (1,), as long as it is not trained."""
    with torch.no_grad():
        for values, wanted in ((norm.running_mean, 0.0), (norm.running_var, 1.0 - norm.eps), (norm.weight, 1.0)):
            assert values is not None
            values.fill_(wanted)
        norm.bias.copy_(bias)


def keep_batch_norms(network: nn.Module) -> None:
    """Let the batch norms of a network keep their statistics while the rest is trained: of few samples, a batch's own mislead.

    Whatever is in training mode already has to be put into it again.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            _keep(module)


def keep_identities(network: nn.Module) -> None:
    """Let the batch norms that :func:`make_identity` made stay what they are: a batch's own statistics would make another function."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and _is_identity(module):
            _keep(module)


def keep_spectral(network: nn.Module, unseen: Collection[str]) -> None:
    """Let the branches of a network that see near-infrared and its indices alone stay as they are, where these are ``unseen``.

    Their input is the same everywhere. Batch norms would divide by next to nothing, and multiply with it how far their running mean is
    behind the weights: then the network that is used says something else than the one that is trained.
    """
    if not set(unseen) >= set(SPECTRAL):
        return
    for name, module in network.named_children():
        if "spectral" in name:
            module.requires_grad_(False)
            keep_batch_norms(module)


def _is_identity(norm: nn.BatchNorm2d) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    return mean is not None and variance is not None and not mean.any() and bool((variance == torch.tensor(1.0 - norm.eps)).all())


def _keep(norm: nn.BatchNorm2d) -> None:
    if not isinstance(norm, _Kept):
        norm.__class__ = _kept(type(norm))


def _kept(kind: type[nn.BatchNorm2d]) -> type[nn.BatchNorm2d]:
    return type(f"Kept{kind.__name__}", (_Kept, kind), {})


def _new_kept(kind: type[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    new_kind = _kept(kind)
    return new_kind.__new__(new_kind)


class _Kept(nn.Module):
    def train(self, mode: bool = True) -> Any:  # noqa: ARG002 whatever is asked for
        return super().train(False)

    def __reduce__(self) -> Any:  # no import finds its class, as the processes of other GPUs would
        return _new_kept, (type(self).__bases__[1],), self.__dict__


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
