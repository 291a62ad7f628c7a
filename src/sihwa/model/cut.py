"""A network in two parts: a trunk that stays as it is, and a tail that is trained.

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
class Parts:
    """A network cut in two; both parts share its weights, so training the tail trains it.

    Attributes:
        trunk: Images (N, H, W, 3), uint8 → activations (N, C, h, w), where the cut is.
        tail: Activations → feature map (N, D, h, w); its average is the embedding.
        name: The last layer of the trunk; `input` where the whole network is trained.
        share: The tail's share of the network's arithmetic, in (0, 1].
    """

    trunk: nn.Module
    tail: fx.GraphModule
    name: str
    share: float


def split_network(network: Network, trained_share: float) -> Parts:
    """Cut a network so that the tail does at most this share of its arithmetic.

    A network is a chain of blocks; it can be cut wherever a single array passes. The earliest such
    place within the share is taken, or else the last one that there is.

    Args:
        network: Its backbone is cut; it stays whole itself.
        trained_share: In (0, 1]; 1 leaves only the preprocessing to the trunk.

    Raises:
        ConfigError: The share is smaller than 1 and there is no place to cut.
    """
    whole = _FeatureMap(network.backbone, network.stages).train(network.training)
    graph = _BlockTracer(network.backbone).trace(whole)
    if trained_share >= 1:
        return Parts(network.preprocessing, fx.GraphModule(whole, graph), "input", 1.0)
    cost = _arithmetic(network, fx.GraphModule(whole, graph))
    places = _places(graph)
    if not places:
        raise ConfigError(
            f"training.trained_share={trained_share}: this network has no place to cut; use 1"
        )
    after = {node: _after(graph, node, cost) for node in places}
    within = [node for node in places if after[node] <= trained_share]
    cut = within[0] if within else places[-1]
    trunk, tail = _cut(whole, graph, cut)
    name = str(cut.target).removeprefix("backbone.")
    return Parts(nn.Sequential(network.preprocessing, trunk), tail, name, after[cut])


class _FeatureMap(nn.Module):
    """A network's backbone as one function: network input → feature map."""

    def __init__(self, backbone: nn.Module, stages: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages = stages

    def forward(self, image: Tensor) -> Tensor:
        return feature_map(self.backbone, image, self.stages)


class _BlockTracer(fx.Tracer):
    """Follows the network's own forward pass from block to block, without looking into any."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = backbone

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        """Take everything but the backbone itself and its chains of blocks as one block."""
        chains = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        return m is not self._backbone and not isinstance(m, chains)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:  # noqa: ANN401 -- torch's own signature
        """Leave out what does nothing: the network tells maps apart by identity."""
        return (
            args[0] if isinstance(m, nn.Identity) else super().call_module(m, forward, args, kwargs)
        )


def _places(graph: fx.Graph) -> list[fx.Node]:
    """Return the layers after which nothing but their own output is needed, in order."""
    nodes = list(graph.nodes)
    order = {node: place for place, node in enumerate(nodes)}
    last_use = [max((order[user] for user in node.users), default=0) for node in nodes]
    return [
        node
        for place, node in enumerate(nodes[:-1])
        if node.op == "call_module" and max(last_use[:place]) <= place
    ]


class _Counter(fx.Interpreter):
    """Runs a graph and notes the multiply-adds of each layer."""

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
    """Return the multiply-adds of each layer by its name in the graph, for one image."""
    counter, was_training = _Counter(module), network.training
    network.eval()  # norms must not learn from what is only counted
    size = network.preprocessing.input_size
    counter.run(torch.zeros(1, 3, size, size, device=network.classifier.weight.device))
    network.train(was_training)
    return counter.cost


def _after(graph: fx.Graph, cut: fx.Node, cost: dict[str, int]) -> float:
    nodes = list(graph.nodes)
    tail = sum(cost[node.name] for node in nodes[nodes.index(cut) + 1 :])
    return tail / max(1, sum(cost.values()))


def _cut(whole: nn.Module, graph: fx.Graph, cut: fx.Node) -> tuple[fx.GraphModule, fx.GraphModule]:
    nodes = list(graph.nodes)
    place = nodes.index(cut) + 1
    head, tail = fx.Graph(), fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in nodes[:place]:
        copied[node] = head.node_copy(node, copied.__getitem__)
    head.output(copied[cut])
    copied = {cut: tail.placeholder("activation")}
    for node in nodes[place:]:
        copied[node] = tail.node_copy(node, copied.__getitem__)
    return fx.GraphModule(whole, head), fx.GraphModule(whole, tail)
