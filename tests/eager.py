"""How tests train where compiling is not what they are about."""

import keras

# Compiling a step takes TensorFlow as long as ten eager steps. JAX compiles each operation of an eager step,
# and the branches of a conditional in each step anew.
EAGERLY = {"run_eagerly": keras.backend.backend() != "jax"}
