"""Headers for microcontrollers: parsed, and compiled where there is a compiler."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import kqat
from kqat.core.errors import FileError, VerifyError
from kqat.core.grid import Grid
from kqat.export.tflite import Export
from kqat.export.writing.report import Report
from kqat.formats.tflite.write import to_tflite
from kqat.program.writer import Writer

COMPILERS = [
    (compiler, language, standard)
    for compiler, language, standards in (("gcc", "c", ("c11", "c17")), ("g++", "c++", ("c++11", "c++17")))
    if shutil.which(compiler)
    for standard in standards
]


@pytest.fixture(scope="module")
def content():
    writer = Writer()
    x = writer.input("x", (None, 4))
    y = writer.activation("y", x.shape, Grid(*np.float32([0.1, -128, 127])))
    writer.operator("QUANTIZE", [x], [y], "QuantizeOptions")
    return to_tflite(writer.program([x], [y]))


def parse(header):
    """Returns what a header defines, read as a person would."""
    text = header.read_text()
    (name, count) = re.search(r"static const unsigned int (\w+)_len = (\d+);", text).groups()
    (body,) = re.findall(rf"alignas\(16\) static const unsigned char {name}\[\] = {{(.*?)}};", text, re.S)
    return name, int(count), bytes(int(number, 16) for number in re.findall(r"0x[0-9a-f]{2}", body))


@pytest.mark.parametrize("form", ["export", "bytes", "path"])
def test_the_array_holds_the_file(content, form, tmp_path):
    (tmp_path / "m.tflite").write_bytes(content)
    report = Report(len(content), {}, ())
    source = {"export": Export(content, report), "bytes": content, "path": tmp_path / "m.tflite"}[form]
    header = kqat.export_c_array(source, tmp_path / "net.h")
    assert header == tmp_path / "net.h"
    assert parse(header) == ("net", len(content), content)


@pytest.mark.parametrize(
    ("given", "identifier"),
    [
        ("model", "model"),
        ("my-net v2", "my_net_v2"),
        ("4bit", "model_4bit"),
        ("class", "model_class"),
        ("int", "model_int"),
        ("__x__", "x"),
        ("réseau", "r_seau"),
    ],
)
def test_names_become_identifiers(content, given, identifier, tmp_path):
    header = kqat.export_c_array(content, tmp_path / "a.h", given)
    assert parse(header)[0] == identifier
    guard = f"{identifier.upper()}_H_"
    text = header.read_text()
    assert text.index(f"#ifndef {guard}") < text.index(f"#define {guard}") < text.rindex("#endif")


def test_the_header_says_what_made_it_and_is_named_after_its_file(content, tmp_path):
    header = kqat.export_c_array(content, str(tmp_path / "cat-or-dog.h"))
    assert parse(header)[0] == "cat_or_dog"
    assert header.read_text().startswith(f"// Made by kqat {kqat.__version__} ")


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(content, tmp_path):
    with pytest.raises(ValueError, match="Received: name='--'"):
        kqat.export_c_array(content, tmp_path / "a.h", "--")
    with pytest.raises(FileError, match="TFL3"):
        kqat.export_c_array(b"no model", tmp_path / "a.h")
    with pytest.raises(VerifyError, match="Received: int"):
        kqat.export_c_array(3, tmp_path / "a.h")
    with pytest.raises(FileNotFoundError):
        kqat.export_c_array(content, tmp_path / "nowhere" / "a.h")
    assert not list(tmp_path.iterdir())


MAIN = """
#include <stdio.h>
#include "net.h"
#include "net.h"
int main(void) {
  if ((unsigned long)net % 16 != 0 || sizeof(net) != net_len) return 1;
  return fwrite(net, 1, net_len, stdout) != net_len;
}
"""


@pytest.mark.parametrize(("compiler", "language", "standard"), COMPILERS)
def test_it_compiles_without_warnings_and_is_aligned(content, compiler, language, standard, tmp_path):
    kqat.export_c_array(content, tmp_path / "net.h")
    (tmp_path / "main").write_text(MAIN)
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-x", language]
    subprocess.run([compiler, *flags, "main", "-o", "program"], cwd=tmp_path, check=True, timeout=60)
    done = subprocess.run([tmp_path / "program"], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout == content
