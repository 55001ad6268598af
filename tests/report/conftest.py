"""One browser and one sweep of the tiny trainer for all tests of the page: each takes seconds to start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import browser_kit
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[browser_kit.Browser]:
    browser_kit.needed()
    with browser_kit.chromium(tmp_path_factory.mktemp("profile"), downloads) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: browser_kit.Browser) -> Iterator[browser_kit.Browser]:
    """A wide, light window. A test fails when the console has an error after it."""
    one_browser.size(1280, 800)
    one_browser.dark(False)
    one_browser.console()
    yield one_browser
    assert one_browser.console() == []


@pytest.fixture(scope="session")
def tiny_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep with 2 runs of the built-in trainer, each with 2 epochs and 4 prompts."""
    home = tmp_path_factory.mktemp("tiny")
    default = home / "default.json"
    default.write_text((ROOT / "configs" / "quickstart" / "default.json").read_text(encoding="utf-8"), encoding="utf-8")
    tuning = '{"project_name_base": "tiny", "num_repeats": 4, "epoch_num": 2, "unet_lr_list": [1e-3, 5e-3]}'
    (home / "tuning.json").write_text(tuning, encoding="utf-8")
    argv = [sys.executable, "-m", "automate_train", "--default_config_path", str(default)]
    argv += ["--tuning_config_path", str(home / "tuning.json"), "--cpu", "2", "--plain"]
    argv += ["--set", f"temp_dir={home / 'out'}", "--set", f"target_path={home / 'loras'}", "--set", "log_with=None"]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "out" / "tiny"
