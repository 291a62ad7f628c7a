"""Which runtimes there are, which are installed, and how one is made."""

import importlib
import importlib.util
from dataclasses import dataclass

from sihwa.errors import InvalidInspector, RuntimeUnavailable
from sihwa.inspector.runtime.interface import Runtime, RuntimeChoice

__all__ = ["create_runtime", "installed_choices", "one_line"]


@dataclass(frozen=True)
class _Offer:
    module: str
    constructor: str
    package: str
    device: str
    precisions: tuple[str, ...]


# The first is the reference that the others are compared with.
_OFFERS = {
    "onnxruntime": _Offer("onnx_runtime", "OnnxRuntime", "onnxruntime", "cpu", ("fp32",)),
    "openvino": _Offer("openvino_runtime", "OpenVinoRuntime", "openvino", "cpu", ("fp32", "bf16")),
}


def installed_choices(device: str = "cpu") -> list[RuntimeChoice]:
    """Return every combination that could run here, the reference first."""
    return [
        RuntimeChoice(name, device, precision)
        for name, offer in _OFFERS.items()
        if offer.device == device and importlib.util.find_spec(offer.package)
        for precision in offer.precisions
    ]


def create_runtime(graph: bytes, choice: RuntimeChoice, threads: int = 0) -> Runtime:
    """Load a checked graph into a runtime.

    Raises:
        RuntimeUnavailable: No such runtime, device or precision, or it is not installed.
        InvalidInspector: The runtime refuses the graph.
    """
    offer = _OFFERS.get(choice.runtime)
    if offer is None:
        raise RuntimeUnavailable(
            f"runtime must be one of {', '.join(_OFFERS)}; got {choice.runtime!r}"
        )
    if choice.device != offer.device or choice.precision not in offer.precisions:
        raise RuntimeUnavailable(
            f"{choice.runtime} runs on {offer.device} in {' or '.join(offer.precisions)}; "
            f"got {choice.device} in {choice.precision}"
        )
    if importlib.util.find_spec(offer.package) is None:
        raise RuntimeUnavailable(
            f"{choice.runtime} is not installed. Install it with: pip install {offer.package}"
        )
    module = importlib.import_module(f"sihwa.inspector.runtime.{offer.module}")
    constructor = getattr(module, offer.constructor)
    try:
        runtime: Runtime = constructor(graph, choice, threads)
    except Exception as error:  # each library raises its own kinds
        raise InvalidInspector(
            f"{choice.runtime} refuses the graph: {one_line(error)}. Copy or export it again"
        ) from error
    return runtime


def one_line(error: Exception) -> str:
    """Return what a library says, on one printable line: it may quote names from the graph."""
    flat = " ".join(str(error).split())[-300:]  # the reason comes after the place in the source
    return "".join(letter if letter.isprintable() else "?" for letter in flat)
