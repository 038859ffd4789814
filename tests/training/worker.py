"""A small training, run in a process of its own by the tests of this folder; prints what came out as JSON.

Arguments: `KEY=VALUE` as in `DEFAULTS`.
"""

import json
import os
import sys

DEFAULTS = {
    "bits": "8",
    "quantizer": "auto",
    "strategy": "none",  # none, mirrored, workers, data_parallel
    "epochs": "3",
    "backup": "",  # folder of BackupAndRestore
    "stop": "",  # step after which the process kills itself
    "callbacks": "0",
    "export": "0",
    "steps": "1",  # steps an execution
}


def main(arguments):
    options = {**DEFAULTS, **dict(argument.split("=", 1) for argument in arguments)}
    if options["strategy"] == "data_parallel":
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import numpy as np

    scope = _scope(options["strategy"])
    import keras

    import kqat

    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6, 6, 2)).astype("float32")
    y = x.mean((1, 2)) @ np.array([[1.0, -1.0, 2.0], [0.5, 2.0, -1.0]], "float32") * 5
    with scope:
        model = kqat.quantize(net(keras, rng), int(options["bits"]), quantizer=options["quantizer"])
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.5), "mse", steps_per_execution=int(options["steps"])
        )
    fit = _fit_by_hand if options["strategy"] == "workers" else _fit
    losses = fit(model, x, y, int(options["epochs"]), _callbacks(keras, kqat, options, x))
    result = {"losses": losses, "state": _state(keras, model)}
    if options["strategy"] == "data_parallel":
        result["devices"] = len(keras.distribution.list_devices())
    if options["export"] == "1":
        report = kqat.verify(model, kqat.export_tflite(model), x)
        result["exact"] = report.max_lsb == 0
    print("RESULT " + json.dumps(result))


def _fit(model, x, y, epochs, callbacks):
    history = model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return history.history["loss"]


def _fit_by_hand(model, x, y, epochs, callbacks):
    """As `fit`, which Keras does not offer between several workers, for float models neither."""
    import keras
    import tensorflow as tf

    strategy = model.distribute_strategy
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    batches = strategy.experimental_distribute_dataset(batches)

    def step(x, y):
        with tf.GradientTape() as tape:
            squares = tf.reduce_mean((model(x, training=True) - y) ** 2, axis=-1)
            loss = tf.reduce_sum(squares) / 16
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    run = tf.function(lambda batch: strategy.reduce("SUM", strategy.run(step, args=batch), axis=None))
    losses = []
    with strategy.scope():  # a backup brings the variables of the optimizer along
        callbacks.on_train_begin()
    for epoch in range(getattr(model, "_initial_epoch", None) or 0, epochs):
        callbacks.on_epoch_begin(epoch)
        seen = []
        for number, batch in enumerate(batches):
            callbacks.on_train_batch_begin(number)
            seen.append(float(run(batch)))
            callbacks.on_train_batch_end(number)
        losses.append(sum(seen) / len(seen))
        callbacks.on_epoch_end(epoch, {"loss": losses[-1]})
    callbacks.on_train_end()
    return losses


def net(keras, rng):
    """A convolution, an addition and a matrix product, with the same weights on every backend."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    b = layers.Conv2D(4, 1, name="shortcut")(a)
    pooled = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([a, b])))
    model = keras.Model(inputs, layers.Dense(3, name="head")(pooled))
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.3, size=weight.shape).astype("float32"))
    return model


def _scope(strategy):
    import contextlib

    if strategy == "data_parallel":
        import keras

        keras.distribution.set_distribution(keras.distribution.DataParallel())
    if strategy == "mirrored":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
    if strategy == "workers":
        import tensorflow as tf

        return tf.distribute.MultiWorkerMirroredStrategy().scope()
    return contextlib.nullcontext()


def _callbacks(keras, kqat, options, x):
    found = []
    if options["backup"]:
        found.append(kqat.callbacks.BackupAndRestore(options["backup"], delete_checkpoint=False))
    if options["callbacks"] == "1":
        found += [
            kqat.callbacks.QuantizationSchedule(start=0, freeze_ranges=1, freeze_batchnorm=1),
            kqat.callbacks.BitSchedule({0: 8, 1: int(options["bits"])}),
            kqat.callbacks.QuantizationMonitor(data=x[:16], per_layer=False),
        ]
    if options["stop"]:
        found.append(_killer(keras, int(options["stop"])))
    return found


def _killer(keras, step):
    """Ends the process without warning, as an outage does."""

    class Killer(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1
            if self.seen == step:
                os.kill(os.getpid(), 9)

    return Killer()


def _state(keras, model):
    from kqat.quantizers.find import find

    return {
        f"{place.path}/{v.name}": _lists(keras.ops.convert_to_numpy(v))
        for place in find(model)
        for v in place.quantizer.variables
    }


def _lists(value):
    return value.astype("float64").tolist()


if __name__ == "__main__":
    main(sys.argv[1:])
