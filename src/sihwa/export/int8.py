"""Make INT8 models of an inspector's graph, with NNCF's post-training quantisation.

Only the convolutional backbone is quantised. Preprocessing and head stay in float32, and the head
is refitted to the quantised embedding. Close calls of the INT8 model are re-run in float32: see
docs/decisions/0013-second-pass.md.

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

from sihwa.decision import Margin, Policy
from sihwa.errors import RuntimeUnavailable
from sihwa.export.refit import refit_head
from sihwa.images import limited_threads
from sihwa.inspector import TOLERANCE, in_other_sizes
from sihwa.inspector.backbone import Operator, find_backbone
from sihwa.terminal.console import quieten
from sihwa.terminal.progress import progress_bar

log = logging.getLogger(__name__)

# importing NNCF makes PyTorch warn, too, that a machine has no GPU
_CHATTY = ("nncf", "torch.utils.cpp_extension")
_RANGE_BATCHES = 40  # batches from which NNCF takes the ranges of activations
_FLOAT32_CONVOLUTIONS = (1, 3, 8)  # one INT8 model each: so many stay in float32, from the image on
_MAX_FOLDED = 2**24  # numbers in a tensor
_SAFETY_FACTOR = 1.5  # of the margin, as errors on other images and in other runtimes may be larger
_TOLERANCE_SHARE = 0.5  # a clear call may use half the tolerance; other images may need the rest

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Int8Model:
    """An INT8 graph: ONNX with QuantizeLinear and DequantizeLinear, no metadata."""

    graph: bytes
    float32_layers: int
    """Convolutions of the backbone that stayed in float32, of `layers` in all."""
    layers: int
    margin: Margin
    """A decision nearer than this to a border needs a second pass, in float32."""
    second_passes: float
    """Share of the calibration images that need one, in [0, 1]."""


class _Readings(NamedTuple):
    """Outputs of a graph for images of all sizes: (N, K), (N,) and (N, D)."""

    probability: NDArray[np.float32]
    unknown: NDArray[np.float32]
    embedding: NDArray[np.float32]


def quantise_graph(
    graph: bytes, training: Sequence[Images], calibration: Sequence[Images], policy: Policy
) -> list[Int8Model]:
    """Make several INT8 models, each with the margin outside which it decides like the graph.

    The fewer layers stay in float32, the faster the model and the more second passes it needs;
    measure which is best.

    Weights use 7 of their 8 bits: processors without VNNI add two products in 16 bits, which would
    overflow otherwise.

    Args:
        graph: ONNX without metadata.
        training: Images that the models are fitted to, (N, H, W, 3) each.
        calibration: Images that the margins are measured on, (N, H, W, 3) each.
        policy: Turns outputs into decisions.

    Returns:
        The models, most INT8 layers first; without those that give NaN or inf.
    """
    nncf = _import_nncf()
    model = onnxscript.optimizer.optimize(  # folds constants: NNCF sees no weights behind operators
        onnx.load_from_string(graph), input_size_limit=_MAX_FOLDED, output_size_limit=_MAX_FOLDED
    )
    fitted, judged = _in_sizes(training), _in_sizes(calibration)
    own_size = sum(map(len, calibration))
    steps = (1 + len(_FLOAT32_CONVOLUTIONS)) * sum(map(len, [*fitted, *judged]))
    int8_models = []
    with progress_bar("quantising", steps) as advance:
        aim, reference = _read(graph, fitted, advance), _read(graph, judged, advance)
        for first in _FLOAT32_CONVOLUTIONS:
            quantised = _quantise(nncf, model, training, first)
            embedding = _read(quantised.SerializeToString(), fitted, advance).embedding
            refit_head(quantised, embedding, aim.embedding)
            _tidy(quantised)
            readings = _read(quantised.SerializeToString(), judged, advance)
            margin = _margin(readings, reference, policy)
            if not np.isfinite(margin).all():
                log.warning("INT8, float32 up to convolution %d: outputs contain NaN or inf", first)
                continue
            close = policy.is_close(readings.probability, readings.unknown, margin)
            second_passes = float(close[:own_size].mean())
            log.info(
                "INT8, float32 up to convolution %d: %d of %d decisions on calibration images flip "
                "without second passes, none with them at %.1f %% of the images in their own size",
                first,
                _count_flips(readings, reference, policy),
                len(close),
                100 * second_passes,
            )
            int8_models.append(
                Int8Model(
                    quantised.SerializeToString(deterministic=True),
                    *_count_layers(quantised),
                    margin=margin,
                    second_passes=second_passes,
                )
            )
    return int8_models


def _quantise(
    nncf: Any,  # noqa: ANN401 -- a module without types
    model: onnx.ModelProto,
    batches: Sequence[Images],
    first: int,
) -> onnx.ModelProto:
    some = batches[:: -(-len(batches) // _RANGE_BATCHES)]
    with quieten(*_CHATTY), contextlib.redirect_stdout(io.StringIO()):
        quantised: onnx.ModelProto = nncf.quantize(
            model,
            nncf.Dataset(some, lambda batch: {"image": batch}),
            target_device=nncf.TargetDevice.CPU,
            subset_size=_RANGE_BATCHES,
            ignored_scope=nncf.IgnoredScope(names=float32_nodes(model, first)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    return quantised


def _in_sizes(batches: Sequence[Images]) -> list[Images]:
    """Return the batches, then the same images in the other sizes of the proof."""
    resized = [
        images for batch in batches for _, images in in_other_sizes([""] * len(batch), batch)
    ]
    return [*batches, *resized]


def _read(graph: bytes, batches: Iterable[Images], advance: Callable[[int], None]) -> _Readings:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = limited_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    readings = []
    for batch in batches:
        readings.append(_Readings(*session.run(list(_Readings._fields), {"image": batch})))
        advance(len(batch))
    return _Readings(*map(np.concatenate, zip(*readings, strict=True)))


def _count_flips(readings: _Readings, reference: _Readings, policy: Policy) -> int:
    ours, theirs = (policy.decide(each.probability, each.unknown) for each in (readings, reference))
    return sum(one != other for one, other in zip(ours, theirs, strict=True))


def _margin(readings: _Readings, reference: _Readings, policy: Policy) -> Margin:
    """Return the margin within which the INT8 model needs a second pass.

    No decision flips if it is farther from a border than that distance is ever overstated. The
    lead is also large enough to re-run every image whose probability is too far from the exact one.
    """
    overstated = policy.overstated(
        readings.probability, readings.unknown, reference.probability, reference.unknown
    )
    unknown, odds = (
        _SAFETY_FACTOR * float(one.max()) for one in (overstated.unknown, overstated.odds)
    )
    difference = np.abs(readings.probability - reference.probability).max(1)
    distance = policy.distances(readings.probability, readings.unknown)
    too_far = (difference > _TOLERANCE_SHARE * TOLERANCE["int8"]) & (distance.unknown > unknown)
    too_far &= distance.odds > odds
    lead = max(
        _SAFETY_FACTOR * float(overstated.lead.max()), float(distance.lead[too_far].max(initial=0))
    )
    return Margin(lead, unknown, odds)


def float32_nodes(model: onnx.ModelProto, first: int) -> list[str]:
    """Return the operators that stay in float32: preprocessing, head and the first convolutions."""
    nodes = model.graph.node
    convolutions = [node.name for node in nodes if _is_convolution(node)]
    operators = [
        # an input that is left out has no name
        Operator(node.name, _is_convolution(node), [*filter(None, node.input)], node.output)
        for node in nodes
    ]
    quantised = find_backbone(operators) - set(convolutions[:first])
    return [node.name for node in nodes if node.name not in quantised]


def _is_convolution(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and "evidence" not in node.output


def _tidy(model: onnx.ModelProto) -> None:
    """Write a graph as inspectors store it: no metadata, and all numbers as raw bytes."""
    del model.metadata_props[:]
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.HasField("t")]
    for tensor in (*model.graph.initializer, *tensors):
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        )


def _count_layers(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many convolutions of the backbone take float32 inputs, and their number in all."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    inputs = [made_by.get(node.input[0]) for node in model.graph.node if _is_convolution(node)]
    return sum(maker != "DequantizeLinear" for maker in inputs), len(inputs)


def _import_nncf() -> Any:  # noqa: ANN401 -- a module without types
    # unless this is set before the import, NNCF reports each use to a statistics service
    os.environ.setdefault("NNCF_CI", "1")
    try:
        with quieten(*_CHATTY), contextlib.redirect_stdout(io.StringIO()):
            import nncf
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            'export.int8=true needs NNCF, which is not installed: pip install "sihwa[train]"'
        ) from error
    return nncf
