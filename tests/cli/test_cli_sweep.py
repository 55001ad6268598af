"""The whole command with real processes: the command trainer, small shell programs, files on disk."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automate_train.executors.local import Local

SH = ["/bin/sh", "-c"]
UNTIL_TOLD = "i=0; until [ -e go ]; do i=$((i+1)); [ $i -gt 1500 ] && exit 8; sleep 0.02; done"
"""A run that ends when the file `go` is there, however busy the machine is."""


def attempts(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/attempt-*"))


def results(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "out/p/results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_runs_its_product_and_says_where_things_are(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "echo $0 $1", "{lr}", "{rank}"], {"lr_list": [1e-4, 2e-4], "rank_list": [4, 8]})
    done = automate_train(*flags)
    assert done.returncode == 0, done.stderr
    assert "4 runs (2 lr x 2 rank)" in done.stdout and "4 succeeded" in done.stdout
    assert "out/p/results.csv" in done.stdout and "report.html in a browser" in done.stdout
    rows = results(tmp_path)
    assert [(row["index"], row["state"], row["lr"], row["rank"]) for row in rows] == [
        ("0", "succeeded", "0.0001", "4"),
        ("1", "succeeded", "0.0001", "8"),
        ("2", "succeeded", "0.0002", "4"),
        ("3", "succeeded", "0.0002", "8"),
    ]
    assert {row["reason"] for row in rows} == {""}
    assert Path(rows[3]["folder"], "console.log").read_text() == "0.0002 8\n"


def test_the_same_command_again_runs_what_is_missing(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "true", "{lr}"], {"lr_list": [1, 2]})
    assert automate_train(*flags).returncode == 0
    first = attempts(tmp_path / "out/p")
    done = automate_train(*flags)
    assert done.returncode == 0 and "2 already done" in done.stdout
    assert attempts(tmp_path / "out/p") == first
    sweep_files([*SH, "true", "{lr}"], {"lr_list": [0, 1, 2]})
    assert automate_train(*flags).returncode == 0
    assert attempts(tmp_path / "out/p") == sorted([*first, "000-p_lr-0/attempt-1"])
    assert automate_train(*flags, "--rerun", "--only", "1").returncode == 0
    assert "000-p_lr-1/attempt-2" in attempts(tmp_path / "out/p")


def test_the_first_failure_stops_new_starts_and_running_ones_finish(automate_train, sweep_files, tmp_path):
    program = "case $0 in 1) echo some bad news >&2; exit 3;; *) sleep 0.5;; esac"
    flags = sweep_files([*SH, program, "{n}"], {"n_list": [0, 1, 2, 3]})
    done = automate_train(*flags)
    assert done.returncode == 1
    assert [row["state"] for row in results(tmp_path)] == ["succeeded", "failed", "aborted", "aborted"]
    assert ") p_n=1 failed: exit code 3" in done.stdout and "--on_failure continue" in done.stdout
    assert "| some bad news" in done.stdout
    assert "001-p_n-1/attempt-1/console.log" in done.stdout
    assert "--default_config_path default.json" in done.stdout
    done = automate_train(*flags, "--on_failure", "continue")
    assert done.returncode == 1
    assert [row["state"] for row in results(tmp_path)] == ["succeeded", "failed", "succeeded", "succeeded"]
    assert "001-p_n-1/attempt-2" in attempts(tmp_path / "out/p")


def test_skip_only_and_numbers(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "true", "{n}"], {"n_list": [0, 1, 2, 3]})
    assert automate_train(*flags, "--skip_to_index", "3", "--train_id_start", "100").returncode == 0
    assert attempts(tmp_path / "out/p") == ["103-p_n-3/attempt-1"]
    assert [row["index"] for row in results(tmp_path)] == ["3"]
    assert automate_train(*flags, "--only", "0,2-3").returncode == 0
    assert attempts(tmp_path / "out/p") == ["000-p_n-0/attempt-1", "002-p_n-2/attempt-1", "103-p_n-3/attempt-1"]
    done = automate_train(*flags, "--only", "7")
    assert done.returncode == 2 and "0 to 3" in done.stderr


def test_dry_run_prints_the_plan_and_creates_nothing(automate_train, sweep_files, tmp_path):
    flags = sweep_files(
        ["/bin/echo", "{lr}", "{out}", "{folder}"],
        {"lr_list": [1e-4, 2e-4, 1e-4], "exclude": "lr == 2e-4", "wandb_api_key": "hush-hush"},
        out="x",
    )
    before = sorted(tmp_path.rglob("*"))
    done = automate_train(*flags, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert list(plan) == ["project", "temp_dir", "runs", "held_out", "dropped", "problems"]
    (run,) = plan["runs"]
    assert list(run) == ["index", "key", "name", "varied", "options", "gpus", "argv", "cwd", "folder", "done"]
    assert (run["index"], run["name"], run["varied"], run["done"]) == (0, "p_lr=0.0001", {"lr": 0.0001}, False)
    assert run["argv"] == ["/bin/echo", "0.0001", "x", run["folder"]] and run["gpus"] == 0
    assert [each["index"] for each in plan["dropped"]] == [1, 2]
    assert plan["temp_dir"] == str(tmp_path / "out")
    text = automate_train(*flags, "--debug")
    assert text.returncode == 0 and "p_lr=0.0001" in text.stdout
    assert "tuning file tuning.json" in text.stdout and "default file default.json" in text.stdout
    assert "built-in" in text.stdout
    assert "hush-hush" not in done.stdout + text.stdout + done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_dry_run_after_a_sweep_shows_what_is_done_and_creates_nothing(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "true", "{n}"], {"n_list": [0, 1]})
    assert automate_train(*flags, "--only", "0").returncode == 0
    before = sorted(tmp_path.rglob("*"))
    plan = json.loads(automate_train(*flags, "--dry-run", "--json").stdout)
    assert [run["done"] for run in plan["runs"]] == [True, False]
    assert sorted(tmp_path.rglob("*")) == before


def test_problems_do_not_keep_the_plan_from_being_printed(automate_train, sweep_files):
    flags = sweep_files(["no-such-program", "{nope}"], {"n_list": [0, 1]})
    done = automate_train(*flags, "--dry-run", "--json")
    assert done.returncode == 2
    plan = json.loads(done.stdout)
    assert len(plan["runs"]) == 2
    messages = [problem["message"] for problem in plan["problems"]]
    assert any("{nope} is not a key" in message for message in messages)
    assert any("there is no program 'no-such-program'" in message for message in messages)
    assert any(
        problem["key"] == "n" and "nothing in the command uses it" in problem["message"] for problem in plan["problems"]
    )
    assert automate_train(*flags).returncode == 2


def interrupt(flags: list[str], cwd: Path, signals: list[int], started: int) -> tuple[int, str, float]:
    """Start a sweep, send signals once `started` runs have begun: (exit code, output, seconds until it ended)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "automate_train", *flags],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while len(list(cwd.glob("out/p/*/attempt-1/exit_code"))) < started and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.2)
    (cwd / "told").touch()
    output = process.communicate(timeout=120)[0]
    return process.returncode, output, time.monotonic() - began


