"""PyTorch: the network rebuilt from the card's facts and the safetensors weights.

Nothing is unpickled and no code comes from the inspector: the card names an architecture that
timm has, and the file of weights must hold its tensors, by name and shape.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sihwa.errors import ConfigError, InvalidInspector, ModelError
from sihwa.images import limited_threads
from sihwa.inspector.bundle import WEIGHTS_NAME, Bundle
from sihwa.inspector.runtime.interface import Outputs, RuntimeChoice
from sihwa.model import ModelConfig, Network, create_network, predict, use_exact_float32

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MOST_GRAPHS = 8  # a line has a camera or two, and a batch size or two

Forward = Callable[[Tensor], tuple[Tensor, ...]]


def fault(choice: RuntimeChoice) -> str | None:
    """Return why a combination that is offered cannot run on this machine, or None."""
    if choice.kind == "cuda":
        count = torch.cuda.device_count()
        return None if choice.device_index < count else f"PyTorch sees {count} CUDA devices here"
    if choice.precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this processor has no bfloat16 instructions that PyTorch uses"
    return None


class TorchRuntime:
    """The network in PyTorch, channels last, with a CUDA graph per image size on a GPU.

    `threads` holds for all of PyTorch; 0 leaves them as they are.
    """

    def __init__(self, bundle: Bundle, choice: RuntimeChoice, threads: int = 0) -> None:
        self.choice = choice
        if count := limited_threads(threads):
            torch.set_num_threads(count)
        use_exact_float32()
        self._device = torch.device(choice.device)
        network = self._network = rebuild_network(bundle).to(self._device)
        network.to(memory_format=torch.channels_last)
        if choice.precision in _DTYPES:
            network.backbone = _LowerPrecision(network.backbone, _DTYPES[choice.precision])
        is_gpu = self._device.type == "cuda"
        self._forward: Forward = (
            CapturedGraphs(network, _capture) if is_gpu else partial(predict, network)
        )

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """Run images of one size, (N, H, W, 3), uint8 RGB."""
        with torch.inference_mode():
            outputs = self._forward(self._on_device(image))
            return Outputs(*(value.cpu().numpy() for value in outputs))

    def device_ns(self, image: NDArray[np.uint8]) -> int | None:
        """Return how long a GPU itself works on images that it has, in ns; None on a CPU."""
        if self._device.type != "cuda":
            return None
        with torch.inference_mode():
            given = self._on_device(image)
            return time_by_events(
                lambda: self._forward(given),
                lambda: torch.cuda.Event(enable_timing=True),  # type: ignore[no-untyped-call]
            )

    def _on_device(self, image: NDArray[np.uint8]) -> Tensor:
        # PyTorch warns of arrays that cannot be written: those are copied
        return torch.from_numpy(np.require(image, requirements=["C", "W"])).to(self._device)


def time_by_events(work: Callable[[], object], new_event: Callable[[], Any]) -> int:
    """Return the ns that the device itself spends on the work, without Python and transfers."""
    begin, end = new_event(), new_event()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return int(begin.elapsed_time(end) * 1e6)


def rebuild_network(bundle: Bundle) -> Network:
    """Build the network that a card describes, with the weights beside it, on the CPU."""
    assert bundle.weights is not None
    facts = bundle.card.network
    try:
        config = ModelConfig(
            name=facts.name,
            architecture=facts.architecture,
            weights="none",
            input_size=facts.input_size,
            stages=facts.stages,
        )
        framing = config.framing()
        if given := facts.framing:
            config = replace(
                config, fit=given.fit, tiles=list(given.tiles), tile_overlap=given.tile_overlap
            )
            framing = config.framing(given.region, given.mask)
        with torch.device("meta"):  # no memory yet: a card may ask for the largest there is
            network = create_network(config, len(bundle.card.classes), framing=framing)
    except (ConfigError, ModelError) as error:
        raise InvalidInspector(f"the card's network cannot be built: {error}") from error
    held = safetensors.torch.load(bundle.weights)
    own = network.state_dict()
    strange = sorted(own.keys() ^ held.keys())
    wrong = strange or [
        name
        for name, value in own.items()
        if (value.shape, value.dtype) != (held[name].shape, held[name].dtype)
    ]
    if wrong:
        raise InvalidInspector(
            f"{WEIGHTS_NAME}: {wrong[0][:100]!a} does not fit the card's network "
            f"{facts.architecture[:60]!a}. Copy or export the inspector again"
        )
    network.load_state_dict(held, assign=True)
    return network.requires_grad_(False).eval()


class _LowerPrecision(nn.Module):
    """A backbone that computes in 16 bits; what comes before and after it stays in float32."""

    def __init__(self, backbone: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self._dtype = dtype

    def forward_intermediates(self, image: Tensor, indices: int) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(image.device.type, self._dtype):
            final, maps = self.backbone.forward_intermediates(image, indices=indices)
        wide = final.float()
        # a stage that is the final map must remain the same object: it is not counted twice
        return wide, [wide if stage is final else stage.float() for stage in maps]


class _Captured(NamedTuple):
    """The recorded work for one shape, and the buffers that it reads and writes."""

    image: Tensor
    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]


class CapturedGraphs:
    """A network's work on a GPU, captured once for each shape of images.

    A small network keeps a GPU waiting for Python between its kernels; a captured graph is one
    call. A graph has one set of buffers, so threads take turns.
    """

    def __init__(self, forward: Forward, capture: Callable[[Forward, Tensor], _Captured]) -> None:
        self._forward = forward
        self._capture = capture
        self._graphs: OrderedDict[torch.Size, _Captured] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the network says of images (N, H, W, 3), in tensors of its own."""
        with self._lock:
            graph = self._graphs.get(image.shape)
            if graph is None:
                graph = self._capture(self._forward, image)
                self._graphs[image.shape] = graph
                if len(self._graphs) > _MOST_GRAPHS:
                    self._graphs.popitem(last=False)
            self._graphs.move_to_end(image.shape)
            graph.image.copy_(image)
            graph.replay()
            return tuple(value.clone() for value in graph.outputs)


def _capture(forward: Forward, image: Tensor) -> _Captured:
    """Record a CUDA graph; the first calls go uncaptured, because libraries choose in them."""
    static = image.clone()
    stream = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(image.device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            forward(static)
    torch.cuda.current_stream(image.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = forward(static)
    return _Captured(static, tuple(outputs), graph.replay)
