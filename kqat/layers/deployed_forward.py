"""Training on the deployed arithmetic itself, once the statistics of BatchNorm no longer move."""

from collections.abc import Callable

from keras import ops

from kqat.ops.ste import straight_through


class DeployedForward:
    """Hands the integer result of a layer to the quantizer behind it, within one call of the model.

    The simulation of training rounds almost as the runtime does; the gradients are its own. With
    BatchNorm frozen the integer result takes the place of the simulated one, and the gradient still
    flows through the simulation: what is trained is then what is shipped, bit for bit.
    """

    def __init__(self):
        self._output = self._flag = self._compute = None

    def offer(self, output, flag, compute: Callable) -> None:
        """Notes the simulated output of the layer and how to compute the deployed one.

        Args:
            output: What the layer returns.
            flag: Variable, above 0.5 where BatchNorm is frozen, or `None`: then there is nothing to offer.
            compute: Returns the deployed output.
        """
        self._output, self._flag, self._compute = (output, flag, compute) if flag is not None else (None,) * 3

    def take(self, simulated, rounded, enabled):
        """Returns `rounded`, with the deployed values where BatchNorm is frozen.

        Args:
            simulated: What the quantizer was given; the offer stands for this very tensor.
            rounded: The same, quantized.
            enabled: Variable, above 0.5 where the quantizer is on.
        """
        if self._compute is None or self._output is not simulated:
            return rounded
        flag, compute = self._flag, self._compute
        self._output = self._flag = self._compute = None  # lives no longer than the call
        active = ops.logical_and(ops.convert_to_tensor(flag) > 0.5, ops.convert_to_tensor(enabled) > 0.5)
        deployed = lambda: ops.cast(compute(), rounded.dtype)  # noqa: E731 - float32, whatever the policy
        return ops.cond(active, lambda: straight_through(deployed(), rounded), lambda: rounded)


def frozen_flag(layer):
    """Returns the variable that says whether BatchNorm is frozen, or `None` in a model without BatchNorm.

    The layer's own, or that of the nearest layer before it: they are frozen together.
    """
    waiting, seen = [layer], set()
    while waiting:
        layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        flag = getattr(layer, "batchnorm_frozen", None)
        if flag is not None:
            return flag
        waiting += layer.layers_before()
    return None


def first_output(outputs):
    """Returns the output that gets a grid, of several."""
    return outputs[0] if isinstance(outputs, list | tuple) else outputs
