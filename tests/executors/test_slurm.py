"""What is particular to Slurm: its options, its script, squeue's words; with fake commands, what a lost answer and a
controller that is away lead to. The contract, on a real Slurm, is in `test_executor_contract`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import golden
import pytest

from automate_train.errors import RunError, UserError
from automate_train.executors import slurm_commands, slurm_options, slurm_queue, slurm_script
from automate_train.executors.protocol import Found, Recovered
from automate_train.executors.slurm import Slurm
from automate_train.executors.slurm_end import note_end
from automate_train.executors.slurm_queue import Job, parse, parse_handle
from automate_train.records import Launch, RunRecord
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder

FAKES = Path(__file__).parent.parent / "fakes/fake_slurm"


# options


def test_options_are_those_of_sbatch():
    table = {"partition": "gpu", "cpus_per_task": 8, "exclusive": True, "qos": None, "extra": ["--constraint=a100"]}
    assert slurm_options.options(table, 2) == (
        "--partition=gpu", "--cpus-per-task=8", "--exclusive", "--gres=gpu:2", "--requeue", "--signal=B:USR1@120",
        "--constraint=a100",
    )  # fmt: skip


@pytest.mark.parametrize("own", [{"gres": "gpu:a100:2"}, {"gpus": 2}, {"extra": ["--gpus-per-node=2"]}])
def test_who_asks_for_gpus_in_words_of_the_cluster_is_not_given_others(own):
    assert sum("gpu" in option for option in slurm_options.options(own, 2)) == 1


def test_no_requeue_is_respected():
    assert "--requeue" not in slurm_options.options({"no_requeue": True}, 0)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1], "needs an object"),
        ({"time": [1]}, "time needs a text or a number"),
        ({"extra": "-x"}, "extra needs a list"),
        ({"extra": ["x"]}, "is no option"),
        ({"comment": "a\nb"}, "more than one line"),
        ({"job_name": "x"}, "job-name is set by automate-train"),
        ({"extra": ["--array=1-3"]}, "array is set by automate-train"),
        ({"gres": "gpu:a100:4"}, "asks for 4 GPUs, and the run takes 2"),
    ],
)
def test_what_is_wrong_with_them_is_said(value, says):
    assert any(says in text for text in slurm_options.problems(value, 2))


@pytest.mark.parametrize("value", [None, {}, {"gres": "gpu:2"}, {"gres": "gpu"}, {"gres": "tmp:5G"}, {"mem": "4G"}])
def test_what_is_right_is_not_complained_of(value):
    assert list(slurm_options.problems(value, 2)) == []


# script


def test_the_batch_script_is_the_golden_one(monkeypatch):
    monkeypatch.setattr(slurm_script.sys, "executable", "/shared/venv/bin/python")
    launch = Launch(
        ("/shared/venv/bin/python", "train.py", "--prompt", "a 'boat'", "two\nlines"), "/home/me/loras",
        env={"PYTHONUNBUFFERED": "1", "A.B": "no name of a shell"}, secrets={"HF_TOKEN": "hf_secret"}, gpus=1,
        slurm={"partition": "gpu", "comment": 'it is "mine"', "time": "8:00:00"},
    )  # fmt: skip
    text = slurm_script.script(launch, AttemptFolder("/shared/50% done/p/000-a/attempt-1"))
    golden.compare("slurm.sh", text)
    assert "hf_secret" not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0


# squeue


def test_squeues_answer():
    answer = (
        "7|PENDING|BeginTime|2026-11-24T19:26:31|000-a/attempt-1@0123abcd\n"
        "8_[1-3]|PENDING|Priority|N/A|an array\n9|RUNNING|None|N/A|a|b\n\nnonsense\n"
    )
    found = parse(answer)
    assert found == {
        7: Job(7, "PENDING", "BeginTime", "2026-11-24T19:26:31", "000-a/attempt-1@0123abcd"),
        9: Job(9, "RUNNING", "None", "N/A", "a|b"),
    }
    assert (found[7].why, found[7].waits, found[9].waits) == ("BeginTime until 19:26:31", True, False)
    assert Job(1, "PENDING", "Priority", "N/A", "").why == "Priority"
    assert Job(1, "PENDING", "None", "N/A", "").why == "submitted"


def test_handles_are_read_as_they_were_written_and_others_are_none():
    handle = parse_handle("slurm one 12 000-a/attempt-2")
    assert handle is not None and str(handle) == "slurm one 12 000-a/attempt-2"
    assert [parse_handle(text) for text in ("", "12 1 boot host", "slurm one 12 ../x/attempt-1", "slurm one x a")] == [
        None
    ] * 4


def test_jobs_of_another_sweep_are_not_ours(tmp_path: Path):
    ours = slurm_queue.job_name(AttemptFolder(tmp_path / "p/000-a/attempt-1"))
    theirs = slurm_queue.job_name(AttemptFolder(tmp_path / "q/000-a/attempt-1"))
    jobs = {id_: Job(id_, "RUNNING", "", "", name) for id_, name in ((1, ours), (2, theirs), (3, "x"))}
    assert slurm_queue.jobs_of(tmp_path / "p", jobs) == {1: "000-a/attempt-1"}


# its words about an end


def test_slurms_words_are_written_into_the_attempts_own_console_once(tmp_path: Path):
    for number in (1, 2):
        (tmp_path / f"run/attempt-{number}").mkdir(parents=True)
    end = "slurmstepd-n: error: *** JOB 5 ON n CANCELLED AT 2026-11-24T19:24:{} DUE TO {} ***\n"
    said = f"attempt 1\n{end.format(25, 'PREEMPTION')}attempt 2\nan echo\n{end.format(36, 'TIME LIMIT')}"
    (tmp_path / "run/slurm-5.out").write_text(said)
    for number, word in ((1, "PREEMPTION"), (2, "TIME LIMIT")):
        attempt = AttemptFolder(tmp_path / f"run/attempt-{number}")
        note_end(attempt, 5)
        note_end(attempt, 5)
        assert [line.split("DUE TO ")[1] for line in attempt.tail()] == [f"{word} ***"]


# what does not answer


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch) -> Path:
    """The folder of a fake Slurm."""
    monkeypatch.setenv("PATH", f"{FAKES}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    (tmp_path / "slurm").mkdir()
    slurm_commands.cluster.cache_clear()
    yield tmp_path / "slurm"
    slurm_commands.cluster.cache_clear()


def attempt(tmp_path: Path, run: str = "run") -> AttemptFolder:
    folder = AttemptFolder(tmp_path / "p" / run / "attempt-1")
    write_attempt(folder, Launch(("true",), "/"), RunRecord("0" * 16, 0, 0, run, run, {}, {}))
    return folder


def waiting(executor: Slurm, handle: str, why: str, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while (executor.waiting() or {}).get(handle) != why and time.monotonic() < deadline:
        assert executor.wait(0.1) == {}
    return (executor.waiting() or {}).get(handle) == why


def test_a_job_whose_answer_was_lost_is_found_by_its_name_and_not_submitted_twice(cluster: Path, tmp_path: Path):
    (cluster / "lost").touch()
    executor, folder = Slurm(ask_seconds=0.1), attempt(tmp_path)
    handle = executor.start(Launch(("true",), "/"), folder, ())
    assert executor.waiting() == {handle: "submitted"}
    assert waiting(executor, handle, "Priority") and executor.describe(handle) == "Slurm job 1"
    for _ in range(5):
        assert executor.wait(0.1) == {}
    assert (cluster / "next").read_text() == "2\n", "it was submitted once"
    other = Slurm(ask_seconds=0.1)
    assert other.recover(tmp_path / "p", [(folder, handle)]).attempts == [Found("slurm fake 1 run/attempt-1")]


def test_what_slurm_did_not_get_is_submitted_when_it_answers_again(cluster: Path, tmp_path: Path):
    (cluster / "away").touch()
    executor, folder = Slurm(ask_seconds=0.1), attempt(tmp_path)
    handle = executor.start(Launch(("true",), "/"), folder, ())
    for _ in range(5):
        assert executor.wait(0.1) == {}
    assert not (cluster / "queue").exists()
    (cluster / "away").unlink()
    assert waiting(executor, handle, "Priority")


def test_while_slurm_does_not_answer_nothing_has_ended_and_nobody_guesses(cluster: Path, tmp_path: Path):
    executor, folder = Slurm(ask_seconds=0.1), attempt(tmp_path)
    handle = executor.start(Launch(("true",), "/"), folder, ())
    assert waiting(executor, handle, "Priority")
    (cluster / "away").touch()
    (cluster / "queue").unlink()
    for _ in range(5):
        assert executor.wait(0.1) == {}
    with pytest.raises(UserError, match="Slurm does not answer"):
        Slurm().recover(tmp_path / "p", [(folder, handle)])
    folder.exit_code.write_text("0\n")
    assert executor.wait(10) == {handle: None}, "its folder tells"


def test_a_job_that_was_withdrawn_ends_without_having_begun(cluster: Path, tmp_path: Path):
    executor, folder = Slurm(ask_seconds=0.1), attempt(tmp_path)
    handle = executor.start(Launch(("true",), "/"), folder, ())
    assert waiting(executor, handle, "Priority")
    executor.withdraw(handle)
    ended: dict[str, int | None] = {}
    while not ended:
        ended = executor.wait(10)
    assert ended == {handle: None} and folder.read_exit_code() is None
    assert (cluster / "cancelled").read_text() == "--state=PENDING 1\n"


def test_what_sbatch_refuses_could_not_be_started(cluster: Path, tmp_path: Path):
    (cluster / "refuses").touch()
    with pytest.raises(RunError, match="sbatch refuses it: sbatch: error: invalid partition"):
        Slurm().start(Launch(("true",), "/"), attempt(tmp_path), ())


def test_squeue_is_asked_for_all_jobs_at_once_and_seldom(cluster: Path, tmp_path: Path):
    executor = Slurm(ask_seconds=0.5)
    for number in range(5):
        executor.start(Launch(("true",), "/"), attempt(tmp_path, str(number)), ())
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        executor.wait(0.2)
    asked = len((cluster / "asked").read_text().splitlines())
    assert 2 <= asked <= 5, "0.5 s, then ever more"


def test_the_attempt_in_which_a_job_goes_on_is_told(cluster: Path, tmp_path: Path):
    executor, first = Slurm(ask_seconds=0.1), attempt(tmp_path)
    handle = executor.start(Launch(("true",), "/"), first, ())
    first.slurm_job.write_text("1\n")
    first.exit_code.touch()
    second = AttemptFolder(first.path.with_name("attempt-2"))
    write_attempt(second, Launch(("true",), "/", files={"slurm_job": "1\n"}), RunRecord("0" * 16, 0, 0, "", "", {}, {}))
    ended: dict[str, int | None] = {}
    while not ended:
        ended = executor.wait(10)
    assert ended == {handle: None}
    went_on = executor.went_on(handle)
    assert went_on is not None and went_on[0].path == second.path
    second.exit_code.write_text("0\n")
    assert executor.wait(10) == {went_on[1]: None}


def test_a_run_on_another_cluster_is_neither_adopted_nor_lost(cluster: Path, tmp_path: Path):
    told = [(attempt(tmp_path), "slurm other 3 run/attempt-1")]
    assert Slurm().recover(tmp_path / "p", told) == Recovered([Found(elsewhere="the cluster other")], [])
