"""Runs a `.tflite` file with LiteRT: predictions of a whole test set, and the time of one image."""

import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class Runner:
    """One loaded file.

    Args:
        content: Bytes of the `.tflite` file.
        batch: Images of one invocation.
        threads: CPU threads of the runtime.
    """

    def __init__(self, content, batch=1, threads=1):
        self.batch = batch
        self.interpreter = Interpreter(model_content=content, num_threads=threads)
        (entry,) = self.interpreter.get_input_details()
        self.interpreter.resize_tensor_input(entry["index"], [batch, *entry["shape"][1:]], strict=False)
        self.interpreter.allocate_tensors()
        (self.input,) = self.interpreter.get_input_details()
        self.output = self.interpreter.get_output_details()[0]

    def predict(self, x):
        """Returns the real outputs for `x` `(N, …)`, as float32 `(N, …)`."""
        chunks = [self._run(x[i : i + self.batch]) for i in range(0, len(x), self.batch)]
        return np.concatenate(chunks)

    def latency(self, x, runs=200):
        """Returns the median time of one invocation in microseconds, over `runs` runs after a warm-up."""
        self._run(x[: self.batch])
        times = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            self.interpreter.invoke()
            times.append(time.perf_counter_ns() - start)
        return float(np.median(times)) / 1e3

    def _run(self, x):
        missing = self.batch - len(x)
        padded = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x
        self.interpreter.set_tensor(self.input["index"], _encode(padded, self.input))
        self.interpreter.invoke()
        # get_tensor copies: the runtime's buffer is reused by the next call.
        return _decode(self.interpreter.get_tensor(self.output["index"]), self.output)[: len(x)]


def _encode(x, details):
    """Returns `x` in the type of an input tensor."""
    scale, zero = details["quantization"]
    if not scale:
        return x.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(x / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def _decode(codes, details):
    """Returns the real values of an output tensor."""
    scale, zero = details["quantization"]
    return codes.astype(np.float32) if not scale else (codes.astype(np.float32) - zero) * np.float32(scale)


def top1(outputs, labels):
    """Returns the share of rows of `outputs` whose largest value is at the label."""
    return float(np.mean(np.argmax(outputs, axis=-1) == labels))
