"""Reserved devices: who holds them, until when, and what other users may have put in their files' places."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from automate_train.machine import reservations
from automate_train.machine.reservations import LOCKS, problem, take, taken


def test_all_devices_or_none_until_the_last_descriptor_is_closed(tmp_path):
    fd = take(["GPU-a", "GPU-b"], Path("/data/p"))
    assert fd is not None and fd >= 10
    assert take(["GPU-c", "GPU-b"], Path("/data/q")) is None
    who = f"another sweep (pid {os.getpid()}, /data/p)"
    assert taken(["GPU-a", "GPU-b", "GPU-c"]) == {"GPU-a": who, "GPU-b": who}
    with subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[fd], stdin=subprocess.PIPE) as child:
        os.close(fd)
        assert taken(["GPU-a"]) == {"GPU-a": who}, "the child has it still"
        child.kill()
    assert taken(["GPU-a", "GPU-b"]) == {}
    again = take(["GPU-b"], Path("/data/q"))
    assert again is not None and "/data/q" in taken(["GPU-b"])["GPU-b"]
    os.close(again)


def test_looking_creates_nothing_and_every_user_may_write(tmp_path):
    assert taken(["GPU-a"]) == {} and problem() == "" and os.listdir(tmp_path) == []
    before = os.umask(0o077)
    try:
        fd = take(["GPU-a"], Path("/data/p"))
    finally:
        os.umask(before)
    assert fd is not None and {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666}
    os.close(fd)


@pytest.mark.parametrize("make", [os.symlink, os.link])
@pytest.mark.parametrize("name", [LOCKS, f"{LOCKS}-GPU-a"])
def test_no_link_to_somebodys_file_is_followed(tmp_path, make, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    make(victim, tmp_path / name)
    if name == LOCKS:
        with pytest.raises(OSError):
            take(["GPU-a"], Path("/data/p"))
    else:
        fd = take(["GPU-a"], Path("/data/p"))
        assert fd is not None
        os.close(fd)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("text", ["", "x", "[]", '{"pid": "x"}', '{"pid": 1e999, "sweep": "/a"}', "[" * 4000])
def test_what_another_user_wrote_counts_for_nothing(tmp_path, text):
    fd = take(["GPU-a"], Path("/data/p"))
    assert fd is not None
    (tmp_path / f"{LOCKS}-GPU-a").write_text(text)
    assert taken(["GPU-a"]) == {"GPU-a": "another sweep"}
    (tmp_path / f"{LOCKS}-GPU-a").write_text('{"pid": 7, "sweep": "/a\\u001b[31m"}')
    assert taken(["GPU-a"]) == {"GPU-a": "another sweep (pid 7, /a?[31m)"}
    os.close(fd)


def test_a_pipe_in_the_locks_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / LOCKS)
    with pytest.raises(OSError):
        take(["GPU-a"], Path("/data/p"))


def test_the_folder_is_the_same_for_every_user(monkeypatch):
    monkeypatch.delenv(reservations.FOLDER)
    assert reservations.folder() in (Path("/run/lock"), Path("/tmp"))


# two users


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like /run/lock: everybody may write there, and remove only what is his own."""
    if os.getuid():
        pytest.skip("only root may become other users")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o1777)
        monkeypatch.setenv(reservations.FOLDER, name)
        yield Path(name)


USER = """import os, sys
from pathlib import Path
from automate_train.machine.reservations import *
real = os.open
def protected(path, flags, *more):  # fs.protected_regular, and protected_fifos, as strict as they can be
    if flags & os.O_CREAT and not flags & os.O_EXCL and os.path.lexists(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real(path, flags, *more)
os.open = protected
os.umask(0o077)
os.setgroups([]), os.setgid({number}), os.setuid({number})
"""


def as_user(number: int, code: str) -> subprocess.Popen[str]:
    """Python that becomes another user before it does anything."""
    return subprocess.Popen(
        [sys.executable, "-c", USER.format(number=number) + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_what_one_user_has_made_every_other_can_use(shared: Path):
    held = "print(take(['GPU-a'], Path('/data/of-{}'))); sys.stdout.flush(); input()"
    for first, second in ((1201, 1202), (1202, 1201), (1201, 0)):
        with as_user(first, held.format(first)) as holder:
            assert holder.stdout and int(holder.stdout.readline()) >= 10
            asked = "print(take(['GPU-a'], Path('/q')), problem() or 'usable', taken(['GPU-a']))"
            told = as_user(second, asked).communicate(timeout=60)[0]
            assert told.startswith("None usable") and f"/data/of-{first}" in told, told
            holder.kill()
        told = as_user(second, "print(take(['GPU-a'], Path('/q')))").communicate(timeout=60)[0]
        assert int(told) >= 10, "free again, whoever made the file"


@pytest.mark.parametrize(
    "plant",
    [
        "os.symlink('/etc/passwd', at)",
        "os.mkfifo(at)",
        "os.mkdir(at)",
        "at.write_text('x')",
        "os.symlink('/none', at)",
    ],
)
@pytest.mark.parametrize("which", [LOCKS, f"{LOCKS}-GPU-a"])
def test_what_another_user_plants_is_refused_in_words_and_at_once(shared: Path, plant: str, which: str):
    """In the lock's place nothing can be reserved, which is said; in that of the file for people, all can."""
    told = as_user(1201, f"at = Path({str(shared / which)!r}); {plant}").communicate(timeout=60)[0]
    assert not told, told
    code = "try: print(take(['GPU-a'], Path('/q')), taken(['GPU-a']))\nexcept OSError as error: print('refused', error)"
    told = as_user(1202, code + "\nprint(problem())").communicate(timeout=60)[0]
    assert "Traceback" not in told
    if which == LOCKS:
        assert told.startswith("refused") and LOCKS in told.splitlines()[-1], told
    else:
        assert told.startswith("1") and "'GPU-a': 'another sweep'" in told, told
