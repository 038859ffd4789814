"""One optimizer for these variables, another for those."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="kqat")
class CaseOptimizer(keras.optimizers.Optimizer):
    """Trains each variable with the optimizer whose predicate is true for it.

    Args:
        *predicate_optimizer_pairs: Pairs of a function from a variable to a truth value, and a Keras
            optimizer.
        default_optimizer: For variables that no predicate claims; `None` does not train them.
        assignment: For loading: number of the optimizer of each variable, in place of predicates.
        name: Name of the optimizer.

    Raises:
        TypeError: A predicate is no function, or an optimizer none of Keras's.
        ValueError: At the first step: two predicates claim a variable, or one claims none.

    Example:
        >>> import keras, kqat
        >>> optimizer = kqat.optimizers.CaseOptimizer(
        ...     (kqat.optimizers.Bop.is_binary_variable, kqat.optimizers.Bop(threshold=1e-6)),
        ...     default_optimizer=keras.optimizers.Adam(0.01),
        ... )
    """

    def __init__(
        self,
        *predicate_optimizer_pairs: tuple[Callable, keras.optimizers.Optimizer],
        default_optimizer: keras.optimizers.Optimizer | None = None,
        assignment: Sequence[int | None] | None = None,
        name: str = "case_optimizer",
    ):
        super().__init__(learning_rate=0.0, name=name)
        self.predicates = [_checked(pair) for pair in predicate_optimizer_pairs]
        self.optimizers = [optimizer for _, optimizer in predicate_optimizer_pairs]
        self.default_optimizer = default_optimizer
        if default_optimizer is not None:
            _check_optimizer(default_optimizer)
            self.optimizers.append(default_optimizer)
        self._cases = _Cases(assignment)

    @property
    def variables(self):
        """The variables of all optimizers."""
        return super().variables + [v for optimizer in self.optimizers for v in optimizer.variables]

    @property
    def learning_rate(self):
        """That of the default optimizer."""
        return self._leading.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._leading.learning_rate = value

    @property
    def _leading(self):
        return self.optimizers[-1]

    def build(self, variables: Any) -> None:
        """Splits the variables among the optimizers."""
        if self.built:
            return
        super().build(variables)
        known = self._cases.loaded
        for position, variable in enumerate(variables):
            self._cases.add(variable, self._case(variable) if known is None else known[position])
        for number, optimizer in enumerate(self.optimizers):
            own = [variable for variable in variables if self._cases.number(variable) == number]
            if not own and number < len(self.predicates):
                raise ValueError(
                    f"The predicate for {type(optimizer).__name__} claims no variable. Received: "
                    f"{[variable.path for variable in variables]}. For Bop, use layers with "
                    "kernel_quantizer=kqat.quantizers.NoOp(precision=1)."
                )
            if own:
                optimizer.build(own)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Hands gradients to the optimizers of their variables."""
        if trainable_variables is None:
            variables = list(self._cases.variables)
        else:
            variables = list(trainable_variables)
            self.build(variables)
        for number, optimizer in enumerate(self.optimizers):
            pairs = [
                (grad, variable)
                for grad, variable in zip(grads, variables, strict=True)
                if self._cases.number(variable) == number
            ]
            if pairs:
                optimizer.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        self.iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Has each optimizer set the final values of its variables."""
        for number, optimizer in enumerate(self.optimizers):
            own = [variable for variable in var_list if self._cases.number(variable) == number]
            if own:
                optimizer.finalize_variable_values(own)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration: the optimizers, and which variables each has."""
        cases = self.optimizers[: len(self.predicates)]
        return {
            "name": self.name,
            "optimizers": [keras.optimizers.serialize(optimizer) for optimizer in cases],
            "default_optimizer": (
                None if self.default_optimizer is None else keras.optimizers.serialize(self.default_optimizer)
            ),
            "assignment": self._cases.assignment,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the optimizer that `get_config` described."""
        made = [keras.optimizers.deserialize(one, custom_objects) for one in config["optimizers"]]
        default = config["default_optimizer"]
        return cls(
            *((_never, optimizer) for optimizer in made),
            default_optimizer=None
            if default is None
            else keras.optimizers.deserialize(default, custom_objects),
            assignment=config["assignment"],
            name=config["name"],
        )

    def _case(self, variable) -> int | None:
        claims = [number for number, predicate in enumerate(self.predicates) if predicate(variable)]
        if len(claims) > 1:
            raise ValueError(
                f"Variable '{variable.path}' is claimed by {len(claims)} optimizers. Received: predicates "
                "that overlap. Use predicates of which at most one is true."
            )
        if not claims and self.default_optimizer is None:
            warnings.warn(
                f"Variable '{variable.path}' is not trained. Received: no predicate that is true for it, and "
                "no default_optimizer. Use one, or set trainable=False.",
                stacklevel=2,
            )
            return None
        return claims[0] if claims else len(self.predicates)


class _Cases:
    """Which optimizer has which variable: by identity in this process, by position in a file.

    Paths do not serve: those of a loaded model lack its name.
    """

    def __init__(self, assignment: Sequence[int | None] | None = None):
        self.loaded: list[int | None] | None = None if assignment is None else list(assignment)
        self.variables: list = []
        self.numbers: dict[int, int | None] = {}

    def add(self, variable, number: int | None) -> None:
        self.variables.append(variable)
        self.numbers[id(variable)] = number

    def number(self, variable) -> int | None:
        """Returns the number of the optimizer of a variable."""
        return self.numbers.get(id(variable))

    @property
    def assignment(self) -> list[int | None] | None:
        """The numbers in the order of the variables, `None` before the first step."""
        return [self.number(variable) for variable in self.variables] if self.variables else self.loaded


def _checked(pair):
    predicate, optimizer = pair
    if not callable(predicate):
        raise TypeError(f"A predicate is a function. Received: {predicate!r}. Use Bop.is_binary_variable.")
    _check_optimizer(optimizer)
    return predicate


def _check_optimizer(optimizer) -> None:
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(
            f"An optimizer of Keras is needed. Received: {optimizer!r}. Use keras.optimizers.Adam()."
        )


def _never(variable) -> bool:
    """Stands for the predicate of a loaded optimizer, whose variables are known by position."""
    return False
