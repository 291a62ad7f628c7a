"""The 8-bit twin of an inspector's graph: NNCF's post-training quantisation, kept honest.

The convolutional trunk is quantised; preprocessing, classifier and unknown score are not. Layers
whose quantisation changes decisions on the calibration pictures go back to float32, one after
another, until few enough decisions change, or until so many are back that it is not worth it.

Axes: N images, H and W picture size, K classes.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import onnxscript.optimizer
from numpy.typing import NDArray

from sihwa.decision import TopClassPolicy
from sihwa.errors import PackageMissing
from sihwa.inspector import TOLERANCE, Outputs
from sihwa.progress import progress_bar

__all__ = ["Twin", "outside_the_trunk", "quantise_graph"]

_CALIBRATED = 40  # batches that the ranges of activations are taken from
_RANKED = 8  # batches, of those that changed most, that say which layer hurts most
_MOST_REVERTED = 12  # layers; a twin that needs more in float32 is no faster
_FIRST = 3  # convolutions that see nearly the picture itself; a twin without them is much closer
_FOLDED = 2**24  # numbers in a tensor
_MARGIN = 0.8  # other pictures than these must keep to the tolerance as well


@dataclass(frozen=True)
class Twin:
    """A graph in 8-bit integers.

    Attributes:
        graph: ONNX with QuantizeLinear and DequantizeLinear, without metadata.
        float32_layers: Convolutions of the trunk that stayed in float32.
        layers: Convolutions of the trunk.
    """

    graph: bytes
    float32_layers: int
    layers: int


def quantise_graph(
    graph: bytes,
    batches: Sequence[NDArray[np.uint8]],
    policy: TopClassPolicy,
    allowed_flips: int,
) -> Twin:
    """Quantise a graph so that it decides alike on calibration pictures.

    Weights take 7 of the 8 bits: processors without VNNI add two products in 16 bits, which
    overflow otherwise, and a twin must decide alike on both kinds.

    Args:
        graph: ONNX without metadata.
        batches: Calibration pictures, (N, H, W, 3) each.
        policy: Turns outputs into decisions.
        allowed_flips: How many calibration pictures may be decided otherwise.

    Raises:
        PackageMissing: NNCF is not installed.
    """
    nncf = _import_nncf()
    model = _folded(onnx.load_from_string(graph))
    reference = [_run(_session(graph), batch) for batch in batches]
    items = list(zip(batches, reference, strict=True))
    count = sum(len(batch) for batch in batches)
    with progress_bar("quantising", None) as advance, _quiet():
        quantised = nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=nncf.Dataset(batches, lambda batch: {"image": batch}),
            validation_dataset=nncf.Dataset(items, lambda item: {"image": item[0]}),
            validation_fn=_Agreement(policy, advance),
            max_drop=(allowed_flips + 0.5) / count,
            target_device=nncf.TargetDevice.CPU,
            subset_size=_CALIBRATED,
            ignored_scope=nncf.IgnoredScope(names=outside_the_trunk(model)),
            advanced_quantization_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=_RANKED,
                max_num_iterations=_MOST_REVERTED,
                num_ranking_workers=1,
            ),
        )
    _tidy(quantised)
    layers, in_float32 = _count_layers(quantised)
    return Twin(quantised.SerializeToString(deterministic=True), in_float32, layers)


class _Agreement:
    """What NNCF is to preserve: decisions and probabilities of the float32 graph."""

    def __init__(self, policy: TopClassPolicy, advance: Callable[[int], None]) -> None:
        self._policy = policy
        self._advance = advance

    def __call__(
        self, model: onnx.ModelProto, items: Iterable[tuple[NDArray[np.uint8], Outputs]]
    ) -> tuple[float, list[float]]:
        """Return the share of pictures decided alike, and a finer figure per batch."""
        session = _session(model.SerializeToString())
        alike: list[bool] = []
        closeness: list[float] = []
        for image, reference in items:
            outputs = _run(session, image)
            difference = np.abs(outputs.probability - reference.probability).max(1)
            pairs = zip(
                self._policy.decide(outputs.probability, outputs.unknown),
                self._policy.decide(reference.probability, reference.unknown),
                difference <= _MARGIN * TOLERANCE["int8"],
                strict=True,
            )
            alike += [ours == theirs and bool(near) for ours, theirs, near in pairs]
            closeness.append(1 - float(difference.mean()))
            self._advance(len(image))
        return float(np.mean(alike)), closeness


def outside_the_trunk(model: onnx.ModelProto) -> list[str]:
    """Return the names of the operators that stay in float32: all but the convolutional trunk.

    The trunk is what lies between the first convolution and the last; the one that makes the
    evidence map comes after it. Of the trunk the first three convolutions stay in float32 too.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    used_by: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            used_by.setdefault(name, []).append(node)
    convolutions = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and "evidence" not in node.output
    ]
    behind = _reached(convolutions, lambda n: [u for o in n.output for u in used_by.get(o, [])])
    before = _reached(convolutions, lambda n: [made_by[i] for i in n.input if i in made_by])
    trunk = (behind & before) - {node.name for node in convolutions[:_FIRST]}
    return [node.name for node in model.graph.node if node.name not in trunk]


def _reached(
    start: Iterable[onnx.NodeProto], step: Callable[[onnx.NodeProto], Iterable[onnx.NodeProto]]
) -> set[str]:
    open_nodes = list(start)
    found = {node.name for node in open_nodes}
    while open_nodes:
        for node in step(open_nodes.pop()):
            if node.name not in found:
                found.add(node.name)
                open_nodes.append(node)
    return found


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute what depends on weights alone: NNCF finds no weights behind an operator."""
    return onnxscript.optimizer.optimize(model, input_size_limit=_FOLDED, output_size_limit=_FOLDED)


def _tidy(model: onnx.ModelProto) -> None:
    """Write a graph as inspectors hold it: without notes, and all numbers as raw bytes."""
    del model.metadata_props[:]
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.HasField("t")]
    for tensor in (*model.graph.initializer, *tensors):
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        )


def _count_layers(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many convolutions the trunk has, and how many take float32 pictures."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    inputs = [
        made_by.get(node.input[0])
        for node in model.graph.node
        if node.op_type == "Conv" and "evidence" not in node.output
    ]
    return len(inputs), sum(maker != "DequantizeLinear" for maker in inputs)


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, image: NDArray[np.uint8]) -> Outputs:
    return Outputs(*session.run(list(Outputs._fields), {"image": image}))


def _import_nncf() -> Any:  # noqa: ANN401 -- a module without types
    # it reports each use to a statistics service unless this is set when it is imported
    os.environ.setdefault("NNCF_CI", "1")
    try:
        with _quiet():
            import nncf
    except ModuleNotFoundError as error:
        raise PackageMissing(
            'export.int8=true needs NNCF, which is not installed: pip install "sihwa[train]"'
        ) from error
    return nncf


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's log and progress bars off the user's terminal; errors still raise.

    Importing it has PyTorch warn, too, that a machine without a GPU has none.
    """
    loggers = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
