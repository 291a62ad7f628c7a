"""What an inspector computes and moves for one image, counted from its graph."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sihwa.inspector import Bundle

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True)
class Work:
    """What one image takes.

    Attributes:
        flop: Multiplications and additions of convolutions and matrix products.
        preprocess_flop: Those of them before the first convolution.
        weights: Numbers that all images share.
        image_bytes: Of the image and of all outputs together.
    """

    flop: int
    preprocess_flop: int
    weights: int
    image_bytes: int


def count_work(bundle: Bundle, height: int, width: int) -> Work:
    """Count the work that the graph does for one image of height × width pixels.

    Only products count, two operations each multiply-add: they are nearly all there is, and it
    is what a processor's peak counts.
    """
    import openvino

    model = openvino.Core().read_model(bundle.graph)
    model.reshape({"image": [1, height, width, 3]})
    nodes = model.get_ordered_ops()
    first = next((at for at, node in enumerate(nodes) if _is_convolution(node)), 0)
    constants = [node for node in nodes if node.get_type_name() == "Constant"]
    edges = [model.input(0), *model.outputs]
    return Work(
        flop=sum(map(_flop, nodes)),
        preprocess_flop=sum(map(_flop, nodes[:first])),
        weights=sum(math.prod(node.get_output_shape(0)) for node in constants),
        image_bytes=sum(math.prod(p.get_shape()) * p.get_element_type().size for p in edges),
    )


def cut_preprocessing(bundle: Bundle, threads: int) -> Callable[[Any], object] | None:
    """Return what runs the part of the graph before its first convolution, in OpenVINO.

    Args:
        bundle: The inspector.
        threads: As of a runtime; 0 is all cores.

    Returns:
        A function of images (N, H, W, 3); None for a graph without convolutions.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(bundle.graph)
    first = next(filter(_is_convolution, model.get_ordered_ops()), None)
    if first is None:
        return None
    cut = openvino.Model([first.input_value(0)], model.get_parameters(), "preprocessing")
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    request = core.compile_model(cut, "CPU", settings).create_infer_request()
    return lambda image: request.infer({"image": image}, share_inputs=True)


def _flop(node: Any) -> int:  # noqa: ANN401 -- openvino has no types
    """Return twice the multiply-adds of a convolution or a matrix product, else 0."""
    if _is_convolution(node):
        weight = node.get_input_shape(1)
        # (G, O, I, h, w) with groups, (O, I, h, w) without: I × h × w for each output
        return 2 * int(math.prod(node.get_output_shape(0)) * math.prod(weight[-3:]))
    if node.get_type_name() == "MatMul":
        shape = node.get_input_shape(0)
        inner = shape[-2 if node.get_attributes().get("transpose_a") else -1]
        return 2 * int(math.prod(node.get_output_shape(0)) * inner)
    return 0


def _is_convolution(node: Any) -> bool:  # noqa: ANN401
    return node.get_type_name() in _CONVOLUTIONS
