"""Streams that are closed, full or of a small alphabet; flags that a shell variable left empty."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRUE = ["/bin/true", "{n}"]


@pytest.fixture
def shell(tmp_path):
    def run(text: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = f'"{sys.executable}" -m automate_train {text}'
        return subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize("away", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full"])
def test_a_sweep_runs_without_its_streams(shell, sweep_files, tmp_path, away):
    flags = " ".join(sweep_files(TRUE, {"n_list": [0, 1]}))
    assert shell(f"{flags} {away}").returncode == 0
    assert len(list(tmp_path.glob("out/p/*/attempt-1/exit_code"))) == 2


@pytest.mark.parametrize("command", ["{flags} --dry-run", "{flags} --dry-run --json", "--version"])
@pytest.mark.parametrize("away", [">&-", ">/dev/full"])
def test_what_only_prints_says_so_by_its_exit_code(shell, sweep_files, command, away):
    done = shell(f"{command.format(flags=' '.join(sweep_files(TRUE, {'n_list': [0]})))} {away}")
    assert done.returncode == (0 if away == ">&-" else 2), done.stderr
    assert "Traceback" not in done.stderr and "bug" not in done.stderr


def test_a_small_alphabet(automate_train, sweep_files):
    flags = sweep_files(TRUE, {"n_list": ["배", "boat"]})
    done = automate_train(*flags, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "\\ubc30" in done.stdout and "succeeded" in done.stdout, done.stderr


@pytest.mark.parametrize("flag", ["--only", "--skip_to_index", "--cpu", "--default_config_path", "--cuda-memory-limit"])
def test_an_empty_flag_is_not_a_missing_one(automate_train, sweep_files, tmp_path, flag):
    flags = sweep_files(TRUE, {"n_list": [0]})
    done = automate_train(*(flags[:4] if flag in ("--cpu", "--cuda-memory-limit") else flags), flag, "")
    assert done.returncode == 2 and not (tmp_path / "out").exists(), done.stdout + done.stderr


def test_a_path_that_no_disk_takes(automate_train, sweep_files, tmp_path):
    for key in ("temp_dir", "target_path"):
        done = automate_train(*sweep_files(TRUE, {"n_list": [0], key: str(tmp_path / ("x" * 300))}))
        assert done.returncode == 2 and key in done.stderr and "too long" in done.stderr, done.stderr
