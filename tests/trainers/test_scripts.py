"""Which script trains, and when it cannot be read; the counts of the real sd-scripts where SD_SCRIPTS_DIR names it."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.trainers import arguments
from automate_train.trainers.arguments import accepted, find_script

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
        (b"def setup_parser(:\n    pass\n", "line 1 is no Python"),
        (b"x = '\xff\xfe'\n", "is no Python"),
        (b"\xff\xfei\0m\0p\0o\0r\0t\0", "is no Python"),
        (b"import argparse\0\n", "no Python"),
        (b"x = " + b"(" * 100_000, "no Python"),
        (b"x = " + b"-" * 100_000 + b"1\n", "no Python"),
        (b"", "builds no argparse parser"),
        (b"def setup_parser():\n    return 3\n", "builds no argparse parser"),
        (b"def setup_parser():\n    return setup_parser()\n", "builds no argparse parser"),
        (b"from train import setup_parser\n", "take setup_parser from each other"),
        (b"import argparse\nparser = argparse.ArgumentParser()\n", "builds no argparse parser"),
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
    with pytest.raises(UserError, match=r"library/util\.py: line 1 is no Python"):
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
    from automate_train.trainers import python_source

    plain = python_source.parse
    monkeypatch.setattr(python_source, "parse", lambda path: parsed.append(path) or plain(path))
    accepted(tmp_path / "train.py")
    assert parsed == []
    write(tmp_path, extra="def add(p):\n    p.add_argument('--b')\n")
    os.utime(tmp_path / "extra.py", ns=(1, 1))
    assert list(accepted(tmp_path / "train.py")) == ["b"]
    assert len(parsed) == 2


# finding the script


def test_the_script_by_family(tmp_path):
    for name in ("train_network", "sdxl_train_network", "flux_train_network", "hunyuan_image_train_network"):
        (tmp_path / f"{name}.py").touch()

    def found(train_script: str | None = None, model_type: str | None = None, sdxl: bool = False) -> str:
        path = find_script(tmp_path, train_script, model_type, sdxl)
        assert path.is_absolute()
        return path.name

    assert found() == found(model_type="") == found(model_type="sd15") == "train_network.py"
    assert (
        found(sdxl=True) == found(model_type="sdxl") == found(model_type="SDXL", sdxl=True) == "sdxl_train_network.py"
    )
    assert found(model_type="flux") == "flux_train_network.py"
    assert found(model_type="hunyuan-image") == "hunyuan_image_train_network.py"
    assert found(train_script="flux_train_network.py", model_type="sd3", sdxl=True) == "flux_train_network.py"


def test_the_script_in_a_gui(tmp_path):
    (tmp_path / "sd-scripts").mkdir()
    with pytest.raises(UserError, match="git submodule update --init"):
        find_script(tmp_path, None, None, False)
    (tmp_path / "sd-scripts" / "train_network.py").touch()
    assert find_script(tmp_path, None, None, False) == tmp_path / "sd-scripts" / "train_network.py"


def test_a_missing_script_names_those_that_exist(tmp_path):
    (tmp_path / "train_network.py").touch()
    (tmp_path / "train_db.py").touch()
    for given, says in [
        (("train_netwrok.py", None, False), r"train_script: .*mean train_network\.py.*\? it has train_db\.py,"),
        ((None, "flux", False), r"model_type: .*flux_train_network\.py.*it has train_db\.py"),
        ((None, "../up", False), "is no model type"),
        ((None, "flux", True), "two different models"),
        (("a\0b", None, False), "has no script"),
        (("x" * 5000, None, False), "repo_dir"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=says):
            find_script(tmp_path, *given)
    for repo, says in [
        (tmp_path / "none", "there is no folder"),
        (tmp_path / "train_db.py", "there is no folder"),
        (Path("~nobody-at-all/x"), "repo_dir"),
        (Path("a\0b"), "repo_dir"),
        (tmp_path, "is it a folder of kohya-ss/sd-scripts"),
    ]:
        for script in tmp_path.glob("*.py"):
            if repo == tmp_path:
                script.unlink()
        with pytest.raises(UserError, match=says):
            find_script(repo, None, None, False)


def test_the_built_in_trainer_needs_no_import():
    assert find_script(Path("tiny"), None, None, False) == arguments.TINY / "train_network.py"


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
