"""The picture for the C++ programs holds the pixels that the model was evaluated on."""

import numpy as np

from examples import datasets, picture


def test_digit_is_written_exactly(tmp_path, capsys):
    picture.main(["--index", "3", "--out", str(tmp_path)])
    _, (x, y) = datasets.load("digits")
    content = (tmp_path / "digits.pgm").read_bytes()
    head = b"P5\n8 8\n16\n"
    assert content.startswith(head)
    pixels = np.frombuffer(content[len(head) :], np.uint8).reshape(8, 8, 1)
    np.testing.assert_array_equal(pixels / np.float32(16), x[3])
    assert f"shows class {y[3]}" in capsys.readouterr().out
    assert (tmp_path / "digits.txt").read_text().splitlines()[9] == "class 9"


def test_color_is_ppm():
    assert picture.netpbm(np.zeros((2, 3, 3), np.uint8), 255) == b"P6\n3 2\n255\n" + bytes(18)
