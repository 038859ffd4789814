"""Quantization-aware training for Keras 3, from `quantize` to `fit` to a verified `.tflite` file."""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from kqat.core.after_import import after_import
from kqat.core.optional import import_with_backend

if TYPE_CHECKING:
    from kqat import callbacks, constraints, context, errors, layers, metrics, optimizers, quantizers, runtime
    from kqat.api import plan, quantize, strip_fake_quant
    from kqat.context import quantized_scope
    from kqat.core.spec import LayerPlan, Rule
    from kqat.export.c_array import export_c_array
    from kqat.export.comparing.report import VerifyReport
    from kqat.export.dynamic import export_dynamic
    from kqat.export.lce import export_lce
    from kqat.export.tflite import Export, export_tflite
    from kqat.export.verify import verify
    from kqat.export.weight_only import export_weight_only
    from kqat.export.writing.report import Report
    from kqat.layers.own import register
    from kqat.legacy.bridge import convert
    from kqat.packed import load_packed, save_packed
    from kqat.saving import load_model
    from kqat.transforms.calibrate import calibrate
    from kqat.transforms.h5_weights import load_h5_weights
    from kqat.transforms.plan import Plan
    from kqat.transforms.reestimate import reestimate_batchnorm
    from kqat.transforms.summary import Summary, summary
    from kqat.transforms.transfer import transfer_weights

__version__ = "0.1.0"
__all__ = [
    "Export",
    "LayerPlan",
    "Plan",
    "Report",
    "Rule",
    "Summary",
    "VerifyReport",
    "calibrate",
    "callbacks",
    "constraints",
    "context",
    "convert",
    "errors",
    "export_c_array",
    "export_dynamic",
    "export_lce",
    "export_tflite",
    "export_weight_only",
    "layers",
    "load_h5_weights",
    "load_model",
    "load_packed",
    "metrics",
    "optimizers",
    "plan",
    "quantize",
    "quantized_scope",
    "quantizers",
    "reestimate_batchnorm",
    "register",
    "runtime",
    "save_packed",
    "strip_fake_quant",
    "summary",
    "transfer_weights",
    "verify",
]

_SUBPACKAGES = {
    *("callbacks", "constraints", "context", "errors", "layers", "metrics", "optimizers", "quantizers"),
    "runtime",
}
_HOME = {
    "Export": "kqat.export.tflite",
    "LayerPlan": "kqat.core.spec",
    "Plan": "kqat.transforms.plan",
    "Report": "kqat.export.writing.report",
    "Rule": "kqat.core.spec",
    "Summary": "kqat.transforms.summary",
    "VerifyReport": "kqat.export.comparing.report",
    "calibrate": "kqat.transforms.calibrate",
    "convert": "kqat.legacy.bridge",
    "export_c_array": "kqat.export.c_array",
    "export_dynamic": "kqat.export.dynamic",
    "export_lce": "kqat.export.lce",
    "export_tflite": "kqat.export.tflite",
    "export_weight_only": "kqat.export.weight_only",
    "load_h5_weights": "kqat.transforms.h5_weights",
    "load_model": "kqat.saving",
    "load_packed": "kqat.packed",
    "plan": "kqat.api",
    "quantize": "kqat.api",
    "quantized_scope": "kqat.context",
    "reestimate_batchnorm": "kqat.transforms.reestimate",
    "register": "kqat.layers.own",
    "save_packed": "kqat.packed",
    "strip_fake_quant": "kqat.api",
    "summary": "kqat.transforms.summary",
    "transfer_weights": "kqat.transforms.transfer",
    "verify": "kqat.export.verify",
}


def __getattr__(name):
    """Loads a public name at its first use (PEP 562), so that `import kqat` alone loads no framework."""
    if name in _SUBPACKAGES:
        return import_with_backend(f"kqat.{name}")
    if name in _HOME:
        value = getattr(import_with_backend(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kqat' has no attribute {name!r}. Public names: {', '.join(__all__)}.")


def __dir__():
    return sorted([*globals(), *__all__])


# Keras finds a class of a saved model only where it is registered, and no longer imports modules that a
# file names. So that plain `keras.saving.load_model` works, the classes are registered with Keras loaded.
after_import("keras", partial(import_module, "kqat.saving"))
