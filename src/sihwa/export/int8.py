"""The INT8 model of an inspector's graph: NNCF's post-training quantisation, kept honest.

The convolutional trunk is quantised; preprocessing, classifier and unknown score are not, and are
fitted again to what the quantised trunk gives. Close calls of the INT8 model are re-run in float32:
see docs/decisions/0014-a-second-pass.md.

Axes: N images, H and W image size, K classes, D embedding width.
"""

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import onnxscript.optimizer
from numpy.typing import NDArray

from sihwa.decision import Margin, TopClassPolicy
from sihwa.errors import PackageMissing
from sihwa.export.refit import refit_readers
from sihwa.inspector import TOLERANCE, in_other_sizes
from sihwa.terminal.progress import progress_bar
from sihwa.terminal.quiet import quieten

log = logging.getLogger(__name__)

# importing NNCF has PyTorch say, too, that a machine without a GPU has none
_CHATTY = ("nncf", "torch.utils.cpp_extension")
_RANGED = 40  # batches that the ranges of activations are taken from
_FIRST = (1, 3, 8)  # convolutions, counted from the image, that stay in float32
_FOLDED = 2**24  # numbers in a tensor
_PRUDENCE = 1.5  # other images and other runtimes may err a little more
_KEPT_TO = 0.5  # of the tolerance, which other images than these must keep to as well

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Int8Model:
    """A graph in 8-bit integers.

    Attributes:
        graph: ONNX with QuantizeLinear and DequantizeLinear, without metadata.
        float32_layers: Convolutions of the trunk that stayed in float32.
        layers: Convolutions of the trunk.
        margin: A decision nearer than this to a border needs a second pass, in float32.
        second_looks: Share of the calibration images that need one, in [0, 1].
    """

    graph: bytes
    float32_layers: int
    layers: int
    margin: Margin
    second_passes: float


class _Readings(NamedTuple):
    """What a graph says of images of any size: (N, K), (N,) and (N, D)."""

    probability: NDArray[np.float32]
    unknown: NDArray[np.float32]
    embedding: NDArray[np.float32]


def quantise_graph(
    graph: bytes,
    training: Sequence[Images],
    calibration: Sequence[Images],
    policy: TopClassPolicy,
) -> list[Int8Model]:
    """Quantise a graph in several ways, with the margins that make each decide alike.

    More in 8 bits is quicker and needs more second passes; which is the best, the clock decides.

    Weights take 7 of the 8 bits: processors without VNNI add two products in 16 bits, which
    overflow otherwise, and an INT8 model must decide alike on both kinds.

    Args:
        graph: ONNX without metadata.
        training: Images that the INT8 model is fitted to, (N, H, W, 3) each.
        calibration: Images that it is judged by, (N, H, W, 3) each.
        policy: Turns outputs into decisions.

    Raises:
        PackageMissing: NNCF is not installed.
    """
    nncf = _import_nncf()
    model = _folded(onnx.load_from_string(graph))
    fitted, judged = _in_sizes(training), _in_sizes(calibration)
    count = sum(map(len, fitted)) + sum(map(len, judged))
    int8_models = []
    with progress_bar("quantising", count * (1 + len(_FIRST))) as advance:
        aim, reference = _read(graph, fitted, advance), _read(graph, judged, advance)
        for first in _FIRST:
            quantised = _quantise(nncf, model, training, first)
            embedding = _read(quantised.SerializeToString(), fitted, advance).embedding
            refit_readers(quantised, embedding, aim.embedding)
            _tidy(quantised)
            readings = _read(quantised.SerializeToString(), judged, advance)
            margin = _margin(readings, reference, policy)
            if not np.isfinite(margin).all():
                log.warning("8 bits, float32 up to convolution %d: it gives no numbers", first)
                continue
            close = policy.is_close(readings.probability, readings.unknown, margin)
            share = float(close[: sum(map(len, calibration))].mean())
            log.info(
                "8 bits, float32 up to convolution %d: alone it would flip %d of %d decisions on "
                "calibration images; a second pass at close calls, %.1f %% of those in their own "
                "size, leaves none",
                *(first, _count_flips(readings, reference, policy), len(close), 100 * share),
            )
            graph_in_8_bits = quantised.SerializeToString(deterministic=True)
            layers, in_float32 = _count_layers(quantised)
            int8_models.append(Int8Model(graph_in_8_bits, in_float32, layers, margin, share))
    return int8_models


