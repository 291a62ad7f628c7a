"""Networks: a name in, a network with embedding → logits and its evidence map out."""

from sihwa.model.config import ModelConfig
from sihwa.model.cut import Parts, split_network
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
from sihwa.model.preprocessing import Preprocessing
from sihwa.model.tensor_file import read_tensor_file

__all__ = [
    "OPSET",
    "ModelConfig",
    "Network",
    "Parts",
    "Prediction",
    "Preprocessing",
    "UnknownScore",
    "create_network",
    "export_activation",
    "export_graph",
    "predict",
    "read_tensor_file",
    "require_known",
    "split_network",
    "use_exact_float32",
]
