"""Work on many geometries at a time: shapely and PROJ let other threads run while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_threads(work: Callable[[slice], T], count: int, at_once: int, check: Callable[[], None] = lambda: None) -> list[T]:
    """What ``work`` makes of 0 ... count - 1, slice by slice of ``at_once``, in order.

    ``check`` is called in between and may raise to stop; what has not begun by then does not begin.
    """
    slices = [slice(start, start + at_once) for start in range(0, count, at_once)]
    results: list[T] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # more of them only wait for each other
        try:
            for result in pool.map(work, slices):
                results.append(result)
                check()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
