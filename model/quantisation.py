"""A network that computes in 8 bits: ONNX with quantisation and dequantisation nodes, calibrated on real tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

METHODS = {"percentile": CalibrationMethod.Percentile, "minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy}
"""How the range of an activation follows from the tiles."""
PERCENTILE = 99.99
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
IN_FLOAT = {
    "nothing": "",
    "edges": "the first and the last layers",
    "grouped": "the first and the last layers and all grouped (depthwise) convolutions, whose few weights have wide ranges",
    "early": "the last layers, the first nine on each way, and all grouped (depthwise) convolutions",
}
"""What stays in float32 beside normalisation and sigmoid, from the fastest to the most faithful."""
EARLY = 9
QUANTISED = (*WEIGHTED, "Add", "AveragePool", "Concat", "GlobalAveragePool", "MaxPool", "Mul", "Resize")


class Tiles(CalibrationDataReader):
    """Tiles (bands, rows, cols), handed to onnxruntime one at a time: it keeps all activations of what it gets at once."""

    def __init__(self, tiles: Sequence[NDArray[np.float32]]) -> None:
        self._tiles = tiles
        self._coming = iter(tiles)

    def __len__(self) -> int:
        return len(self._tiles)

    def set_range(self, start_index: int, end_index: int) -> None:
        """The tiles that come next."""
        self._coming = iter(self._tiles[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """The next tile, None after the last."""
        tile = next(self._coming, None)
        return None if tile is None else {"stack": tile[None]}


class Quantisation:
    """What it takes to let a network compute in 8 bits: its graph as onnxruntime loads it, and tiles to calibrate it on.

    Weights get a scale for each output channel and 7 of the 8 bits: processors without VNNI add pairs of products in 16 bits, which would
    overflow. Normalisation and sigmoid stay in float32.

    Parameters
    ----------
    model : of :func:`model.export.onnx_model`
    tiles : (bands, rows, cols) as the network takes them, of training samples
    folder : for what is kept between the tries
    """

    def __init__(self, model: ModelProto, tiles: Sequence[NDArray[np.float32]], folder: Path) -> None:
        self._tiles, self._folder = tiles, folder
        self._prepared = folder / "prepared.onnx"
        _fold_constants(model, self._prepared)
        self._graph = onnx.load(self._prepared)

    def model(self, method: str, in_float: str) -> ModelProto:
        """The network in 8 bits.

        Parameters
        ----------
        method : one of ``METHODS``
        in_float : one of ``IN_FLOAT``
        """
        answer = self._folder / "quantised.onnx"
        quantize_static(
            str(self._prepared),
            str(answer),
            Tiles(self._tiles),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_kept_in_float(self._graph, tuple(IN_FLOAT).index(in_float)),
            extra_options={"CalibStridedMinMax": 1, "CalibPercentile": PERCENTILE},
            calibration_cache_path=self._folder / f"{method}.json",
        )
        found = onnx.load(answer)
        used = {node.domain for node in found.graph.node}
        for opset in [opset for opset in found.opset_import if opset.domain and opset.domain not in used]:
            found.opset_import.remove(opset)
        return found


def _fold_constants(model: ModelProto, path: Path) -> None:
    """Write what onnxruntime makes of a network whatever it runs on: constants computed, batch norms in the convolutions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _kept_in_float(model: ModelProto, level: int) -> list[str]:
    """Names of the nodes before the first weighted layers and behind the last ones, and of the layers that a level keeps in float32."""
    ahead, behind = _weighted_layers_passed(model, backwards=False), _weighted_layers_passed(model, backwards=True)
    kept = []
    for node in model.graph.node:
        is_weighted = node.op_type in WEIGHTED
        is_edge = min(ahead[node.name], behind[node.name]) == 0 and (not is_weighted or level >= 1)
        is_grouped = level >= 2 and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        is_early = level >= 3 and ahead[node.name] < EARLY
        if is_edge or is_grouped or is_early:
            kept.append(node.name)
    return kept


def _weighted_layers_passed(model: ModelProto, backwards: bool) -> dict[str, int]:
    """Name of a node -> weighted layers on the longest way to it, from the input or from the output, without itself."""
    passed: dict[str, int] = {}
    values: dict[str, int] = {}
    for node in reversed(model.graph.node) if backwards else model.graph.node:
        come, go = (node.output, node.input) if backwards else (node.input, node.output)
        passed[node.name] = max((values.get(name, 0) for name in come), default=0)
        for name in go:
            values[name] = max(values.get(name, 0), passed[node.name] + (node.op_type in WEIGHTED))
    return passed
