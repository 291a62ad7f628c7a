"""OpenVINO on the CPU, in float32 or bfloat16."""

import os
import threading
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice

__all__ = ["OpenVinoRuntime"]

_HINT = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoRuntime:
    """The graph compiled by OpenVINO; each calling thread gets its own inference request.

    Args:
        graph: The ONNX file's bytes, already checked.
        choice: Device `cpu`, precision `fp32` or `bf16`.
        threads: Threads of one inference; 0 lets the library decide.

    Raises:
        RuntimeError: The library refuses the graph or the device.
    """

    def __init__(self, graph: bytes, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        self.version = str(openvino.__version__).split("-")[0]
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINT[choice.precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads:
            # as many inferences side by side as there are cores for
            settings["NUM_STREAMS"] = str(max(1, (os.cpu_count() or 1) // threads))
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(graph), "CPU", settings)
        self._ports = [self._compiled.output(name) for name in Outputs._fields]
        self._local = threading.local()

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run pictures of one size, (N, H, W, 3), uint8 RGB."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        result = self._local.request.infer({"image": image}, share_inputs=True)
        return Outputs(*(result[port] for port in self._ports))
