"""The small tables that a `.tflite` file is made of, as objects of the generated schema."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

_ALIGNMENT = 16
_ENUMS = {
    "fusedActivationFunction": schema.ActivationFunctionType,
    "padding": schema.Padding,
    "mode": schema.MirrorPadMode,
    "inDataType": schema.TensorType,
    "outDataType": schema.TensorType,
    "outType": schema.TensorType,
}


class AlignedBuffer(schema.BufferT):
    """Constant data on the 16-byte boundary that the schema asks for and the generated code ignores."""

    def Pack(self, builder):
        builder.StartVector(1, len(self.data), _ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def quantization_table(scale, zero_point, axis):
    """Returns the parameters of a quantized tensor: one scale, or one per slice along `axis`."""
    scale = np.atleast_1d(np.asarray(scale, np.float32)).ravel()
    quantization = schema.QuantizationParametersT()
    quantization.scale = scale
    quantization.zeroPoint = np.full(scale.shape, zero_point, np.int64)
    quantization.quantizedDimension = axis if scale.size > 1 else 0
    return quantization


def options_table(name: str, fields: dict):
    """Returns the options of an operator; enum values by name (`padding="SAME"`).

    Raises:
        ValueError: The options have no such field.
    """
    options = getattr(schema, f"{name}T")()
    for field, value in fields.items():
        if not hasattr(options, field):
            known = sorted(vars(options))
            raise ValueError(f"{name} has no such field. Received: {field!r}. Use one of {known}.")
        setattr(options, field, getattr(_ENUMS[field], value) if isinstance(value, str) else value)
    return options


def flexbuffer_map(options: dict[str, int]) -> list[int]:
    """Returns the options of an operator of another library, as bytes; none for no options."""
    if not options:
        return []
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in sorted(options.items()):
            builder.Int(key, value)
    return list(builder.Finish())


def operator_code(kind: str, version: int):
    """Returns the entry of an operator in the model's list; what the schema does not know is a custom one."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind, schema.BuiltinOperator.CUSTOM)
    if code.builtinCode == schema.BuiltinOperator.CUSTOM:
        code.customCode = kind
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def signature_table(inputs, outputs, input_names, output_names):
    """Returns the signature `serving_default`; names are those of the tensors where `None`."""
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs = _tensor_map(inputs, input_names)
    signature.outputs = _tensor_map(outputs, output_names)
    return signature


def _tensor_map(refs, names):
    entries = []
    for ref, name in zip(refs, names or [ref.name for ref in refs], strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, ref.index
        entries.append(entry)
    return entries
