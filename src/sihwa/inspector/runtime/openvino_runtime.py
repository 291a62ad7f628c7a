"""OpenVINO on the CPU, in float32 or bfloat16, or with the INT8 model."""

import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.images import available_cores
from sihwa.inspector.parts import Bundle
from sihwa.inspector.runtime.interface import Outputs, run_in_parts
from sihwa.inspector.runtime_choice import RuntimeChoice

_KEPT = "256"
"""Prepared operations that are kept. A network has fewer of its own; the rest is for the resize,
which differs with each size of image: parts cut out in all sizes took 0.6 MB more each."""

# that of the library below it, which reads it once
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT)


def _import_openvino() -> ModuleType:
    """Import OpenVINO without its converter of other formats: that is half of what it takes.

    OpenVINO itself goes without when the converter cannot be imported. It can be, afterwards.
    """
    converter = "openvino.tools.ovc"
    skip = "openvino" not in sys.modules and converter not in sys.modules
    if skip:
        sys.modules[converter] = None  # type: ignore[assignment]  # Python's sign for "not there"
    try:
        import openvino
    finally:
        if skip:
            del sys.modules[converter]
    module: ModuleType = openvino
    return module


openvino: Any = _import_openvino()

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def fault(choice: RuntimeChoice) -> str | None:
    """Return why a combination that is offered cannot run on this machine, or None."""
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if choice.precision == "bf16" and "BF16" not in capabilities:
        return "this processor has no bfloat16 instructions that OpenVINO uses"
    return None


class OpenVinoRuntime:
    """The graph compiled by OpenVINO; each calling thread gets its own inference request.

    Args:
        bundle: The inspector, already checked; its INT8 model is run in `int8`.
        choice: Device `cpu`, precision `fp32`, `bf16` or `int8`.
        threads: Threads of one inference; 0 lets the library decide.

    Raises:
        RuntimeError: The library refuses the graph.
    """

    def __init__(self, bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            # what it prepares for each size of image is kept: 5,000 operations by default
            "CPU_RUNTIME_CACHE_CAPACITY": _KEPT,
        }
        if threads:
            # as many inferences side by side as there are cores for
            settings["NUM_STREAMS"] = str(max(1, available_cores() // threads))
        core = openvino.Core()
        model = core.read_model(bundle.int8_model if choice.precision == "int8" else bundle.graph)
        # beside 8-bit layers, too, what is not quantised keeps all its bits
        parts = [(model, "f32")]
        if choice.precision == "bf16":
            parts = list(zip(split_trunk(model), ("f32", "bf16", "f32"), strict=True))
        self._compiled = [
            core.compile_model(part, "CPU", {**settings, "INFERENCE_PRECISION_HINT": precision})
            for part, precision in parts
        ]
        self._ports = [self._compiled[-1].output(name) for name in Outputs._fields]
        self._local = threading.local()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB."""
        return run_in_parts(self._run, image)

    def _run(self, image: NDArray[np.uint8]) -> Outputs:
        if not hasattr(self._local, "requests"):
            self._local.requests = [part.create_infer_request() for part in self._compiled]
        *earlier, last = self._local.requests
        given = [image]
        for request in earlier:
            # what one part hands to the next stays where it is: it is used up before the next run
            passed = request.infer(given, share_inputs=True, share_outputs=True)
            given = [*passed.values()]
        if earlier:
            given.append(image)
        result = last.infer(given, share_inputs=True)
        return Outputs(*(result[port] for port in self._ports))


def split_trunk(model: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 -- openvino has no types
    """Take a graph apart into what comes before its convolutional trunk, the trunk, and the rest.

    A lower precision is for the trunk alone: what lies between the first convolution and the last;
    the one that makes the evidence map comes after it. Marks on single operations would be less to
    do, but OpenVINO 2026.4 does not heed them in bfloat16.

    Args:
        model: The graph, from `image` to the outputs. It is used up.

    Returns:
        Three models; what each gives is, in this order, what the next one takes. The last takes the
        images, too, for how many there are.
    """
    nodes = model.get_ordered_ops()
    evidence = model.output("evidence").get_node().input_value(0).get_node()
    convolutions = [
        node
        for node in nodes
        if node.get_type_name() in _CONVOLUTIONS and node.get_name() != evidence.get_name()
    ]
    trunk = _reached(convolutions, _users) & _reached(convolutions, _sources)
    # weights, and what is computed from them alone, stay with whoever needs them
    outside = _reached(model.get_parameters(), _users) - trunk
    entries, exits = [], []
    for node in nodes:
        for port in node.inputs():
            source = port.get_source_output().get_node().get_name()
            if node.get_name() in trunk and source in outside:
                entries.append(port)
            if node.get_name() not in trunk and source in trunk:
                exits.append(port)
    maps, taken = _cut(exits)
    images, given = _cut(entries)
    return (
        openvino.Model(images, model.get_parameters(), "before"),
        openvino.Model(maps, given, "trunk"),
        openvino.Model(model.get_results(), [*taken, *model.get_parameters()], "after"),
    )


def _cut(ports: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Put a parameter before each of these inputs; one for all that took the same value.

    Returns:
        What they took, and the parameters, in the same order.
    """
    sources: dict[tuple[str, int], Any] = {}
    parameters: dict[tuple[str, int], Any] = {}
    for port in ports:
        source = port.get_source_output()
        key = source.get_node().get_name(), source.get_index()
        if key not in sources:
            sources[key] = source
            parameters[key] = openvino.op.Parameter(
                source.get_element_type(), source.get_partial_shape()
            )
        port.replace_source_output(parameters[key].output(0))
    return list(sources.values()), list(parameters.values())


def _reached(start: Iterable[Any], step: Callable[[Any], Iterable[Any]]) -> set[str]:
    """Return the names of `start` and of all that can be reached from it."""
    open_nodes = list(start)
    found = {node.get_name() for node in open_nodes}
    while open_nodes:
        for node in step(open_nodes.pop()):
            if node.get_name() not in found:
                found.add(node.get_name())
                open_nodes.append(node)
    return found


def _users(node: Any) -> list[Any]:  # noqa: ANN401
    return [port.get_node() for out in node.outputs() for port in out.get_target_inputs()]


def _sources(node: Any) -> list[Any]:  # noqa: ANN401
    return [value.get_node() for value in node.input_values()]
