"""Cut a network in two: frozen layers, then trained layers.

Axes: N images, H and W image size, D embedding width, h and w feature-map size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from sihwa.errors import ConfigError
from sihwa.model.network import Network, feature_map


@dataclass(frozen=True)
class CutNetwork:
    """Both sides of a cut. They share the network's weights, so training one trains the network."""

    frozen: nn.Module
    """Images (N, H, W, 3), uint8 → activations (N, C, h, w) at the cut; where an image is seen in
    tiles (N, T, C, h, w)."""
    trained: fx.GraphModule
    """Activations → feature map (N, D, h, w); its mean over h and w is the embedding."""
    last_frozen: str
    """Name of the last frozen layer; `input` if the whole backbone is trained."""
    trained_share: float
    """Share of the network's arithmetic in the trained layers, in (0, 1]."""


def cut_network(network: Network, trained_share: float) -> CutNetwork:
    """Cut a network so that its trained layers do at most this share of its arithmetic.

    A network can be cut wherever a single array passes from block to block. The earliest such
    place within the share is taken; if none is within it, the last place.

    Args:
        network: Left whole; its backbone is traced.
        trained_share: In (0, 1]; 1 freezes the preprocessing alone.

    Raises:
        ConfigError: The share is below 1 and the network cannot be cut.
    """
    whole = _FeatureMap(network.backbone, network.stages).train(network.training)
    graph = _BlockTracer(network.backbone).trace(whole)
    if trained_share >= 1:
        return CutNetwork(_frozen(network), fx.GraphModule(whole, graph), "input", 1.0)
    cost = _arithmetic(network, fx.GraphModule(whole, graph))
    places = _places(graph)
    if not places:
        raise ConfigError(
            f"training.trained_share={trained_share}: this network cannot be cut; use 1"
        )
    share = {node: _share_after(graph, node, cost) for node in places}
    cut = next((node for node in places if share[node] <= trained_share), places[-1])
    before, after = _cut_graph(whole, graph, cut)
    name = str(cut.target).removeprefix("backbone.")
    return CutNetwork(_frozen(network, before), after, name, share[cut])


def _frozen(network: Network, *layers: nn.Module) -> nn.Module:
    """Return preprocessing and frozen layers, with an axis for tiles where there are any."""
    tiles = network.framing.tile_count
    if tiles > 1:
        layers = (*layers, nn.Unflatten(0, (-1, tiles)))
    return nn.Sequential(network.preprocessing, *layers) if layers else network.preprocessing


class _FeatureMap(nn.Module):
    """A network's backbone as one function: network input → feature map."""

    def __init__(self, backbone: nn.Module, stages: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages = stages

    def forward(self, image: Tensor) -> Tensor:
        return feature_map(self.backbone, image, self.stages)


class _BlockTracer(fx.Tracer):
    """Traces a backbone block by block, without entering any block."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = backbone

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        """Treat everything except the backbone and its containers as one block."""
        containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        return m is not self._backbone and not isinstance(m, containers)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:  # noqa: ANN401 -- torch's own signature
        """Skip nn.Identity: the network compares feature maps by identity."""
        return (
            args[0] if isinstance(m, nn.Identity) else super().call_module(m, forward, args, kwargs)
        )


def _places(graph: fx.Graph) -> list[fx.Node]:
    """Return, in order, the layers after which only their own output is needed."""
    nodes = list(graph.nodes)
    order = {node: place for place, node in enumerate(nodes)}
    last_use = [max((order[user] for user in node.users), default=0) for node in nodes]
    return [
        node
        for place, node in enumerate(nodes[:-1])
        if node.op == "call_module" and max(last_use[:place]) <= place
    ]


class _Counter(fx.Interpreter):
    """Runs a graph and counts the multiply-adds of each layer."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.cost: dict[str, int] = {}

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 -- torch's own signature
        with FlopCounterMode(display=False) as counter:
            result = super().run_node(n)
        self.cost[n.name] = counter.get_total_flops()
        return result


@torch.no_grad()
def _arithmetic(network: Network, module: fx.GraphModule) -> dict[str, int]:
    """Return the multiply-adds of each layer for one image, by its name in the graph."""
    counter, was_training = _Counter(module), network.training
    network.eval()  # counting must not update batch norm statistics
    size = network.framing.input_size
    counter.run(torch.zeros(1, 3, *size, device=network.classifier.weight.device))
    network.train(was_training)
    return counter.cost


def _share_after(graph: fx.Graph, cut: fx.Node, cost: dict[str, int]) -> float:
    nodes = list(graph.nodes)
    after = sum(cost[node.name] for node in nodes[nodes.index(cut) + 1 :])
    return after / max(1, sum(cost.values()))


def _cut_graph(
    whole: nn.Module, graph: fx.Graph, cut: fx.Node
) -> tuple[fx.GraphModule, fx.GraphModule]:
    nodes = list(graph.nodes)
    place = nodes.index(cut) + 1
    before, after = fx.Graph(), fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in nodes[:place]:
        copied[node] = before.node_copy(node, copied.__getitem__)
    before.output(copied[cut])
    copied = {cut: after.placeholder("activation")}
    for node in nodes[place:]:
        copied[node] = after.node_copy(node, copied.__getitem__)
    return fx.GraphModule(whole, before), fx.GraphModule(whole, after)
