"""Networks by name: preprocessing, backbone, classifier; and their ONNX graph."""

from sihwa.model.config import ModelConfig
from sihwa.model.cut import CutNetwork, cut_network
from sihwa.model.fixed_graph import export_fixed_graph
from sihwa.model.framing import Framing
from sihwa.model.graph import OPSET, export_activation, export_graph
from sihwa.model.network import (
    Network,
    Prediction,
    UnknownScore,
    create_network,
    predict,
    require_known,
    use_exact_float32,
)
from sihwa.model.pooling import Pooling
from sihwa.model.preprocessing import Preprocessing

__all__ = [
    "OPSET",
    "CutNetwork",
    "Framing",
    "ModelConfig",
    "Network",
    "Pooling",
    "Prediction",
    "Preprocessing",
    "UnknownScore",
    "create_network",
    "cut_network",
    "export_activation",
    "export_fixed_graph",
    "export_graph",
    "predict",
    "require_known",
    "use_exact_float32",
]