def _quantise(
    nncf: Any,  # noqa: ANN401 -- a module without types
    model: onnx.ModelProto,
    batches: Sequence[Images],
    first: int,
) -> onnx.ModelProto:
    with quieten(*_CHATTY), contextlib.redirect_stdout(io.StringIO()):
        quantised: onnx.ModelProto = nncf.quantize(
            model,
            nncf.Dataset(batches[:: -(-len(batches) // _RANGED)], lambda batch: {"image": batch}),
            target_device=nncf.TargetDevice.CPU,
            subset_size=_RANGED,
            ignored_scope=nncf.IgnoredScope(names=outside_the_trunk(model, first)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    return quantised


def _in_sizes(batches: Sequence[Images]) -> list[Images]:
    """Return the batches, then the same images in other sizes, as the proof has them."""
    resized = [
        images for batch in batches for _, images in in_other_sizes([""] * len(batch), batch)
    ]
    return [*batches, *resized]


def _read(graph: bytes, batches: Iterable[Images], advance: Callable[[int], None]) -> _Readings:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    parts = []
    for batch in batches:
        parts.append(_Readings(*session.run(list(_Readings._fields), {"image": batch})))
        advance(len(batch))
    return _Readings(*map(np.concatenate, zip(*parts, strict=True)))


def _count_flips(readings: _Readings, reference: _Readings, policy: TopClassPolicy) -> int:
    ours, theirs = (policy.decide(each.probability, each.unknown) for each in (readings, reference))
    return sum(one != other for one, other in zip(ours, theirs, strict=True))


def _margin(readings: _Readings, reference: _Readings, policy: TopClassPolicy) -> Margin:
    """Return within what margin the INT8 model needs a second pass.

    Farther from a border than the most that it overstates that distance, no decision flips. And
    where a probability strays too far from the exact one, the exact one is wanted, too.
    """
    overstated = policy.overstated(
        readings.probability, readings.unknown, reference.probability, reference.unknown
    )
    unknown = _PRUDENCE * float(overstated.unknown.max())
    strays = np.abs(readings.probability - reference.probability).max(1)
    distance = policy.distances(readings.probability, readings.unknown)
    too_far = (strays > _KEPT_TO * TOLERANCE["int8"]) & (distance.unknown > unknown)
    lead = max(
        _PRUDENCE * float(overstated.lead.max()), float(distance.lead[too_far].max(initial=0))
    )
    return Margin(lead, unknown)


def outside_the_trunk(model: onnx.ModelProto, first: int) -> list[str]:
    """Return the names of the operators that stay in float32: all but the convolutional trunk.

    The trunk is what lies between the first convolution and the last; the one that makes the
    evidence map comes after it. Of the trunk the first convolutions stay in float32 too.
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
    trunk = (behind & before) - {node.name for node in convolutions[:first]}
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
    """Return how many convolutions the trunk has, and how many take float32 images."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    inputs = [
        made_by.get(node.input[0])
        for node in model.graph.node
        if node.op_type == "Conv" and "evidence" not in node.output
    ]
    return len(inputs), sum(maker != "DequantizeLinear" for maker in inputs)


def _import_nncf() -> Any:  # noqa: ANN401 -- a module without types
    # it reports each use to a statistics service unless this is set when it is imported
    os.environ.setdefault("NNCF_CI", "1")
    try:
        with quieten(*_CHATTY), contextlib.redirect_stdout(io.StringIO()):
            import nncf
    except ModuleNotFoundError as error:
        raise PackageMissing(
            'export.int8=true needs NNCF, which is not installed: pip install "sihwa[train]"'
        ) from error
    return nncf
