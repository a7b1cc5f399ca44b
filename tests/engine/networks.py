"""Small networks and stacks whose answers are known by construction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import rasterio
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rasterio.transform import from_origin

from jobs import STACK_BANDS

BACKGROUND, OBJECT = 0.1, 0.45
"""Reflectance that :func:`pointwise` turns into probability 0 and 1."""
TILE = 32
GSD = 10.0
UTM = "EPSG:32632"
NORTH_UP = from_origin(500_000, 5_000_000, GSD, GSD)


def write_model(folder: Path, network: onnx.ModelProto, **changes: Any) -> Path:
    """A model folder; ``changes`` replace values of the card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network.SerializeToString())
    card = {
        "format": 1,
        "name": folder.name,
        "title": "Known by construction",
        "version": "1",
        "bands": list(STACK_BANDS),
        "nir": "optional",
        "gsd_m": GSD,
        "tile_px": TILE,
        "overlap": 50.0,
        "threshold": 0.5,
        "licence": "GPL-2.0-or-later",
        "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        **changes,
    }
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def pointwise(band: str = "red", bands: tuple[str, ...] = STACK_BANDS) -> onnx.ModelProto:
    """Probability = clip((band - 0.2) * 4, 0, 1), NaN as 0; ``band`` is one of the network's ``bands``."""
    return _network(_band_without_nan(band, bands) + _affine("band", 4.0, -0.8, "scaled") + [_clip("scaled")], channels=len(bands))


def tile_mean() -> onnx.ModelProto:
    """Probability = mean of red over the tile, the same for all its pixels: what image pooling does."""
    return _network(
        [
            *_band_without_nan("red"),
            helper.make_node("GlobalAveragePool", ["band"], ["mean"]),
            helper.make_node("Shape", ["band"], ["shape"]),
            helper.make_node("Expand", ["mean", "shape"], ["probability"]),
        ]
    )


def constant(value: float) -> onnx.ModelProto:
    """The same value everywhere; a probability or not."""
    return _network(_band_without_nan("red") + _affine("band", 0.0, value, "probability"))


def convolutions(seed: int = 0) -> onnx.ModelProto:
    """Two 3 x 3 convolutions with image pooling in between and a sigmoid: the arithmetic of a real network."""
    rng = np.random.default_rng(seed)
    weights = {"first": rng.normal(size=(16, 6, 3, 3)), "second": rng.normal(size=(1, 16, 3, 3)) / 4}
    nodes = [
        helper.make_node("IsNaN", ["stack"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "stack"], ["known"]),
        helper.make_node("Conv", ["known", "first"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Sub", ["active", "pooled"], ["centred"]),
        helper.make_node("Conv", ["centred", "second"], ["logit"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    return _network(nodes, [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])


def every_other_row() -> onnx.ModelProto:
    """An answer of half the height that it should have, which only shows when it is run."""
    bounds = [numpy_helper.from_array(np.array([value]), name) for name, value in (("start", 0), ("end", 2**31), ("rows", 2), ("step", 2))]
    nodes = [*_band_without_nan("red"), helper.make_node("Slice", ["band", "start", "end", "rows", "step"], ["probability"])]
    return _network(nodes, bounds)


def without_probability() -> onnx.ModelProto:
    """A network whose output has another name."""
    return _network(_band_without_nan("red") + _affine("band", 1.0, 0.0, "logits"), output="logits")


def _band_without_nan(band: str, bands: tuple[str, ...] = STACK_BANDS) -> list[onnx.NodeProto]:
    index = bands.index(band)
    return [
        helper.make_node("Constant", [], ["index"], value=numpy_helper.from_array(np.array([index]))),
        helper.make_node("Gather", ["stack", "index"], ["one"], axis=1),
        helper.make_node("IsNaN", ["one"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "one"], ["band"]),
    ]


def _affine(source: str, factor: float, offset: float, target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], ["factor"], value=numpy_helper.from_array(np.float32(factor))),
        helper.make_node("Constant", [], ["offset"], value=numpy_helper.from_array(np.float32(offset))),
        helper.make_node("Mul", [source, "factor"], ["product"]),
        helper.make_node("Add", ["product", "offset"], [target]),
    ]


def _clip(source: str) -> onnx.NodeProto:
    return helper.make_node("Clip", [source, "zero", "unity"], ["probability"])


def _network(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto] | None = None,
    output: str = "probability",
    channels: int = len(STACK_BANDS),
) -> onnx.ModelProto:
    numbers = [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("unity", 1))]
    stack = helper.make_tensor_value_info("stack", TensorProto.FLOAT, ["batch", channels, "rows", "columns"])
    answer = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 1, "rows_out", "columns_out"])
    graph = helper.make_graph(nodes, "known", [stack], [answer], [*numbers, *(constants or [])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_stack(
    path: Path,
    red: NDArray[np.floating[Any]],
    names: tuple[str | None, ...] = STACK_BANDS,
    others: float = 0.3,
    dtype: str = "float32",
    nodata: float | None = np.nan,
    **profile: Any,
) -> Path:
    """A stack of bands that are ``others`` everywhere but for the first, (rows, cols) red; unobserved where red is NaN."""
    rows, columns = red.shape
    bands = np.full((len(names), rows, columns), others)
    bands[:, np.isnan(red)] = np.nan
    bands[0] = red
    if nodata is not None and not np.isnan(nodata):
        bands[np.isnan(bands)] = nodata
    settings = {"crs": UTM, "transform": NORTH_UP, "nodata": nodata, "dtype": dtype, **profile}
    with rasterio.open(path, "w", driver="GTiff", width=columns, height=rows, count=len(names), **settings) as dataset:
        dataset.write(bands.astype(dtype))
        for band, name in enumerate(names, 1):
            if name is not None:
                dataset.set_band_description(band, name)
    return path


def landscape(rows: int, columns: int, *objects: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """(rows, cols) red reflectance of background with rectangles: first row, first column, rows, columns."""
    red = np.full((rows, columns), BACKGROUND, np.float32)
    for row, column, height, width in objects:
        red[row : row + height, column : column + width] = OBJECT
    return red
