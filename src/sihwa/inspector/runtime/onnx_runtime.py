"""ONNX Runtime: the reference in float32 on the CPU; the INT8 model; NVIDIA cards."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sihwa.errors import RuntimeUnavailable
from sihwa.images import limited_threads
from sihwa.inspector.bundle import Bundle
from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice, run_in_small_batches

# what goes wrong is raised; it need not be printed too, and some of it no session's own level holds
onnxruntime.set_default_logger_severity(4)

Provider = tuple[str, dict[str, str]]


def fault(choice: RuntimeChoice) -> str | None:
    """Return why a combination that is offered cannot run on this machine, or None."""
    provider = _provider(choice)[0]
    if provider in onnxruntime.get_available_providers():
        return None
    return f"this ONNX Runtime has no {provider}. Install it with: pip install onnxruntime-gpu"


class OnnxRuntime:
    """The graph in an ONNX Runtime session; on a GPU in `fp16` it is run by TensorRT."""

    def __init__(self, bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        self._tiles = bundle.card.network.tiles
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = limited_threads(threads)
        options.log_severity_level = 4
        # else bytes 4 to 8 of the file decide, and it could be read as something else than checked
        options.add_session_config_entry("session.load_model_format", "ONNX")
        graph = bundle.int8_model if choice.precision == "int8" else bundle.graph
        name, settings = _provider(choice)
        self._session: Any = onnxruntime.InferenceSession(
            graph, options, providers=[(name, settings)]
        )
        # what a provider cannot load it leaves, silently, to the CPU
        if self._session.get_providers()[0] != name:
            raise RuntimeUnavailable(
                f"onnxruntime: {name} is installed but does not start here, so {choice.device} "
                "cannot be used. Check the driver and the CUDA libraries it asks for"
            )

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB."""
        if self.choice.kind == "cpu":
            return run_in_small_batches(self._run, image, self._tiles)
        return self._run(image)

    def _run(self, image: NDArray[np.uint8]) -> Outputs:
        return Outputs(*self._session.run(list(Outputs._fields), {"image": image}))


def _provider(choice: RuntimeChoice) -> Provider:
    device = {"device_id": str(choice.device_index)}
    if choice.kind == "cpu":
        return "CPUExecutionProvider", {}
    if choice.precision == "fp16":
        return "TensorrtExecutionProvider", {**device, "trt_fp16_enable": "1"}
    # TF32 keeps 10 bits of each factor: that is not the float32 of the reference
    return "CUDAExecutionProvider", {**device, "use_tf32": "0"}
