"""The message classes of ONNX without the rest of its package, whose import takes 50 ms.

They are those of `onnx`, in whichever order the two are imported.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        GraphProto,
        ModelProto,
        NodeProto,
        TensorProto,
        ValueInfoProto,
    )
else:
    from importlib.util import find_spec, module_from_spec, spec_from_file_location
    from pathlib import Path

    _folder = Path(find_spec("onnx").origin).parent
    _spec = spec_from_file_location("onnx.onnx_ml_pb2", _folder / "onnx_ml_pb2.py")
    _messages = module_from_spec(_spec)
    _spec.loader.exec_module(_messages)
    AttributeProto = _messages.AttributeProto
    GraphProto = _messages.GraphProto
    ModelProto = _messages.ModelProto
    NodeProto = _messages.NodeProto
    TensorProto = _messages.TensorProto
    ValueInfoProto = _messages.ValueInfoProto

__all__ = [
    "AttributeProto",
    "GraphProto",
    "ModelProto",
    "NodeProto",
    "TensorProto",
    "ValueInfoProto",
]
