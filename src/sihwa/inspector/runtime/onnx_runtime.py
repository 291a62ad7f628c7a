"""ONNX Runtime: the reference in float32 on the CPU."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice

__all__ = ["OnnxRuntime"]


class OnnxRuntime:
    """The graph in an ONNX Runtime session.

    Args:
        graph: The ONNX file's bytes, already checked.
        choice: Device `cpu`, precision `fp32`.
        threads: Threads of one inference; 0 lets the library decide.

    Raises:
        RuntimeError: The library refuses the graph or the device.
    """

    def __init__(self, graph: bytes, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        self.version = str(onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what goes wrong is raised; it need not be printed too
        # else bytes 4 to 8 of the file decide, and it could be read as something else than checked
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session: Any = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run pictures of one size, (N, H, W, 3), uint8 RGB."""
        return Outputs(*self._session.run(list(Outputs._fields), {"image": image}))
