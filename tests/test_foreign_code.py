"""Nothing is imported from the folder where the command is typed: a `queue.py` there would get the secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import webui_kit

from automate_train.machine.child_process import own_command

QUICKSTART = Path(__file__).parent.parent / "configs" / "quickstart"
NAMES = (
    "abc argparse ast asyncio base64 bisect codecs collections contextlib copy csv dataclasses datetime decimal enum "
    "errno fcntl fnmatch functools getpass glob hashlib heapq importlib inspect io itertools json locale logging math "
    "mimetypes multiprocessing numbers operator os pathlib pickle PIL pkgutil platform posix pynvml queue random re "
    "requests rich runpy safetensors secrets select selectors shlex shutil signal site socket sqlite3 ssl stat string "
    "struct subprocess sysconfig tempfile textwrap threading toml tokenize torch traceback types typing unicodedata "
    "urllib uuid warnings weakref yaml zipfile zlib accelerate numpy tensorboard wandb aim usercustomize"
).split()


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder of modules that write down that they were imported, by whom."""
    seen = tmp_path / "imported"
    text = f"import sys\nopen({str(seen)!r}, 'a').write(__name__ + ' ' + repr(sys.orig_argv) + chr(10))\n"
    folder = tmp_path / "here"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(text + "raise ImportError('planted')\n")
    return folder


def assert_nothing_was_imported(folder: Path) -> None:
    seen = folder.parent / "imported"
    assert not seen.exists(), seen.read_text()[:3000]


def test_a_command_of_ours_imports_nothing_from_the_current_folder(planted: Path):
    done = subprocess.run(own_command("--version"), cwd=planted, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("automate-train ") and done.returncode == 0, done.stderr
    assert_nothing_was_imported(planted)


def test_python_m_imports_nothing_from_the_current_folder(planted: Path):
    """But for what Python itself imports to find the package: that is before the first line of ours."""
    code = "import sys; before = {*sys.modules}; import runpy; print(*{*sys.modules} - before)"
    found = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    for name in {each.partition(".")[0] for each in ("runpy", *found.stdout.split())} & {*NAMES}:
        (planted / f"{name}.py").unlink()
    command = [sys.executable, "-m", "automate_train", "status", "."]
    done = subprocess.run(command, cwd=planted, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert_nothing_was_imported(planted)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["accelerate", "python"])
def test_a_sweep_imports_nothing_from_the_current_folder(planted: Path, launcher: str):
    """In the background: orchestrator, sampler, report, accelerate, the trainer and the trackers' backfill."""
    (planted / "prompts.txt").write_text("a boat --d 1 --s 2\n")
    with webui_kit.running(planted.parent / "server", seconds=0.1) as double:
        default = {
            "project_name_base": "p", "repo_dir": "tiny", "images_folder": str(QUICKSTART / "images"), "resolution": 64,
            "caption_extension": ".txt", "num_repeats": 1, "epoch_num": 1, "train_batch_size": 4, "launcher": launcher,
            "temp_dir": "out", "seed": 1, "prompt_path": "prompts.txt", "log_with": "tensorboard",
            "use_external_webui": True, "webui_url": double.url, "wandb_api_key": "a" * 40,
        }  # fmt: skip
        (planted / "default.json").write_text(json.dumps(default))
        command = own_command("--default_config_path", "default.json", "--cpu", "1")
        done = subprocess.run(command, cwd=planted, capture_output=True, text=True, timeout=240, env={**os.environ})
    assert_nothing_was_imported(planted)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(planted.glob("out/p/*/attempt-1/output/sample/*.png"))
