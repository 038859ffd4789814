"""Files appear whole or not at all, and a path stays what it is: its mode, its links, its kind."""

import contextlib
import os
import stat
import subprocess
import sys
import threading

import pytest

from kqat_runtime.files import atomic, drafts
from kqat_runtime.files.atomic import move_into_place, write_atomically
from kqat_runtime.files.drafts import draft_file, draft_folder, remove_abandoned

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and locks of POSIX")
NAMES = ["a", "{0}", "{epoch}", "100%s", "müller 雪", "x" * 250, ".hidden", "-rf", "a\nb"]


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@contextlib.contextmanager
def umask(value):
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def write(path, content):
    assert write_atomically(path, content) == path


def publish(path, content):
    """The other way into place: a draft that something else wrote."""
    with draft_folder(path.parent) as folder:
        (folder / "draft").write_bytes(content)
        move_into_place(folder / "draft", path)


both = pytest.mark.parametrize("writer", [write, publish])


@both
@pytest.mark.parametrize("name", NAMES)
def test_any_name(writer, name, tmp_path):
    for content in (b"first", b"second"):
        writer(tmp_path / name, content)
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, content)]


@posix
@both
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_follows_the_umask(writer, mask, expected, tmp_path):
    with umask(mask):
        writer(tmp_path / "x", b"new")
    assert mode(tmp_path / "x") == expected


@posix
@both
@pytest.mark.parametrize("old", [0o600, 0o640, 0o755, 0o666])
def test_an_old_file_keeps_its_mode(writer, old, tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(old)
    writer(tmp_path / "x", b"new")
    assert (mode(tmp_path / "x"), (tmp_path / "x").read_bytes()) == (old, b"new")


@posix
@both
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(writer, there, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    if there:
        target.write_bytes(b"old")
    (tmp_path / "one").symlink_to("elsewhere/target")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    writer(tmp_path / "two", b"new")
    assert (tmp_path / "one").is_symlink()
    assert (tmp_path / "two").is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["elsewhere", "one", "target", "two"]


@posix
@both
@pytest.mark.parametrize("kind", ["pipe", "device", "hard link", "folder", "loop", "read-only"])
def test_what_is_no_plain_file_is_left_alone(writer, kind, tmp_path):
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "hard link":
        (tmp_path / "other").write_bytes(b"old")
        os.link(tmp_path / "other", path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    else:
        path.write_bytes(b"old")
        path.chmod(0o444)
    before = [(p.name, os.lstat(p)) for p in sorted(tmp_path.iterdir())]
    with pytest.raises(OSError, match=r"Received|Symbolic|symbolic|loop"):
        writer(path, b"new")
    for (name, old), now in zip(before, sorted(tmp_path.iterdir()), strict=True):
        assert (name, old.st_ino, old.st_mode, old.st_nlink) == (
            now.name,
            *(getattr(os.lstat(now), field) for field in ("st_ino", "st_mode", "st_nlink")),
        )


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, name, full)
            with pytest.raises(OSError, match="No space"):
                write_atomically(tmp_path / "x", b"new")
        assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@posix
@pytest.mark.parametrize("making", ["draft_file(folder, 0o666)", "draft_folder(folder)"])
def test_what_a_killed_writer_leaves_goes_with_the_next_write(making, tmp_path):
    code = f"""
import os, pathlib
from kqat_runtime.files.drafts import *
folder = pathlib.Path({str(tmp_path)!r})
with {making} as made:
    made = made if isinstance(made, pathlib.Path) else made[1]
    if made.is_dir():
        (made / "inside").write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_atomically(tmp_path / "other", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


@posix
def test_drafts_of_the_living_stay(tmp_path):
    with draft_file(tmp_path, 0o666) as (_, file), draft_folder(tmp_path) as folder:
        remove_abandoned(tmp_path)
        assert file.exists()
        assert folder.exists()
    assert not list(tmp_path.iterdir())


@posix
def test_what_only_looks_like_a_draft_stays(tmp_path):
    """A pipe is not waited for, a link is not followed."""
    (tmp_path / "precious").write_bytes(b"x")
    (tmp_path / ".kqat-0.part").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / ".kqat-1.part")
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@both
def test_threads_that_write_one_path(writer, tmp_path):
    """Every reader sees one of the contents, whole; nothing else is left."""
    path, contents, wrong = tmp_path / "x", [bytes([k]) * 5000 for k in range(8)], []
    write_atomically(path, contents[0])

    def work(k):
        try:
            for _ in range(20):
                writer(path, contents[k])
                if path.read_bytes() not in contents:
                    wrong.append("a mixture")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@posix
def test_a_draft_that_was_cleared_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, calls = drafts.fcntl.flock, []

    def cleared_once(handle, how):
        calls.append(how)
        if len(calls) == 1:
            for path in tmp_path.iterdir():
                path.unlink()
        lock(handle, how)

    monkeypatch.setattr(drafts.fcntl, "flock", cleared_once)
    write_atomically(tmp_path / "x", b"new")
    assert len(calls) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
