"""Runs `worker.py` in processes of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 300


def start(backend="tensorflow", environment=None, prelude="", **options):
    """Starts a training and returns its process."""
    code = f"{prelude}\nimport sys\nfrom tests.training import worker\nworker.main(sys.argv[1:])"
    arguments = [f"{key}={value}" for key, value in options.items()]
    env = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process, killed=False):
    """Waits for a training and returns what it reports, or `None` for one that was killed as planned."""
    try:
        out, error = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if killed:
        assert process.returncode == -9, error[-3000:]
        return None
    assert process.returncode == 0, error[-3000:]
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return json.loads(lines[-1].removeprefix("RESULT "))


def train(backend="tensorflow", **options):
    """Runs a training and returns what it reports."""
    return finish(start(backend, **options))


def start_workers(count=2, each=None, **options):
    """Starts one process for each worker of a MultiWorkerMirroredStrategy on this machine.

    Args:
        count: Number of workers.
        each: Further options of single workers, by index.
        **options: Options of all.
    """
    cluster = {"worker": [f"127.0.0.1:{_free_port()}" for _ in range(count)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [
        start(
            environment={"TF_CONFIG": json.dumps(task)},
            strategy="workers",
            **{**options, **(each or {}).get(index, {})},
        )
        for index, task in enumerate(tasks)
    ]


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
