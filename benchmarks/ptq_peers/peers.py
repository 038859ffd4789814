"""Post-training quantization of one model by kqat, TensorFlow's converter and ai-edge-quantizer."""

import tempfile

import kqat

MIN_MAX, MSE = "min_max_uniform_quantize", "MSE"  # how ai-edge-quantizer chooses ranges, by its names


def kqat_file(model, images, bits, effort):
    """Returns kqat's file.

    Args:
        model: Float Keras model.
        images: What to calibrate on, `(N, …)`.
        bits: Of weights and of what layers with weights read.
        effort: Of `kqat.calibrate`.
    """
    q = kqat.quantize(model, bits=bits)
    kqat.calibrate(q, images, effort=effort, verbose=0)
    return kqat.export_tflite(q).content


def converter_file(model, images):
    """Returns the file of TensorFlow's converter: 8-bit weights and activations, float input and output."""

    def quantized(converter, tf):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    return _converted(model, quantized)


def ai_edge_file(model, images, weight_bits, algorithm):
    """Returns the file of ai-edge-quantizer: static, 8-bit activations.

    Args:
        model: Float Keras model.
        images: What to calibrate on.
        weight_bits: 8 or 4.
        algorithm: How it chooses ranges, `MIN_MAX` or `MSE`.
    """
    from ai_edge_quantizer import qtyping, quantizer  # pyright: ignore[reportMissingImports]

    found = quantizer.Quantizer(bytearray(_converted(model, lambda converter, tf: None)))
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    found.add_static_config(".*", every, 8, weight_bits, algorithm_key=algorithm)
    (key, name), *_ = _signatures(found)
    ranges = found.calibrate({key: [{name: image[None]} for image in images]}, num_threads=2)
    return bytes(found.quantize(ranges).quantized_model)


def _converted(model, configure):
    """Returns what TensorFlow's converter makes of a model, after `configure(converter, tf)`."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        configure(converter, tf)
        return converter.convert()


def _signatures(found):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=bytes(found._float_model_buffer))
    for key, parts in interpreter.get_signature_list().items():
        yield key, parts["inputs"][0]
