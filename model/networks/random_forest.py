"""Random forest on the bands of each pixel, one of the systems of Maslov and Schellenberger (2022)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from model.networks.backbones import Pretrained
from model.networks.bands import FEATURE_SETS
from model.networks.network import BandStatistics, MinMaxNormalisation, Network

Array = NDArray[np.float32]
CERTAIN = 1e-6
"""Probability below which a forest does not go, so that there is a logit."""
OPSETS = {"": 18, "ai.onnx.ml": 1}


@dataclass(frozen=True)
class RandomForestOptions:
    """How the forest grows.

    Parameters
    ----------
    bands : names of the bands it reads, see ``FEATURE_SETS``
    trees : their number
    smallest_leaf : pixels that a leaf holds at least; more give a smaller file and smoother probabilities
    pixels_per_sample : pixels drawn at random from each sample, at most; neighbours tell nearly the same
    """

    bands: tuple[str, ...] = FEATURE_SETS["optical"]
    trees: int = 100
    smallest_leaf: int = 20
    pixels_per_sample: int = 1000


class Filled(MinMaxNormalisation):
    """What was not observed becomes the samples' mean; a tree does not care for scale."""

    kind = "none; not observed = mean of the training samples"

    def forward(self, stack: Tensor) -> Tensor:
        return torch.where(torch.isfinite(stack), stack, self.mean)


