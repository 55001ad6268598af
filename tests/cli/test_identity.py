"""An id means one run for ever; an index counts in the sweep as it is now."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from pathlib import Path

from control_kit import ONCE


def runs(automate_train) -> dict[str, dict]:
    """name -> what `status --json` says of it; of several with one name the one in the sweep."""
    found = json.loads(automate_train("status", "out", "--json").stdout)["runs"]
    return {run["name"]: run for run in sorted(found, key=lambda run: bool(run["in_sweep"]))}


def test_a_list_made_longer_moves_indexes_and_mixes_nothing_up(automate_train, sweep_files, tmp_path: Path):
    flags = sweep_files(ONCE, {"n_list": [3, 5]}, on_failure="continue")
    (tmp_path / "good-3").touch()
    assert automate_train(*flags).returncode == 1
    before = runs(automate_train)
    flags = sweep_files(ONCE, {"n_list": [4, 5, 3]}, on_failure="continue")
    (tmp_path / "good-4").touch()
    again = automate_train(*flags, "--only", "0")
    assert again.returncode == 0 and "p_n=5 failed" not in again.stdout, "not a failure of this session"
    assert "1 failed in an earlier session" in again.stdout
    after = runs(automate_train)
    assert {name: run["index"] for name, run in after.items()} == {"p_n=4": 0, "p_n=5": 1, "p_n=3": 2}
    assert all(after[name]["id"] == before[name]["id"] for name in before)
    assert len({run["folder"].rpartition("/")[0] for run in after.values()}) == 3, "no folder is shared"
    three = before["p_n=3"]["id"]
    for word in ("2", three, before["p_n=3"]["key"]):
        assert automate_train("logs", "out", word).stderr == f"run 2 (id {three}) p_n=3\n"
    best = automate_train("best", "out", "--run", three)
    assert f"run 2 (id {three}) p_n=3: succeeded" in best.stderr and f"Run 2 (id {three}) of p: p_n=3" in best.stdout


def test_retry_takes_the_runs_it_names_although_the_lists_were_edited_since(automate_train, sweep_files, tmp_path):
    """By its index, which the sweep had when it was last started; the new lists have another run there."""
    assert automate_train(*sweep_files(ONCE, {"n_list": [3, 5, 6]}, on_failure="continue")).returncode == 1
    five = runs(automate_train)["p_n=5"]["id"]
    sweep_files(ONCE, {"n_list": [4, 8, 5]}, on_failure="continue")
    for number in (3, 5, 6, 4, 8):
        (tmp_path / f"good-{number}").touch()
    again = automate_train("retry", "out", "1")
    assert again.returncode == 0 and f"run 1 (id {five}) p_n=5" in again.stdout, again.stdout + again.stderr
    attempts = sorted(path.parent.name for path in tmp_path.glob("out/p/*/attempt-2"))
    assert attempts == ["001-p_n-5"] and not list(tmp_path.glob("out/p/*n-8*"))
    gone = automate_train("retry", "out", runs(automate_train)["p_n=3"]["id"])
    assert gone.returncode == 2 and "(p_n=3) is no longer part of the sweep" in gone.stderr


def test_a_changed_constant_makes_other_runs_and_the_old_ones_stand_apart(automate_train, sweep_files, tmp_path):
    command, lists = [*ONCE, "{dim}"], {"n_list": [3, 5]}
    (tmp_path / "good-3").touch()
    assert automate_train(*sweep_files(command, lists, on_failure="continue", dim=4)).returncode == 1
    (tmp_path / "good-5").touch()
    assert automate_train(*sweep_files(command, lists, on_failure="continue", dim=8)).returncode == 0
    rows = list(csv.DictReader((tmp_path / "out/p/results.csv").open()))
    assert [(row["index"], row["name"], row["state"], row["dim"]) for row in rows] == [
        ("0", "p_n=3", "succeeded", "8"), ("1", "p_n=5", "succeeded", "8"),
        ("", "p_n=3", "succeeded", "4"), ("", "p_n=5", "failed", "4"),
    ]  # fmt: skip
    assert len({row["id"] for row in rows}) == len({row["folder"] for row in rows}) == 4
    table = automate_train("status", "out").stdout
    current, _, gone = table.partition("no longer part of the sweep")
    assert "2 succeeded" in current and "failed" not in current and rows[3]["id"] in gone
    old = automate_train("logs", "out", rows[3]["id"])
    assert old.stdout == "no good-5\n" and "which is no longer part of the sweep" in old.stderr
    assert automate_train("logs", "out", "1").stdout == "", "an index is never a run of another sweep"
    assert "every run that began has succeeded" in automate_train("retry", "out").stdout


def test_only_takes_ids_and_says_which_are_gone(automate_train, sweep_files, tmp_path):
    assert automate_train(*sweep_files(ONCE, {"n_list": [3, 5]}, on_failure="continue")).returncode == 1
    ids = {name: run["id"] for name, run in runs(automate_train).items()}
    flags = sweep_files(ONCE, {"n_list": [9, 5]}, on_failure="continue")
    (tmp_path / "good-5").touch()
    done = automate_train(*flags, "--only", f"{ids['p_n=3']},{ids['p_n=5']}")
    assert done.returncode == 0 and "warning: command line: --only: run" in done.stderr, done.stderr
    assert "(p_n=3) is no longer part of the sweep" in done.stderr and not list(tmp_path.glob("out/p/*n-9*"))
    wrong = automate_train(*flags, "--only", "ffff", "--dry-run")
    assert wrong.returncode == 2 and "no run has the index or id ffff" in wrong.stderr
    wrong = automate_train(*flags, "--only", "first", "--dry-run")
    assert wrong.returncode == 2 and "'first'" in wrong.stderr


def test_ids_survive_the_journal(automate_train, sweep_files, tmp_path):
    flags = sweep_files(ONCE, {"n_list": [3, 5]}, on_failure="continue")
    automate_train(*flags)
    with sqlite3.connect(tmp_path / "out/p/journal.sqlite") as db:  # given when another run had the four digits
        (key,) = db.execute("select key from run where position = 0").fetchone()
    longer = key[:9]
    launch = next(tmp_path.glob("out/p/000-*/attempt-1/launch.json"))
    launch.write_text(re.sub(r'"id": "[0-9a-f]+"', f'"id": "{longer}"', launch.read_text()))
    (tmp_path / "out/p/journal.sqlite").unlink()
    automate_train(*flags)
    assert runs(automate_train)["p_n=3"]["id"] == longer


def test_a_failed_rerun_is_not_done_and_retry_runs_it(automate_train, sweep_files, tmp_path):
    flags = sweep_files(ONCE, {"n_list": [3]})
    (tmp_path / "good-3").touch()
    assert automate_train(*flags).returncode == 0
    (tmp_path / "good-3").unlink()
    assert automate_train(*flags, "--rerun").returncode == 1
    assert "already done" not in automate_train(*flags, "--dry-run").stdout
    (tmp_path / "good-3").touch()
    assert automate_train("retry", "out").returncode == 0
    assert len(list(tmp_path.glob("out/p/000-*/attempt-3"))) == 1


def test_an_interrupted_rerun_goes_on_where_it_was_interrupted(automate_train, sweep_files, tmp_path):
    """The same command again runs what it had not run again yet; when all is done, --rerun begins anew."""
    flags = sweep_files(ONCE, {"n_list": [3, 5]})
    (tmp_path / "good-3").touch()
    (tmp_path / "good-5").touch()
    assert automate_train(*flags).returncode == 0
    (tmp_path / "good-5").unlink()
    assert automate_train(*flags, "--rerun").returncode == 1
    (tmp_path / "good-5").touch()
    names = lambda: sorted(str(path.relative_to(tmp_path / "out/p")) for path in tmp_path.glob("out/p/*/attempt-*"))  # noqa: E731
    assert automate_train(*flags, "--rerun").returncode == 0
    assert names() == ["000-p_n-3/attempt-1", "000-p_n-3/attempt-2",
                       "001-p_n-5/attempt-1", "001-p_n-5/attempt-2", "001-p_n-5/attempt-3"]  # fmt: skip
    assert automate_train(*flags, "--rerun").returncode == 0
    assert "000-p_n-3/attempt-3" in names() and "001-p_n-5/attempt-4" in names()
