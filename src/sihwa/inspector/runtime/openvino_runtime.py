"""OpenVINO on the CPU, in float32 or bfloat16, or with the 8-bit twin."""

import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector.parts import Bundle
from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice

__all__ = ["OpenVinoRuntime", "fault", "keep_float32"]


_KEPT = "256"
"""Prepared operations that are kept. A network has fewer of its own; the rest is for the resize,
which differs with each size of picture: parts cut out in all sizes took 0.6 MB more each."""

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

_KEEP = "precise_0"  # OpenVINO's name for the mark that an operation keeps its precision
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
        bundle: The inspector, already checked; its twin is run in `int8`.
        choice: Device `cpu`, precision `fp32`, `bf16` or `int8`.
        threads: Threads of one inference; 0 lets the library decide.

    Raises:
        RuntimeError: The library refuses the graph.
    """

    def __init__(self, bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        settings: dict[str, Any] = {
            # beside 8-bit layers, too, what is not quantised keeps all its bits
            "INFERENCE_PRECISION_HINT": "bf16" if choice.precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            # what it prepares for each size of picture is kept: 5,000 operations by default
            "CPU_RUNTIME_CACHE_CAPACITY": _KEPT,
        }
        if threads:
            # as many inferences side by side as there are cores for
            settings["NUM_STREAMS"] = str(max(1, (os.cpu_count() or 1) // threads))
        core = openvino.Core()
        model = core.read_model(bundle.twin if choice.precision == "int8" else bundle.graph)
        if choice.precision == "bf16":
            keep_float32(model)
        self._compiled = core.compile_model(model, "CPU", settings)
        self._ports = [self._compiled.output(name) for name in Outputs._fields]
        self._local = threading.local()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run pictures of one size, (N, H, W, 3), uint8 RGB."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        result = self._local.request.infer({"image": image}, share_inputs=True)
        return Outputs(*(result[port] for port in self._ports))


def keep_float32(model: Any) -> int:  # noqa: ANN401 -- openvino has no types
    """Mark what a lower precision must leave alone: all but the convolutional trunk.

    The trunk is what lies between the first convolution and the last; the one that makes the
    evidence map comes after it.

    Returns:
        How many operations are marked.
    """
    nodes = model.get_ordered_ops()
    evidence = model.output("evidence").get_node().input_value(0).get_node()
    convolutions = [
        node
        for node in nodes
        if node.get_type_name() in _CONVOLUTIONS and node.get_name() != evidence.get_name()
    ]
    trunk = _reached(convolutions, _users) & _reached(convolutions, _sources)
    kept = [node for node in nodes if node.get_name() not in trunk]
    for node in kept:
        node.get_rt_info()[_KEEP] = ""
    return len(kept)


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