class RandomForest(Network):
    """A forest that is fitted once (:meth:`fit`) instead of trained step by step; otherwise a network like the others.

    ``forward``: stack (N, bands, rows, cols), NaN where not observed -> logit (N, 1, rows, cols), without gradients. What was not
    observed is the samples' mean, as in the other networks. The state (``state_dict``) is the ONNX graph itself: what is kept,
    evaluated and exported is the same, and no pickle.

    Parameters
    ----------
    options : how the forest grows
    statistics : of the training samples
    pretrained : there are no such forests; of no effect

    Source
    ------
    Breiman (2001), Random forests; scikit-learn, skl2onnx. The mean of the trees' shares is the probability.
    """

    options: RandomForestOptions
    variants: ClassVar = {"random_forest": RandomForestOptions()}

    def __init__(self, options: RandomForestOptions, statistics: BandStatistics, pretrained: Pretrained = False) -> None:
        super().__init__(options, statistics, options.bands)
        self.normalise = Filled(statistics)
        self._graph = b""
        self._session: Any = None

    def fit(self, batches: Iterable[tuple[Array, Array, Array]], seed: int = 1) -> None:
        """Grow the forest.

        Parameters
        ----------
        batches : stack (N, bands, rows, cols), truth and weight (N, 1, rows, cols) as a network's training takes them; pixels of
            weight 0 are left out
        seed : of the pixels that are drawn and of the trees

        Raises
        ------
        ValueError
            when no pixel counts, or all are of one class.
        """
        rng = np.random.default_rng(seed)
        drawn = [self._pixels(*sample, rng) for batch in batches for sample in zip(*batch, strict=True)]
        features = np.concatenate([values for values, _ in drawn]) if drawn else np.empty((0, len(self.bands)), np.float32)
        labels = np.concatenate([truth for _, truth in drawn]) if drawn else np.empty(0, bool)
        if labels.all() or not labels.any():
            raise ValueError(
                f"a forest needs pixels of rock glacier and of background; of {len(labels)} pixels {labels.sum()} are rock glacier"
            )
        options = self.options
        forest = RandomForestClassifier(
            options.trees, min_samples_leaf=options.smallest_leaf, max_features="sqrt", n_jobs=-1, random_state=seed
        )
        self.take_onnx_model(_whole_graph(forest.fit(features, labels), self.normalise.mean.flatten().numpy()))

    def onnx_model(self, temperature: float = 1.0) -> onnx.ModelProto:
        """The fitted forest as the engine runs it: input ``stack`` (N, bands, rows, cols), output ``probability`` (N, 1, rows, cols).

        Parameters
        ----------
        temperature : by which its logit is divided, see :mod:`model.calibration`

        Raises
        ------
        ValueError
            when it is not fitted.
        """
        if not self._graph:
            raise ValueError("the random forest is not fitted")
        model = onnx.load_from_string(self._graph)
        (place,) = (tensor for tensor in model.graph.initializer if tensor.name == "temperature")
        place.CopyFrom(onnx.numpy_helper.from_array(np.asarray(temperature, np.float32), "temperature"))
        return model

    def take_onnx_model(self, model: onnx.ModelProto) -> None:
        """Become the forest that :meth:`onnx_model` gave, with any temperature and any metadata."""
        self._graph = model.SerializeToString()
        plain = self.onnx_model()
        del plain.metadata_props[:]
        self._load(plain.SerializeToString())

    def forward(self, stack: Tensor) -> Tensor:
        if self._session is None:
            raise ValueError("the random forest is not fitted")
        (probability,) = self._session.run(["probability"], {"stack": stack.detach().cpu().float().numpy()})
        return torch.logit(torch.from_numpy(probability), eps=CERTAIN).to(stack.device)

    def get_extra_state(self) -> Tensor:
        """The ONNX graph as bytes, for ``state_dict``."""
        return torch.frombuffer(bytearray(self._graph), dtype=torch.uint8) if self._graph else torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the graph of a ``state_dict``."""
        self._load(state.cpu().numpy().tobytes())

    def _pixels(self, stack: Array, truth: Array, weight: Array, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """Some pixels of a sample: values (n, bands), True for rock glacier (n,)."""
        places = np.flatnonzero(weight[0] > 0)
        places = rng.permutation(places)[: self.options.pixels_per_sample]
        values = self.normalise(torch.from_numpy(stack)[None])[0].flatten(1).numpy()
        return values[:, places].T, truth.ravel()[places] > 0.5

    def _load(self, graph: bytes) -> None:
        self._graph = graph
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]) if graph else None


def _whole_graph(forest: RandomForestClassifier, mean: Array) -> onnx.ModelProto:
    """skl2onnx's forest of pixels, between what makes pixels of an image and an image of their shares."""
    bands = len(mean)
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : {OPSETS[""]}, "ai.onnx.ml" : {OPSETS["ai.onnx.ml"]}]>
        random_forest (float[batch, {bands}, rows, columns] stack) => (float[batch, 1, rows, columns] probability)
        <float[1, {bands}, 1, 1] mean = {{{", ".join(f"{value:.9e}" for value in mean)}}},
         int64[2] pixels_by_bands = {{-1, {bands}}}, int64[1] zero = {{0}}, int64[1] one = {{1}}, int64 rock_glacier = {{1}},
         float whole = {{1.0}}, float lowest = {{{CERTAIN}}}, float highest = {{{1 - CERTAIN}}}, float temperature = {{1.0}}>
        {{
            nan = IsNaN (stack)
            infinite = IsInf (stack)
            missing = Or (nan, infinite)
            observed = Where (missing, mean, stack)
            bands_last = Transpose <perm = [0, 2, 3, 1]> (observed)
            pixels = Reshape (bands_last, pixels_by_bands)
            share = Gather <axis = 1> (shares, rock_glacier)
            cut = Clip (share, lowest, highest)
            rest = Sub (whole, cut)
            odds = Div (cut, rest)
            logit = Log (odds)
            tempered = Div (logit, temperature)
            calibrated = Sigmoid (tempered)
            one_band = Slice (stack, zero, one, one)
            shape = Shape (one_band)
            probability = Reshape (calibrated, shape)
        }}
    """)
    fitted = to_onnx(
        forest,
        initial_types=[("pixels", FloatTensorType([None, bands]))],
        final_types=[("label", Int64TensorType([None])), ("shares", FloatTensorType([None, 2]))],
        options={id(forest): {"zipmap": False}},
        target_opset=OPSETS,
    )
    place = next(i for i, node in enumerate(model.graph.node) if "pixels" in node.output) + 1
    for offset, node in enumerate(fitted.graph.node):
        model.graph.node.insert(place + offset, node)
    onnx.checker.check_model(model, full_check=True)
    return model
