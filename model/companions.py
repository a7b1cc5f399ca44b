"""The processes of a training on several devices. Lightning would run the command line again, which QGIS gives once, through a pipe."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import timedelta
from typing import Any

from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed

from engine.reporting import Reporter, SilentReporter
from model.training_settings import Plan

Fit = Callable[[Plan, Reporter, int, int], Any]
"""A process's part: plan, reporter, number of the process, port."""
SECONDS_TO_WAIT = 300


class Companion(ClusterEnvironment):
    """A process among those that :func:`companions` started, for Lightning, which would run the command line again."""

    def __init__(self, rank: int, port: int) -> None:
        self._rank, self._port, self._size = rank, port, 1

    creates_processes_externally = True
    main_address = "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self._port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._size

    def set_world_size(self, size: int) -> None:
        self._size = size

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        setattr(rank_zero_only, "rank", rank)  # noqa: B010 as Lightning keeps it

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


def strategy() -> DDPStrategy:
    return DDPStrategy(find_unused_parameters=True, timeout=timedelta(seconds=SECONDS_TO_WAIT))


@contextmanager
def companions(plan: Plan, fit: Fit) -> Iterator[int]:
    """Start the other processes of a training on several devices; the port by which all find each other, 0 where there is one only."""
    if plan.hardware.processes == 1:
        yield 0
        return
    port = find_free_network_port()
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_accompany, args=(fit, plan, rank, port), daemon=False) for rank in range(1, plan.hardware.processes)]
    try:
        for other in others:
            other.start()
        yield port
        for other in others:
            other.join(SECONDS_TO_WAIT)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()  # else the next training of this process would wait for processes that are gone
        for other in others:
            if other.is_alive():
                other.kill()


def _accompany(fit: Fit, plan: Plan, rank: int, port: int) -> None:
    """What another process than the first does; its network came in memory that both would write to."""
    plan = dataclasses.replace(plan, network=deepcopy(plan.network))
    with quiet():
        fit(plan, SilentReporter(), rank, port)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's remarks are for programmers; what a person should know, the reporter says."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric", "torch.distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
