"""The runtimes: which exist, which are installed, and how to create one."""

import importlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import msgspec

from sihwa.decision import Margin
from sihwa.errors import ConfigError, InvalidInspector, RuntimeUnavailable
from sihwa.inspector.bundle import Bundle
from sihwa.inspector.card import card_policy
from sihwa.inspector.machine import package_version
from sihwa.inspector.runtime.interface import PRECISIONS, Runtime, RuntimeChoice, one_line
from sihwa.inspector.runtime.second_pass import SecondPass

REFERENCE = RuntimeChoice("onnxruntime", "cpu", "fp32")
"""The reference of `sihwa verify`, and the runtime that decides if nothing is proven."""


@dataclass(frozen=True)
class _Offer:
    """A runtime; its name is that of the package it needs."""

    module: str
    constructor: str
    precisions: dict[str, tuple[str, ...]]
    """By kind of device."""
    pip: str
    distributions: tuple[str, ...]


_OFFERS = {
    "onnxruntime": _Offer(
        "onnx_runtime",
        "OnnxRuntime",
        {"cpu": ("fp32", "int8"), "cuda": ("fp32", "fp16")},
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    ),
    "openvino": _Offer(
        "openvino_runtime",
        "OpenVinoRuntime",
        {"cpu": ("fp32", "bf16", "int8")},
        "openvino",
        ("openvino",),
    ),
    "torch": _Offer(
        "torch_runtime",
        "TorchRuntime",
        {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")},
        '"sihwa[train]"',
        ("torch",),
    ),
}


def check_choice(runtime: str, device: str, precision: str) -> None:
    """Check that runtime, device and precision exist and can be combined; `auto` fits all."""
    if runtime not in ("auto", *_OFFERS):
        raise ConfigError(f"runtime must be one of auto, {', '.join(_OFFERS)}; got {runtime!r}")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,2})?", device):
        raise ConfigError(f"device must be cpu, cuda or cuda:N; got {device!r}")
    if precision not in ("auto", *PRECISIONS):
        raise ConfigError(
            f"precision must be one of auto, {', '.join(PRECISIONS)}; got {precision!r}"
        )
    offers = _OFFERS.items() if runtime == "auto" else [(runtime, _OFFERS[runtime])]
    kind = device.partition(":")[0]
    offered = {p for _, offer in offers for p in offer.precisions.get(kind, ())}
    if not offered & ({*PRECISIONS} if precision == "auto" else {precision}):
        lists = [
            f"{name} runs on {on} in {' or '.join(precisions)}"
            for name, offer in offers
            for on, precisions in offer.precisions.items()
        ]
        raise RuntimeUnavailable(f"{', '.join(lists)}; got {device} in {precision}")


def is_offered(choice: RuntimeChoice) -> bool:
    """Return whether the combination exists, installed or not."""
    offer = _OFFERS.get(choice.runtime)
    return offer is not None and choice.precision in offer.precisions.get(choice.kind, ())


def runtime_version(runtime: str) -> str | None:
    """Return the version of a runtime, None where it is not installed; imports nothing."""
    offer = _OFFERS.get(runtime)
    if offer is None or importlib.util.find_spec(runtime) is None:
        return None
    return package_version(*offer.distributions)


def installed_choices(bundle: Bundle, devices: Sequence[str] = ("cpu",)) -> list[RuntimeChoice]:
    """Return every combination that can run this inspector here, the reference first."""
    return [choice for choice, fault in offered_choices(bundle, devices) if fault is None]


def offered_choices(
    bundle: Bundle, devices: Sequence[str] = ("cpu",)
) -> list[tuple[RuntimeChoice, str | None]]:
    """Return every combination, the reference first, and why it cannot run here, or None."""
    choices = [
        RuntimeChoice(name, device, precision)
        for device in devices
        for name, offer in _OFFERS.items()
        for precision in offer.precisions.get(device.partition(":")[0], ())
    ]
    return [(choice, _fault(bundle, choice)) for choice in choices]


def why_none(bundle: Bundle, device: str, runtime: str = "auto", precision: str = "auto") -> str:
    """Return why nothing of this kind can run an inspector here; empty where something can."""
    faults = [
        (choice.runtime, fault)
        for choice, fault in offered_choices(bundle, [device])
        if runtime in ("auto", choice.runtime) and precision in ("auto", choice.precision)
    ]
    if not all(fault for _, fault in faults):
        return ""
    return "; ".join(dict.fromkeys(f"{name}: {fault}" for name, fault in faults))


def create_runtime(bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> Runtime:
    """Load a checked inspector into a runtime; its INT8 model together with the graph.

    One inference uses so many threads; 0 lets the library decide.

    Raises:
        RuntimeUnavailable: No such runtime, device or precision, or not here.
        InvalidInspector: The runtime refuses the graph or the weights.
    """
    check_choice(choice.runtime, choice.device, choice.precision)
    if reason := _fault(bundle, choice):
        raise RuntimeUnavailable(f"{choice}: {reason}")
    loaded = _load(bundle, choice, threads)
    if choice.precision != "int8":
        return loaded
    exact = _load(bundle, replace(choice, precision="fp32"), threads)
    facts = bundle.card.int8
    assert facts is not None, "a bundle with an INT8 model has its facts in the card"
    margin = Margin(**msgspec.structs.asdict(facts.margin))
    return SecondPass(loaded, exact, card_policy(bundle.card), margin)


def _load(bundle: Bundle, choice: RuntimeChoice, threads: int) -> Runtime:
    offer = _OFFERS[choice.runtime]
    try:
        runtime: Runtime = getattr(_module(offer), offer.constructor)(bundle, choice, threads)
    except (InvalidInspector, RuntimeUnavailable):
        raise
    except Exception as error:  # each library raises its own kinds
        raise InvalidInspector(
            f"{choice.runtime} refuses the graph: {one_line(error)}. Copy or export it again"
        ) from error
    return runtime


def _fault(bundle: Bundle, choice: RuntimeChoice) -> str | None:
    """Return why a combination cannot run this inspector here, or None."""
    offer = _OFFERS[choice.runtime]
    if choice.precision == "int8" and bundle.int8_model is None:
        if bundle.card.int8 is not None:
            return "the INT8 model is a file beside the graph: load the whole inspector folder"
        return "this inspector has no INT8 model. Make one by training with export.int8=true"
    if choice.runtime == "torch" and bundle.weights is None:
        return "the weights are a file beside the graph: load the whole inspector folder"
    if runtime_version(choice.runtime) is None:
        return f"{choice.runtime} is not installed. Install it with: pip install {offer.pip}"
    reason: str | None = _module(offer).fault(choice)
    return reason


def _module(offer: _Offer) -> ModuleType:
    return importlib.import_module(f"sihwa.inspector.runtime.{offer.module}")
