"""Tables that are looked up in."""

from keras import layers as kl

from kqat.layers.registry import register
from kqat.layers.treatments.kinds import named, weighted

_ROWS = weighted(0, attribute="embeddings")

# With low-rank updates the table is computed, not stored.
register(kl.Embedding, treatment=lambda op: None if op.lora_enabled else _ROWS)
register(*named("ReversibleEmbedding"), treatment=lambda op: None)  # which also multiplies with its table
