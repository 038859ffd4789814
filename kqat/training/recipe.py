"""How a quantized model is trained, by the number of bits that it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from kqat.quantizers.find import find

RATES = ((1, 2.5e-3), (3, 1e-3), (7, 5e-4), (16, 1e-4))  # first rate, up to so many bits
WARM_UP = 0.02  # share of the steps in which the rate rises to it


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Args:
        rate: Learning rate of Adam after a short rise; a cosine takes it to 0.
        label_weight: What the labels count for beside a teacher, 0 to 1; the teacher has the rest.
        temperature: By which logits are divided before they are compared: the higher, the more the wrong
            classes count.
        widths: `{epoch: bits}` of a `kqat.callbacks.BitSchedule`, empty for none.

    Threads: may share one.

    References:
        Kingma, Ba, "Adam: A Method for Stochastic Optimization", 2015. Loshchilov, Hutter, "SGDR: Stochastic
        Gradient Descent with Warm Restarts", 2017 (the cosine). Hinton, Vinyals, Dean, "Distilling the
        Knowledge in a Neural Network", 2015 (the temperature).
    """

    rate: float = 1e-3
    label_weight: float = 0.25
    temperature: float = 4.0
    widths: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self):
        for name, value, good, remedy in (
            ("rate", self.rate, self.rate > 0, "Use a number above 0, such as 1e-3."),
            ("label_weight", self.label_weight, 0 <= self.label_weight <= 1, "Use a share from 0 to 1."),
            ("temperature", self.temperature, self.temperature > 0, "Use a number above 0, such as 4."),
        ):
            if not good:
                raise ValueError(f"`{name}` is out of range. Received: {name}={value!r}. {remedy}")

    @classmethod
    def of(cls, model: keras.Model) -> "Recipe":
        """Returns the recipe for a quantized model: the fewer bits, the further the weights have to go.

        Args:
            model: What `kqat.quantize` returned.
        """
        narrowest = min((place.quantizer.planned_bits for place in find(model)), default=16)
        return cls(rate=next(rate for bits, rate in RATES if narrowest <= bits))

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """Returns Adam with the rate of each of so many steps.

        Args:
            steps: Of the whole training.
        """
        rise = int(WARM_UP * steps)
        start = {"initial_learning_rate": self.rate / max(rise, 1), "warmup_target": self.rate}
        settings = {**start, "warmup_steps": rise} if rise else {"initial_learning_rate": self.rate}
        cosine = keras.optimizers.schedules.CosineDecay(decay_steps=max(steps - rise, 1), **settings)
        return keras.optimizers.Adam(cosine)
