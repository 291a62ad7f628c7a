"""OpenVINO on the CPU, in float32 or bfloat16, or with the INT8 model."""

import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.images import available_cores, limited_threads
from sihwa.inspector.backbone import Operator, computed_from, find_backbone
from sihwa.inspector.bundle import Bundle
from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice, run_in_small_batches

_KEPT = "256"
"""Compiled operations that stay in the cache. A network has fewer; the rest is for the resize,
which differs with each image size: without a limit, each new size took 0.6 MB more."""

# the cache of oneDNN, the library below OpenVINO, which reads this once
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT)


def _import_openvino() -> Any:  # noqa: ANN401 -- openvino has no types
    """Import OpenVINO without its model converter, which takes half of the import time.

    OpenVINO imports without the converter if that is missing. Later imports of it work again.
    """
    converter = "openvino.tools.ovc"
    skip = "openvino" not in sys.modules and converter not in sys.modules
    if skip:
        sys.modules[converter] = None  # type: ignore[assignment]  # Python then raises ImportError
    try:
        import openvino
    finally:
        if skip:
            del sys.modules[converter]
    return openvino


openvino = _import_openvino()

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def fault(choice: RuntimeChoice) -> str | None:
    """Return why this machine cannot run the combination, or None."""
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if choice.precision == "bf16" and "BF16" not in capabilities:
        return "this processor has no bfloat16 instructions that OpenVINO uses"
    return None


class OpenVinoRuntime:
    """The graph compiled by OpenVINO; each calling thread gets its own inference request."""

    def __init__(self, bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        self._tiles = bundle.card.network.tiles
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            # 5,000 operations by default, for every image size that comes
            "CPU_RUNTIME_CACHE_CAPACITY": _KEPT,
        }
        if threads:
            # as many parallel inferences as the cores allow
            settings["NUM_STREAMS"] = str(max(1, available_cores() // threads))
        if limit := limited_threads():
            settings["INFERENCE_NUM_THREADS"] = str(limit)
        core = openvino.Core()
        model = core.read_model(bundle.int8_model if choice.precision == "int8" else bundle.graph)
        # what is not quantised stays in float32
        sections = [(model, "f32")]
        if choice.precision == "bf16":
            sections = list(zip(split_backbone(model), ("f32", "bf16", "f32"), strict=True))
        self._compiled = [
            core.compile_model(section, "CPU", {**settings, "INFERENCE_PRECISION_HINT": precision})
            for section, precision in sections
        ]
        self._ports = [self._compiled[-1].output(name) for name in Outputs._fields]
        self._local = threading.local()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB."""
        return run_in_small_batches(self._run, image, self._tiles)

    def _run(self, image: NDArray[np.uint8]) -> Outputs:
        if not hasattr(self._local, "requests"):
            self._local.requests = [section.create_infer_request() for section in self._compiled]
        *earlier, last = self._local.requests
        given = [image]
        for request in earlier:
            # no copy: each section has read its input before the next run overwrites it
            passed = request.infer(given, share_inputs=True, share_outputs=True)
            given = [*passed.values()]
        if earlier:
            given.append(image)
        result = last.infer(given, share_inputs=True)
        return Outputs(*(result[port] for port in self._ports))


def split_backbone(model: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 -- openvino has no types
    """Split a graph into what precedes its convolutional backbone, the backbone, and the rest.

    OpenVINO 2026.4 ignores precision marks on single operations in bfloat16, so the graph is split.
    It cannot be used afterwards. The outputs of each model are the inputs of the next, in this
    order; the last also takes the images, from which it reads N.
    """
    nodes = model.get_ordered_ops()
    evidence = model.output("evidence").get_node().input_value(0).get_node().get_name()
    operators = [_operator(node, evidence) for node in nodes]
    backbone = find_backbone(operators)
    # constants stay in the section that uses them
    images = {parameter.get_name() for parameter in model.get_parameters()}
    outside = computed_from(images, operators) - backbone
    entries, exits = [], []
    for node in nodes:
        for port in node.inputs():
            source = port.get_source_output().get_node().get_name()
            if node.get_name() in backbone and source in outside:
                entries.append(port)
            if node.get_name() not in backbone and source in backbone:
                exits.append(port)
    maps, taken = _cut(exits)
    preprocessed, given = _cut(entries)
    return (
        openvino.Model(preprocessed, model.get_parameters(), "before"),
        openvino.Model(maps, given, "backbone"),
        openvino.Model(model.get_results(), [*taken, *model.get_parameters()], "after"),
    )


def _cut(ports: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Replace the source of each input by a parameter; return former sources and parameters."""
    cuts: dict[tuple[str, int], tuple[Any, Any]] = {}
    for port in ports:
        source = port.get_source_output()
        key = source.get_node().get_name(), source.get_index()
        if key not in cuts:
            kind = source.get_element_type(), source.get_partial_shape()
            cuts[key] = source, openvino.op.Parameter(*kind)
        port.replace_source_output(cuts[key][1].output(0))
    return [source for source, _ in cuts.values()], [given for _, given in cuts.values()]


def _operator(node: Any, evidence: str) -> Operator:  # noqa: ANN401
    name = node.get_name()
    takes = [value.get_node().get_name() for value in node.input_values()]
    return Operator(name, node.get_type_name() in _CONVOLUTIONS and name != evidence, takes, [name])
