"""`retries` by the command line: real programs that fail for what passes by itself, and for what does not."""

from __future__ import annotations

import json
import subprocess
import sys

PORT = "torch.distributed.DistNetworkError: The server socket has failed to listen: EADDRINUSE, address already in use"
PROGRAM = 'echo x >>tries-$0; [ $(wc -l <tries-$0) -gt $1 ] && exit 0; echo "$2" >&2; exit 1'


def test_a_port_that_was_taken_for_a_moment(automate_train, sweep_files):
    flags = sweep_files(["/bin/sh", "-c", PROGRAM, "{n}", 2, PORT], {"n_list": [0, 1]})
    done = automate_train(*flags, "--retries", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "its port was taken by another program: choose another port" in done.stdout
    assert "; tried again (1 of 2)" in done.stdout and "; tried again (2 of 2)" in done.stdout
    runs = json.loads(automate_train("status", "out", "--json").stdout)["runs"]
    assert [run["state"] for run in runs] == ["succeeded", "succeeded"]
    assert [run["folder"].rpartition("/")[2] for run in runs] == ["attempt-3", "attempt-3"]


def test_not_oftener_than_asked_and_only_what_passes(automate_train, sweep_files, tmp_path):
    wrong = "train.py: error: unrecognized arguments: --lr"
    cases = ((PORT, 1, 2), (PORT, 0, 1), (wrong, 5, 1), ("ZeroDivisionError: division by zero", 5, 1))
    for number, (says, retries, tries) in enumerate(cases):
        flags = sweep_files(["/bin/sh", "-c", PROGRAM, number, 99, says], retries=retries, temp_dir=f"out-{number}")
        assert automate_train(*flags).returncode == 1
        assert (tmp_path / f"tries-{number}").read_text().count("x") == tries, says


def test_too_many_open_files_is_no_failure_of_a_run(sweep_files, tmp_path):
    """Runs wait for it while others run; where nothing can run at all, one sentence says what helps."""
    flags = sweep_files(["/bin/sh", "-c", "sleep 0.5"], {"n_list": list(range(20))})
    (tmp_path / "default.json").write_text(
        json.dumps({"project_name_base": "p", "temp_dir": "out", "trainer": "command",
                    "command": ["/bin/sh", "-c", "sleep 0.5", "{n}"]})
    )  # fmt: skip
    for files, code, said in (("12", 2, "ulimit -n 4096"), ("36", 0, "too many files are open: runs wait")):
        command = [sys.executable, "-m", "automate_train", *flags[:4], "--cpu", "20"]
        limited = ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == code and said in done.stdout + done.stderr, done.stdout + done.stderr
        assert "failed" not in done.stdout
