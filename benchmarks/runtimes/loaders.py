"""One function a runtime: each runs a `.tflite` file on an array and returns what the file puts out."""

import warnings

import numpy as np


def litert(content, x):
    """LiteRT's interpreter as it comes: XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    return _interpret(Interpreter(model_content=content, num_threads=1), x)


def tensorflow(content, x):
    """The interpreter inside TensorFlow as it comes: XNNPACK."""
    import tensorflow

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        interpreter = tensorflow.lite.Interpreter(model_content=content, num_threads=1)
    return _interpret(interpreter, x)


def compiled_model(content, x):
    """LiteRT's `CompiledModel` on the CPU, one sample at a time."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    model = CompiledModel.from_buffer(content, HardwareAccelerator.CPU)
    (key,) = model.get_signature_list()
    (source,), (target,) = (
        side(key).values() for side in (model.get_input_tensor_details, model.get_output_tensor_details)
    )
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    count, dtype = int(np.prod(target["shape"])), np.dtype(target["dtype"])
    results = []
    for sample in x.astype(source["dtype"]):
        inputs[0].write(np.ascontiguousarray(sample[None]))
        model.run_by_index(0, inputs, outputs)
        results.append(np.array(outputs[0].read(count, dtype)).reshape(target["shape"]))
    return np.concatenate(results)


def builtin(content, x):
    """LiteRT's own optimized kernels, without XNNPACK."""
    return _resolved(content, x, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def reference(content, x):
    """LiteRT's reference kernels."""
    return _resolved(content, x, "BUILTIN_REF")


def _resolved(content, x, name):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = getattr(OpResolverType, name)
    return _interpret(
        Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver), x
    )


def _interpret(interpreter, x):
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])


DEFAULT = {"LiteRT": litert, "tf.lite": tensorflow, "CompiledModel": compiled_model}
OTHERS = {"built-in kernels": builtin, "reference kernels": reference}
