"""The models by name, of all kinds."""

from benchmarks.published import (
    adversarial,
    audio,
    detection,
    embeddings,
    generative,
    language,
    recommenders,
    reinforcement,
    restoration,
    segmentation,
    tabular,
    text,
    time_series,
    transformers,
    video,
    vision,
    windows,
)

KINDS = {
    "Images": vision.MODELS,
    "Comparing images": embeddings.MODELS,
    "Vision transformers": transformers.MODELS | windows.MODELS,
    "Segmentation and depth": segmentation.MODELS,
    "Restoring images": restoration.MODELS,
    "Detection and reading": detection.MODELS,
    "Videos, volumes, points": video.MODELS,
    "Text": text.MODELS,
    "Language": language.MODELS,
    "Audio": audio.MODELS,
    "Time series": time_series.MODELS,
    "Tables": tabular.MODELS,
    "Recommenders and graphs": recommenders.MODELS,
    "Generative": generative.MODELS,
    "Adversarial and style": adversarial.MODELS,
    "Reinforcement learning": reinforcement.MODELS,
}
MODELS = {name: build for kind in KINDS.values() for name, build in kind.items()}
