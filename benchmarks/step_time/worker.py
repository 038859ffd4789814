"""The tf_keras side of the comparison: `python -m benchmarks.step_time.worker`.

tfmot needs tf_keras in the place of Keras, so it lives in a process of its own, which stays alive
and waits on its standard input: a line `float 20` or `tfmot 20` runs that many training steps of
that model and answers with one line of JSON, the seconds of each step.
"""

import json
import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow_model_optimization as tfmot
import tf_keras

from benchmarks.resnet import resnet20
from benchmarks.step_time.timing import Trainer


def main(batch):
    """Answers requests until its standard input ends."""
    trainers = {
        "float": Trainer(tf_keras, resnet20(tf_keras), batch),
        "tfmot": Trainer(tf_keras, tfmot.quantization.keras.quantize_model(resnet20(tf_keras)), batch),
    }
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, steps = line.split()
        print(json.dumps(trainers[name].steps(int(steps))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