def test_ctrl_c_once_finishes_what_runs(sweep_files, tmp_path):
    flags = sweep_files([*SH, "until [ -e told ]; do sleep 0.02; done", "{n}"], {"n_list": [0, 1, 2, 3]})
    code, output, _ = interrupt(flags, tmp_path, [signal.SIGINT], 2)
    assert code == 130, output
    assert [row["state"] for row in results(tmp_path)] == ["succeeded", "succeeded", "waiting", "waiting"]
    assert "Ctrl-C again" in output


@pytest.mark.parametrize("signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_ctrl_c_twice_or_sigterm_ends_the_groups(sweep_files, tmp_path, signals):
    program = "import os, subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    flags = sweep_files([sys.executable, "-c", program, "{n}"], {"n_list": [0, 1, 2]})
    code, output, _ = interrupt(flags, tmp_path, signals, 2)
    assert code == 130, output
    ends = [path.read_text() for path in tmp_path.glob("out/p/*/attempt-1/exit_code")]
    assert ends == ["143\n"] * 2, "by SIGTERM, not killed with their shells after 10 s"
    assert [row["state"] for row in results(tmp_path)] == ["cancelled", "cancelled", "waiting"]
    assert not Local().living(tmp_path / "out/p")


@pytest.mark.slow
def test_a_child_that_ignores_sigterm_is_killed_after_the_deadline(sweep_files, tmp_path):
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    flags = sweep_files([sys.executable, "-c", program, "{n}"], {"n_list": [0, 1]})
    code, output, seconds = interrupt(flags, tmp_path, [signal.SIGTERM], 2)
    assert code == 130 and seconds > 9, output


def test_kill_minus_nine_loses_nothing_and_adopts(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, UNTIL_TOLD, "{n}"], {"n_list": [0, 1, 2]})
    code, _, _ = interrupt(flags, tmp_path, [signal.SIGKILL], 2)
    assert code == -signal.SIGKILL
    said = tmp_path / "said"
    with said.open("w") as output:
        again = subprocess.Popen([sys.executable, "-m", "automate_train", *flags], cwd=tmp_path, stdout=output)
    while said.read_text().count("adopted") < 2 and again.poll() is None:
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert again.wait(120) == 0 and said.read_text().count("adopted") == 2, said.read_text()
    assert [row["state"] for row in results(tmp_path)] == ["succeeded"] * 3
    assert len(attempts(tmp_path / "out/p")) == 3


