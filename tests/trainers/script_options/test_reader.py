"""Scripts that cannot be read, what is remembered; the counts of the real sd-scripts where SD_SCRIPTS_DIR names it."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.trainers.script_options.reader import accepted
from automate_train.trainers.sd_scripts.script import find_script

REAL = os.environ.get("SD_SCRIPTS_DIR", "")


def write(folder: Path, **files: str) -> None:
    """Files by name: `library__util` is library/util.py."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/", 1) + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"def setup_parser(:\n    pass\n", "line 1 is not valid Python"),
        (b"x = '\xff\xfe'\n", "is not valid Python"),
        (b"\xff\xfei\0m\0p\0o\0r\0t\0", "is not valid Python"),
        (b"import argparse\0\n", "is not valid Python"),
        (b"x = " + b"(" * 100_000, "is not valid Python"),
        (b"x = " + b"-" * 100_000 + b"1\n", "is not valid Python"),
        (b"", "has no argparse parser"),
        (b"def setup_parser():\n    return 3\n", "has no argparse parser"),
        (b"def setup_parser():\n    return setup_parser()\n", "has no argparse parser"),
        (b"from train import setup_parser\n", "import setup_parser from each other"),
        (b"import argparse\nparser = argparse.ArgumentParser()\n", "has no argparse parser"),
    ],
)
def test_a_bad_script_is_a_sentence(tmp_path, content, says):
    script = tmp_path / "train.py"
    script.write_bytes(content)
    with pytest.raises(UserError) as caught:
        accepted(script)
    assert says in str(caught.value)
    assert "train.py" in str(caught.value)


def test_a_script_that_is_not_there(tmp_path):
    (tmp_path / "loop.py").symlink_to("loop.py")
    os.mkfifo(tmp_path / "pipe.py")
    for path, says in [
        (tmp_path / "none.py", "there is no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "a\0b", "no such file|cannot be read"),
        (tmp_path / ("x" * 5000), "cannot be read"),
        (tmp_path / "loop.py", "no such file|cannot be read"),
        (tmp_path / "pipe.py", "there is no such file"),
    ]:
        with pytest.raises(UserError, match=says):
            accepted(path)


def test_a_broken_module_that_is_needed_is_named(tmp_path):
    main = """
        import argparse
        from library import util, broken

        def setup_parser():
            parser = argparse.ArgumentParser()
            util.add(parser)
            return parser
        """
    write(tmp_path, train=main, library__util="def add(p):\n    p.add_argument('--a')\n", library__broken="def (")
    assert list(accepted(tmp_path / "train.py")) == ["a"]  # nobody needs library/broken.py
    write(tmp_path, library__util="def add(p:\n")
    with pytest.raises(UserError, match=r"library/util\.py: line 1 is not valid Python"):
        accepted(tmp_path / "train.py")


def test_a_script_is_read_once_until_a_file_changes(tmp_path, monkeypatch):
    main = """
        import argparse, extra

        def setup_parser():
            parser = argparse.ArgumentParser()
            extra.add(parser)
            return parser
        """
    write(tmp_path, train=main, extra="def add(p):\n    p.add_argument('--a')\n")
    first = accepted(tmp_path / "train.py")
    first.clear()  # the caller's own copy
    assert list(accepted(tmp_path / "train.py")) == ["a"]
    parsed: list[Path] = []
    from automate_train.trainers.script_options import python_source

    plain = python_source.parse
    monkeypatch.setattr(python_source, "parse", lambda path: parsed.append(path) or plain(path))
    accepted(tmp_path / "train.py")
    assert parsed == []
    write(tmp_path, extra="def add(p):\n    p.add_argument('--b')\n")
    os.utime(tmp_path / "extra.py", ns=(1, 1))
    assert list(accepted(tmp_path / "train.py")) == ["b"]
    assert len(parsed) == 2


# the real thing


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="SD_SCRIPTS_DIR names no sd-scripts")
def test_upstream():
    begun = time.perf_counter()
    found = accepted(Path(REAL) / "train_network.py")
    assert time.perf_counter() - begun < 1
    assert len(found) == 193
    assert not [argument.name for argument in found.values() if argument.dynamic]
    assert found["max_token_length"].choices == (None, 150, 225)
    assert found["lr_warmup_steps"].type == "number"
    assert (found["text_encoder_lr"].nargs, found["text_encoder_lr"].type) == ("*", "float")
    names = {"sdxl": 196, "flux": 215, "sd3": 218, "lumina": 213, "anima": 220, "hunyuan_image": 214}
    for family, count in names.items():
        assert len(accepted(find_script(Path(REAL), None, family, False))) == count, family
