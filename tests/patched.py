"""Files with something else in them than was written."""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


def patched(content: bytes, change) -> bytes:
    """Returns a `.tflite` file after `change(model)` on its object form."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
