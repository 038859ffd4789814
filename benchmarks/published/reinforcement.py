"""Policies and values of reinforcement learning."""

import keras
from keras import layers, ops

from benchmarks.published.data import images, numbers


def deep_q():
    """Mnih et al., "Human-Level Control through Deep Reinforcement Learning", 2015: channels come first."""
    model = keras.Sequential(
        [
            keras.Input((4, 44, 44)),
            layers.Lambda(lambda tensor: ops.transpose(tensor, [0, 2, 3, 1]), output_shape=(44, 44, 4)),
            layers.Conv2D(8, 8, strides=4, activation="relu"),
            layers.Conv2D(16, 4, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=1, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(4, activation="linear"),
        ]
    )
    return model, images(44, 4).transpose(0, 3, 1, 2) / 255


def actor_critic():
    inputs = layers.Input(shape=(4,))
    common = layers.Dense(32, activation="relu")(inputs)
    return keras.Model(
        inputs, [layers.Dense(2, activation="softmax")(common), layers.Dense(1)(common)]
    ), numbers(4)


def ddpg_actor():
    """Lillicrap et al., "Continuous Control with Deep Reinforcement Learning", 2016."""
    last_init = keras.initializers.RandomUniform(minval=-0.003, maxval=0.003)
    inputs = layers.Input(shape=(3,))
    out = layers.Dense(32, activation="relu")(layers.Dense(32, activation="relu")(inputs))
    return keras.Model(
        inputs, layers.Dense(1, activation="tanh", kernel_initializer=last_init)(out) * 2.0
    ), numbers(3)


def ddpg_critic():
    state, action = layers.Input(shape=(3,)), layers.Input(shape=(1,))
    x = layers.Dense(32, activation="relu")(layers.Dense(16, activation="relu")(state))
    x = layers.Concatenate()([x, layers.Dense(32, activation="relu")(action)])
    x = layers.Dense(32, activation="relu")(layers.Dense(32, activation="relu")(x))
    return keras.Model([state, action], layers.Dense(1)(x)), [numbers(3), numbers(1, seed=1)]


def ppo():
    """Schulman et al., "Proximal Policy Optimization Algorithms", 2017: log-probabilities and a value."""

    def mlp(x, sizes, activation="tanh", output_activation=None):
        for size in sizes[:-1]:
            x = layers.Dense(units=size, activation=activation)(x)
        return layers.Dense(units=sizes[-1], activation=output_activation)(x)

    observation = keras.Input(shape=(4,), dtype="float32")
    logprobabilities = ops.log_softmax(mlp(observation, [32, 32, 2]))
    value = ops.squeeze(mlp(observation, [32, 32, 1]), axis=1)
    return keras.Model(inputs=observation, outputs=[logprobabilities, value]), numbers(4)


class Dueling(keras.Model):
    """Wang et al., "Dueling Network Architectures", 2016."""

    def __init__(self, actions):
        super().__init__()
        self.body = keras.Sequential(
            [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu")]
        )
        self.value, self.advantage = layers.Dense(1), layers.Dense(actions)

    def call(self, state):
        x = self.body(state)
        advantage = self.advantage(x)
        return self.value(x) + advantage - ops.mean(advantage, axis=1, keepdims=True)


def dueling():
    model = Dueling(3)
    model(numbers(6))
    return model, numbers(6)


MODELS = {
    "DQN": deep_q,
    "Actor-critic": actor_critic,
    "DDPG actor": ddpg_actor,
    "DDPG critic": ddpg_critic,
    "PPO": ppo,
    "Dueling network": dueling,
}
