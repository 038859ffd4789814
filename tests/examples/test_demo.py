"""The demo, end to end on a small scale, and its parts."""

import numpy as np
import pytest

from examples import chart, demo
from examples.runtime import top1

PNG = b"\x89PNG\r\n\x1a\n"


def test_demo_runs_to_its_table_and_chart(tmp_path, capsys):
    rows = demo.main(["--epochs", "10", "--bits", "8", "--out", str(tmp_path / "out")])
    assert [row["name"] for row in rows] == ["float", "W8A8"]
    written = tmp_path / "out" / "mynet_digits_8bit.tflite"
    assert written.stat().st_size == rows[1]["bytes"]
    assert written.with_stem("mynet_digits_8bit_packed").stat().st_size == rows[1]["packed"]
    assert (tmp_path / "out" / "mynet_digits.png").read_bytes().startswith(PNG)
    printed = capsys.readouterr().out
    assert "W8A8" in printed
    assert f"{rows[1]['bytes']:,}" in printed
    # 8 bits lose nothing that matters: at most 3 of 100 test images, whatever the few epochs reached.
    assert rows[1]["tflite"] >= rows[0]["keras"] - 0.03
    # The file is the model: the same class on all but at most one of the 359 images.
    assert rows[1]["agreement"] >= 1 - 1 / 359
    # Integer weights take a quarter of the float ones, and the file some structure around them.
    assert rows[1]["bytes"] < 0.4 * rows[0]["bytes"]


def test_options_are_those_of_the_readme():
    args = demo.parse(["--data", "fashion-mnist", "--epochs", "3", "--bits", "8", "3", "--out", "x"])
    assert (args.data, args.epochs, args.bits, str(args.out)) == ("fashion-mnist", 3, [8, 3], "x")
    assert demo.parse([]).bits == [8, 4, 2]


def test_unknown_data_set_is_refused(capsys):
    with pytest.raises(SystemExit):
        demo.parse(["--data", "svhn"])
    assert "fashion-mnist" in capsys.readouterr().err


def test_chart_is_written(tmp_path):
    rows = [
        {"name": "float", "keras": 0.98, "bytes": 4000},
        {"name": "W2A2", "keras": 0.9, "tflite": 0.89, "bytes": 1100},
    ]
    chart.accuracy_and_size(rows, tmp_path / "chart.png", "title")
    assert (tmp_path / "chart.png").read_bytes().startswith(PNG)


def test_top1_counts_the_largest():
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert top1(outputs, np.array([1, 0, 0, 0])) == 0.75