def test_a_run_killed_with_its_shell_is_lost_and_run_again(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "[ -e again ] || sleep 600", "{n}"], {"n_list": [0]})
    interrupt(flags, tmp_path, [signal.SIGKILL], 1)
    executor = Local()
    (handle,) = executor.living(tmp_path / "out/p").values()
    executor.stop(handle, now=True)
    (tmp_path / "again").touch()
    done = automate_train(*flags)
    assert done.returncode == 0 and "lost" in done.stdout, done.stdout
    assert attempts(tmp_path / "out/p") == ["000-p/attempt-1", "000-p/attempt-2"]


def test_a_second_orchestrator_is_refused(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, UNTIL_TOLD, "{n}"], {"n_list": [0, 1]})
    process = subprocess.Popen(
        [sys.executable, "-m", "automate_train", *flags], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    while not list(tmp_path.glob("out/p/*/attempt-1/exit_code")):
        time.sleep(0.02)
    second = automate_train(*flags)
    assert second.returncode == 2 and f"pid {process.pid} on" in second.stderr
    dry = automate_train(*flags, "--dry-run")
    assert dry.returncode == 0 and f"pid {process.pid} on" in dry.stderr, "a plan starts nothing"
    status = automate_train("status", "out/p", "--json")
    assert {run["state"] for run in json.loads(status.stdout)["runs"]} == {"running"}
    (tmp_path / "go").touch()
    assert process.wait(120) == 0


def test_status_as_table_and_json(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "exit $0", "{n}"], {"n_list": [0, 4]})
    assert automate_train(*flags).returncode == 1
    status = json.loads(automate_train("status", "out", "--json").stdout)
    assert [(run["index"], run["state"], run["exit_code"]) for run in status["runs"]] == [
        (0, "succeeded", 0),
        (1, "failed", 4),
    ]
    text = automate_train("status", "out/p").stdout
    assert "1 succeeded, 1 failed" in text and "exit code 4" in text
    assert automate_train("status", "nowhere").returncode == 2


def test_two_gpu_flags_without_a_driver_are_refused(automate_train, sweep_files):
    flags = sweep_files([*SH, "true", "{n}"], {"n_list": [0]})[:4]
    for extra in (["--cuda_devices_distributed", "all"], ["-cuda-memory-limit", "9"]):
        done = automate_train(*flags, *extra)
        assert done.returncode == 2 and "--cpu" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no config file"),
        (["--defalt_config_path", "x"], "--default-config-path"),
        (["--default_config_path", "gone.json"], "gone.json"),
        (["--set", "novalue"], "key=value"),
        (["--set", "a=1", "--json"], "--dry-run"),
        (["--set", "project_name_base=p", "--only", "x"], "--only"),
        (["--set", "project_name_base=p", "--cpu", "0"], "--cpu"),
        (["--set", "project_name_base=p", "--cuda-memory-limit", "3", "--cpu"], "cuda"),
        (["status"], "DIR"),
        (["--set", "project_name_base=a/b"], "project_name_base"),
    ],
)
def test_what_users_mistype_is_answered_in_words(automate_train, argv, words):
    done = automate_train(*argv)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_version_and_help_and_underscores(automate_train):
    assert automate_train("--version").stdout.startswith("automate-train 0.")
    text = automate_train("--help").stdout
    for flag in (
        "--default-config-path",
        "--cuda-devices-distributed",
        "--cuda-memory-limit",
        "--skip-to-index",
        "exit codes",
    ):
        assert flag in text
    assert (
        automate_train("--default-config_path", "gone").stderr == automate_train("--default_config_path", "gone").stderr
    )


def test_an_own_bug_is_one_sentence_and_a_file(automate_train, sweep_files, tmp_path):
    flags = sweep_files([*SH, "true"])
    (tmp_path / "sitecustomize.py").write_text("import json\njson.loads = lambda *a, **k: 1 / 0\n")
    done = automate_train(*flags, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "bug" in done.stderr and "Traceback" not in done.stderr
    path = Path(done.stderr.split("details are in ")[1].strip())
    assert "ZeroDivisionError" in path.read_text()
    path.unlink()


def test_a_run_that_the_system_refuses_is_told_once(automate_train, sweep_files):
    done = automate_train(*sweep_files(["/bin/echo", "{x}"], {"x": "y" * 200_000}))
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if "Argument list too long" in line]
    assert len(told) == 2 and all(line.count("could not be started") == line.count("failed") == 1 for line in told)
