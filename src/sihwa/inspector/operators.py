"""The operators that an inspector's graph may hold."""

_OPERATORS = {
    "arithmetic": "Abs Add Ceil Clip Cos Div Erf Exp Floor Log Max Min Mul Neg Pow "
    "Reciprocal Round Sin Sqrt Sub",
    "comparison": "And Equal Greater GreaterOrEqual Less LessOrEqual Not Or Where",
    "activations": "Elu HardSigmoid HardSwish LeakyRelu Mish PRelu Relu Selu Sigmoid Softmax "
    "Softplus Tanh",
    "layers": "AveragePool BatchNormalization Conv ConvTranspose Gemm GlobalAveragePool "
    "GlobalMaxPool LayerNormalization MatMul MaxPool "
    "Resize",
    "reductions": "ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum",
    "shapes": "Cast Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather Identity "
    " Pad Range Reshape Shape Slice SpaceToDepth Split Squeeze Transpose Unsqueeze",
    "8-bit integers": "DequantizeLinear QuantizeLinear",
}
OPERATORS = frozenset(" ".join(_OPERATORS.values()).split())
"""What convolutional networks are exported with, and its nearest kin: functions of tensors,
without control flow, chance, sequences or text."""
