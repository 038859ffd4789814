"""Quantization-aware training for Keras 3, from `quantize` to `fit` to a verified `.tflite` file."""

from kqat.core.backend import import_keras

import_keras()

from kqat import (
    callbacks,
    constraints,
    context,
    errors,
    layers,
    metrics,
    optimizers,
    ptq,
    quantizers,
    runtime,
    targets,
    training,
)
from kqat.api import plan, quantize, strip_fake_quant
from kqat.bridge.convert import convert
from kqat.context import quantized_scope
from kqat.core import observers
from kqat.core.note import Note
from kqat.core.spec import LayerPlan, Rule
from kqat.core.version import __version__ as __version__
from kqat.export import checks
from kqat.export.c_array import export_c_array
from kqat.export.comparing.report import VerifyReport
from kqat.export.dynamic import export_dynamic
from kqat.export.lce import export_lce
from kqat.export.tflite import Export, export_tflite
from kqat.export.verify import verify
from kqat.export.weight_only import export_weight_only
from kqat.export.writing.report import Report
from kqat.layers.registration import register
from kqat.packed import load_packed, save_packed
from kqat.ptq.calibrate import calibrate
from kqat.ptq.reestimate import reestimate_batchnorm
from kqat.saving import load_model
from kqat.training.finetune import finetune
from kqat.transforms.h5_weights import load_h5_weights
from kqat.transforms.plan import Plan
from kqat.transforms.summary import Summary, summary
from kqat.transforms.transfer import transfer_weights

__all__ = [
    "Export",
    "LayerPlan",
    "Note",
    "Plan",
    "Report",
    "Rule",
    "Summary",
    "VerifyReport",
    "calibrate",
    "callbacks",
    "checks",
    "constraints",
    "context",
    "convert",
    "errors",
    "export_c_array",
    "export_dynamic",
    "export_lce",
    "export_tflite",
    "export_weight_only",
    "finetune",
    "layers",
    "load_h5_weights",
    "load_model",
    "load_packed",
    "metrics",
    "observers",
    "optimizers",
    "plan",
    "ptq",
    "quantize",
    "quantized_scope",
    "quantizers",
    "reestimate_batchnorm",
    "register",
    "runtime",
    "save_packed",
    "strip_fake_quant",
    "summary",
    "targets",
    "training",
    "transfer_weights",
    "verify",
]
