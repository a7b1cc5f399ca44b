"""What a tile costs a network in onnxruntime."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime

from model.export import onnx_model
from model.networks.costs import TILE_PX
from model.networks.network import Network

REPETITIONS = 3


def tile_milliseconds(network: Network, tile_px: int = TILE_PX) -> float:
    """Processor time of one core for one tile of the exported network, the best of some: what else the machine does counts little.

    Parameters
    ----------
    network : its weights do not matter, but a forest has to be fitted
    tile_px : side of the tile, pixels
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    tile = np.random.default_rng(1).random((1, len(network.bands), tile_px, tile_px), dtype=np.float32)
    graph = onnx_model(network.eval()).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        session.run(None, {"stack": tile})
        times.append(time.process_time() - start)
    return 1000 * min(times)
