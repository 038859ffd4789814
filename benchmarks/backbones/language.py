"""Small backbones of KerasHub that read text, with data for each."""

import importlib
from typing import Any

import numpy as np

keras_hub: Any = importlib.import_module("keras_hub")  # it needs Python 3.11

LENGTH, WORDS = 12, 50
_SMALL = {"vocabulary_size": WORDS, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32}
_HEADS = {"num_heads": 2}
_LONGEST = {"max_sequence_length": LENGTH}
_GROUPED = {"num_query_heads": 4, "num_key_value_heads": 2}
_SHARED = {"num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 8}


def _ids(seed=0):
    return np.random.default_rng(seed).integers(1, WORDS, (2, LENGTH)).astype("int32")


def _mask():
    kept = np.ones((2, LENGTH), "int32")
    kept[0, -3:] = 0
    return kept


def _tokens():
    return {"token_ids": _ids(), "padding_mask": _mask()}


def _segments():
    return {**_tokens(), "segment_ids": np.zeros((2, LENGTH), "int32")}


def _without_mask():
    return {"token_ids": _ids(), "segment_ids": np.zeros((2, LENGTH), "int32")}


def _both_sides():
    sides = {"encoder": 0, "decoder": 1}
    ids = {f"{side}_token_ids": _ids(seed) for side, seed in sides.items()}
    return {**ids, **{f"{side}_padding_mask": _mask() for side in sides}}


def _speech():
    features = np.random.default_rng(0).normal(size=(2, 16, 8)).astype("float32")
    return {"encoder_features": features, "decoder_token_ids": _ids(), "decoder_padding_mask": _mask()}


_ELECTRA = {
    "vocab_size": WORDS,
    "num_layers": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "embedding_dim": 16,
}
_WINDOW = {"use_sliding_window_attention": True, "sliding_window_size": 5}
_SOFT_CAPS = {"attention_logit_soft_cap": 50, "final_logit_soft_cap": 30}
_POST_NORMS = {"use_post_ffw_norm": True, "use_post_attention_norm": True}
_SMOLLM = {
    "num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": False, "attention_dropout": 0.0,
    "rope_layer_enabled_list": [True, True], "layer_types": ["full_attention"] * 2, "mlp_bias": False,
    "layer_norm_epsilon": 1e-5, "max_position_embeddings": LENGTH, "rope_theta": 10000,
    "partial_rotary_factor": 1.0,
}  # fmt: skip
_WHISPER = {"num_mels": 8, "max_encoder_sequence_length": 16, "max_decoder_sequence_length": LENGTH}

# By name: the class, its arguments, and what makes the data.
LANGUAGE = {
    "ALBERT": ("AlbertBackbone", {**_SMALL, **_HEADS, **_LONGEST, "embedding_dim": 8}, _segments),
    "BART": ("BartBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _both_sides),
    "BERT": ("BertBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _segments),
    "BLOOM": ("BloomBackbone", {**_SMALL, **_HEADS}, _tokens),
    "DeBERTa V3": ("DebertaV3Backbone", {**_SMALL, **_HEADS, **_LONGEST, "bucket_size": 4}, _tokens),
    "DistilBERT": ("DistilBertBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _tokens),
    "ELECTRA": ("ElectraBackbone", {**_ELECTRA, **_HEADS, **_LONGEST}, _segments),
    "ESM": ("ESM2Backbone", {**_SMALL, **_HEADS}, lambda: {"token_ids": _ids()}),
    "FNet": ("FNetBackbone", {**_SMALL, **_LONGEST}, _without_mask),
    "Falcon": ("FalconBackbone", {**_SMALL, "num_attention_heads": 2}, _tokens),
    "GPT-2": ("GPT2Backbone", {**_SMALL, **_HEADS, **_LONGEST}, _tokens),
    "GPT-NeoX": ("GPTNeoXBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _tokens),
    "Gemma": ("GemmaBackbone", {**_SMALL, **_SHARED}, _tokens),
    "Gemma 2": ("GemmaBackbone", {**_SMALL, **_SHARED, **_WINDOW, **_SOFT_CAPS, **_POST_NORMS}, _tokens),
    "Gemma 3": ("Gemma3Backbone", {**_SMALL, **_SHARED, **_WINDOW, "image_size": 16}, _tokens),
    "Llama": ("LlamaBackbone", {**_SMALL, **_GROUPED}, _tokens),
    "Llama 3": ("Llama3Backbone", {**_SMALL, **_GROUPED}, _tokens),
    "Mistral": ("MistralBackbone", {**_SMALL, **_GROUPED, "sliding_window": 5}, _tokens),
    "Mixtral": ("MixtralBackbone", {**_SMALL, **_GROUPED, "num_experts": 2, "top_k": 1}, _tokens),
    "OPT": ("OPTBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _tokens),
    "Phi-3": ("Phi3Backbone", {**_SMALL, **_GROUPED}, _tokens),
    "Qwen 2": ("Qwen2Backbone", {**_SMALL, **_GROUPED}, _tokens),
    "Qwen 3": ("Qwen3Backbone", {**_SMALL, **_GROUPED, "head_dim": 4}, _tokens),
    "RoBERTa": ("RobertaBackbone", {**_SMALL, **_HEADS, **_LONGEST}, _tokens),
    "RoFormer V2": ("RoformerV2Backbone", {**_SMALL, **_HEADS, "head_size": 8}, _without_mask),
    "SmolLM 3": ("SmolLM3Backbone", {**_SMALL, **_SMOLLM}, _tokens),
    "T5": ("T5Backbone", {**_SMALL, **_HEADS, "key_value_dim": 8}, _both_sides),
    "Whisper": ("WhisperBackbone", {**_SMALL, **_HEADS, **_WHISPER}, _speech),
    "XLNet": ("XLNetBackbone", {**_SMALL, **_HEADS}, _segments),
}


def build(name: str):
    """Returns a backbone and data for it, a dictionary of arrays by the names of its inputs."""
    cls, arguments, data = LANGUAGE[name]
    return getattr(keras_hub.models, cls)(**arguments), data()
