"""Finished files reach target_path beside the sweep: whole, under the right name, whatever the disk does."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automate_train.records import Attempt, Launch, Outcome, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.launch import read_launch, write_attempt
from automate_train.store.layout import AttemptFolder, SweepFolder
from automate_train.store.outcome import read_outcome
from automate_train.training import delivery
from automate_train.training.delivery import Delivery, deliver, mark, undelivered


def attempt(folder: Path, keep: dict[str, str], **files: str) -> AttemptFolder:
    found = AttemptFolder(folder)
    write_attempt(found, Launch(("x",), "/", keep=keep, files=files))
    return found


def test_a_copy_is_whole_and_replaces(tmp_path: Path):
    target = tmp_path / "loras" / "x.safetensors"
    folder = attempt(tmp_path / "a", {"output/x.safetensors": str(target)})
    key = b" automate-train key=1111111111111111 "
    new = b"new" + key + b"new" * 1_000_000
    (folder.output / "x.safetensors").write_bytes(new)
    target.parent.mkdir()
    target.write_bytes(b"old" + key)
    assert deliver(folder, read_launch(folder).keep) == (str(target),)
    assert target.read_bytes() == new
    (folder.output / "x.safetensors").unlink()
    with pytest.raises(OSError):
        deliver(folder, read_launch(folder).keep)
    assert target.read_bytes()[:3] == b"new" and [path.name for path in target.parent.iterdir()] == ["x.safetensors"]


def test_a_lora_of_another_run_is_never_replaced(tmp_path: Path):
    target = tmp_path / "loras" / "x.safetensors"
    keep = {"output/x.safetensors": str(target), "training.toml": str(target.with_suffix(".toml"))}

    def delivered(name: str, key: str) -> list[str]:
        files = {"training.toml": f"c = 'automate-train key={key}'"}
        folder = attempt(tmp_path / name / "attempt-1", keep, **files)
        (folder.output / "x.safetensors").write_bytes(name.encode() + b" mine automate-train key=" + key.encode())
        return [Path(path).name for path in deliver(folder, keep)]

    assert delivered("first", "1" * 16) == ["x.safetensors", "x.toml"]
    assert delivered("other", "2" * 16) == ["x-22222222.safetensors", "x-22222222.toml"]
    assert delivered("again", "1" * 16) == ["x.safetensors", "x.toml"]  # the same run once more: its newest attempt
    assert target.read_bytes().startswith(b"again") and mark(target) == "1" * 16
    assert mark(tmp_path / "loras/x-22222222.safetensors") == "2" * 16
    target.write_bytes(b"the user's own")
    assert delivered("third", "1" * 16) == ["x-11111111.safetensors", "x-11111111.toml"]
    assert target.read_bytes() == b"the user's own"


def test_a_file_without_a_mark_is_replaced_only_by_the_run_that_it_came_from(tmp_path: Path):
    target = tmp_path / "loras" / "x.pt"
    target.parent.mkdir()
    keep = {"output/x.pt": str(target), "training.toml": str(target.with_suffix(".toml"))}

    def delivered(name: str, content: bytes) -> list[str]:
        files = {"training.toml": f"c = 'automate-train key={'1' * 16}'"}
        folder = attempt(tmp_path / name / "attempt-1", keep, **files)
        (folder.output / "x.pt").write_bytes(content)
        return [Path(path).name for path in deliver(folder, keep)]

    target.write_bytes(b"the user's own")
    assert delivered("first", b"one") == ["x-11111111.pt", "x-11111111.toml"]
    assert target.read_bytes() == b"the user's own"
    target.write_bytes(b"one")  # a kill came between this file and the next
    assert delivered("second", b"one") == ["x.pt", "x.toml"]
    assert delivered("third", b"two") == ["x.pt", "x.toml"] and target.read_bytes() == b"two"


def test_of_a_checkpoint_only_the_header_is_read_for_its_mark(tmp_path: Path):
    header = b'{"__metadata__": {"ss_training_comment": "automate-train key=0123456789abcdef"}}'
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + b"automate-train key=ffffffffffffffff")
    assert mark(file) == "0123456789abcdef"
    file.write_bytes(b"abc")
    assert mark(file) == mark(tmp_path / "none") == mark(tmp_path) == ""


def results(each: Delivery, seconds: float = 15) -> list[delivery.Delivered]:
    assert select.select(each.wake_on, [], [], seconds)[0]
    return list(each.results())


def journalled(tmp_path: Path, keep: dict[str, str], metrics: dict[str, Any]) -> tuple[Journal, Attempt]:
    """A run that has succeeded."""
    folder = SweepFolder(tmp_path, "p")
    folder.path.mkdir(exist_ok=True)
    journal = Journal(folder.journal)
    record = RunRecord("k" * 16, 0, 0, "p", "p", {}, {})
    begun = journal.begin(record, (), 1.0)
    attempt(folder.path / begun.folder, keep)
    journal.end(begun, Outcome("succeeded", 0), 2.0, metrics)
    return journal, begun


def test_the_thread_tells_where_files_are_and_what_failed(tmp_path: Path):
    target = tmp_path / "loras" / "x"
    journal, begun = journalled(tmp_path, {"output/x": str(target)}, {"loss": 0.5})
    each = Delivery(SweepFolder(tmp_path, "p"))
    assert each.wake_on == () and not each.pending and list(each.results()) == []
    assert list(undelivered(journal.records())) == list(undelivered(journal.records())) != []
    each.add(begun)
    each.add(begun)
    (failed,) = results(each)
    assert "No such file" in failed.error and not each.pending
    (tmp_path / "p" / begun.folder / "output/x").write_text("whole")
    each.add(begun)
    assert each.pending
    (done,) = results(each)
    assert (done.paths, done.error) == ((str(target),), "") and target.read_text() == "whole"
    journal.set_delivered(begun, done.paths)
    assert list(undelivered(journal.records())) == []
    (record,) = journal.records()
    outcome = read_outcome(AttemptFolder(tmp_path / "p" / begun.folder))
    assert outcome and dict(record.metrics) == dict(outcome.metrics) == {"loss": 0.5, "delivered": [str(target)]}


def test_only_the_newest_success_of_a_run_is_copied_later(tmp_path: Path):
    journal, _ = journalled(tmp_path, {}, {})
    record = next(journal.records())
    newer = journal.begin(record, (), 3.0)
    journal.end(newer, Outcome("succeeded", 0), 4.0, {})
    worse = journal.begin(record, (), 5.0)
    journal.end(worse, Outcome("failed", 1), 6.0, {})
    assert [each.number for each in undelivered(journal.records())] == [2]
    journal.set_delivered(newer, [])
    assert list(undelivered(journal.records())) == []


# the command, with a target disk that takes its time

SLOW = """
import os, sys, time
from automate_train.training import delivery

copy = delivery.deliver

def slowly(attempt, keep):
    open("copying", "a").write(attempt.path.parent.name + "\\n")
    if float(os.environ["COPY_SECONDS"]) < 0:
        raise OSError(5, "Input/output error")
    time.sleep(float(os.environ["COPY_SECONDS"]))
    return copy(attempt, keep)

delivery.deliver = slowly
from automate_train.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Two runs of a fake sd-scripts, one at a time, whose LoRAs go to `loras`; the command with a slow disk."""
    from sd_scripts_kit import make_pictures, make_repo, safetensors

    repo = make_repo(tmp_path / "repo")
    script = repo / "train_network.py"
    script.write_text(script.read_text(encoding="utf-8") + FAKE_TRAINING, encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(safetensors({"w": ("F16", b"\0\0")}))
    default = {
        "project_name_base": "p", "temp_dir": "out", "target_path": "loras", "repo_dir": "repo", "resolution": 64,
        "model_file": "model.safetensors", "images_folder": str(make_pictures(tmp_path / "pictures")),
        "launcher": "python", "network_dim": 1, "epoch_num": 1, "seed_list": [0, 1],
    }  # fmt: skip
    (tmp_path / "default.json").write_text(json.dumps(default))
    (tmp_path / "slow.py").write_text(SLOW)

    def start(seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "slow.py", "--default_config_path", "default.json", "--cpu", "1", "--plain"],
            cwd=tmp_path, env={**os.environ, "COPY_SECONDS": str(seconds)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    return start


FAKE_TRAINING = """
import json, os, re, struct, sys, time

if __name__ == "__main__":
    text = open(sys.argv[sys.argv.index("--config_file") + 1], encoding="utf-8").read()
    name, output, comment = (
        re.search(rf'^{key} = "(.*)"$', text, re.MULTILINE)[1]
        for key in ("output_name", "output_dir", "training_comment")
    )
    open("starts", "a").write(f"{time.time()!r}\\n")
    header = json.dumps({
        "__metadata__": {"ss_training_comment": comment, "ss_steps": "2", "ss_max_train_steps": "2"},
        "w": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]},
    }).encode()
    with open(f"{output}/{name}.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + b"\\0\\0\\x80?" * 1024)
    event = {"at": time.time(), "kind": "checkpoint", "path": file.name, "epoch": 1, "step": 2, "nan": 0}
    open(os.environ["AUTOMATE_TRAIN_ATTEMPT"] + "/events.jsonl", "a").write(json.dumps(event) + "\\n")
    open("ends", "a").write(f"{time.time()!r}\\n")
"""


def until(fact: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)
    return found


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def loras(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "loras").iterdir()) if (tmp_path / "loras").exists() else []


def delivered(tmp_path: Path) -> list[bool]:
    journal = Journal(SweepFolder(tmp_path / "out", "p").journal, read_only=True)
    return [bool(record.metrics.get("delivered")) for record in journal.records()]


@pytest.mark.slow
def test_the_next_run_starts_while_the_disk_takes_three_seconds(sweep, tmp_path: Path):
    process = sweep(3)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    ends, starts = ([float(line) for line in lines(tmp_path / name)] for name in ("ends", "starts"))
    assert len(starts) == 2 and starts[1] - ends[0] < 1.5, "it waited for the copy"
    assert len(loras(tmp_path)) == 4 and delivered(tmp_path) == [True, True]
    assert "copying to target_path" in said and said.index("succeeded after") < said.index("copying to target_path")


@pytest.mark.slow
def test_a_disk_that_hangs_does_not_keep_ctrl_c_twice_and_is_made_up_for_by_the_next_start(sweep, tmp_path: Path):
    process = sweep(600)
    until(lambda: len(lines(tmp_path / "ends")) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "one Ctrl-C lets it finish"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and time.monotonic() - began < 15, said
    assert loras(tmp_path) == [] and delivered(tmp_path) == [False, False] and "Traceback" not in said
    again = sweep(0)
    said = again.communicate(timeout=120)[0]
    assert again.returncode == 0 and len(lines(tmp_path / "starts")) == 2, said
    assert len(loras(tmp_path)) == 4 and delivered(tmp_path) == [True, True]


@pytest.mark.slow
def test_killed_in_the_middle_of_a_copy(sweep, tmp_path: Path):
    process = sweep(600)
    until(lambda: lines(tmp_path / "copying") and len(lines(tmp_path / "ends")) == 2)
    target = next((tmp_path / "out/p").glob("000-*/attempt-1")).resolve()
    half = tmp_path / "loras"
    half.mkdir(exist_ok=True)
    keep = read_launch(AttemptFolder(target)).keep
    own_end = f"{delivery.zlib.crc32(os.fsencode(target)):08x}"
    for name in map(os.path.basename, keep.values()):
        (half / f".{name}.{own_end}").write_bytes(b"half")
    process.kill()
    process.wait()
    again = sweep(0)
    said = again.communicate(timeout=120)[0]
    assert again.returncode == 0 and len(lines(tmp_path / "starts")) == 2, said
    assert len(loras(tmp_path)) == 4 and delivered(tmp_path) == [True, True], "half a copy is left"


@pytest.mark.slow
def test_a_copy_that_fails_is_said_and_trains_nothing_again(sweep, tmp_path: Path):
    process = sweep(-1)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0 and said.count("trained, but not copied to target_path: ") == 2, said
    assert loras(tmp_path) == [] and delivered(tmp_path) == [False, False]
    again = sweep(0)
    said = again.communicate(timeout=120)[0]
    assert again.returncode == 0 and len(lines(tmp_path / "starts")) == 2, said
    assert len(loras(tmp_path)) == 4 and delivered(tmp_path) == [True, True]


@pytest.mark.parametrize("content", [b"", b"{", None])
def test_what_launch_json_does_not_say_is_not_called_delivered(tmp_path, content):
    sweep = SweepFolder(tmp_path, "p")
    folder = sweep.attempt("000-p/attempt-1")
    folder.path.mkdir(parents=True)
    if content is not None:
        folder.launch.write_bytes(content)
    ours = Delivery(sweep)
    ours.add(Attempt(1, "k", 1, "000-p/attempt-1", (), "", 0.0))
    assert select.select(ours.wake_on, [], [], 15)[0]
    (result,) = ours.results()
    assert "launch.json cannot be read" in result.error and not result.paths


def test_an_error_that_nobody_expected_ends_no_other_copy(tmp_path, monkeypatch):
    sweep, seen = SweepFolder(tmp_path, "p"), []

    def broken(folder, keep):
        seen.append(folder)
        if len(seen) == 1:
            raise RuntimeError("never thought of")
        return ("there",)

    monkeypatch.setattr(delivery, "deliver", broken)
    ours = Delivery(sweep)
    for number in (1, 2):
        write_attempt(sweep.attempt(f"000-p/attempt-{number}"), Launch(("x",), "/", keep={"a": "/b"}))
        ours.add(Attempt(number, "k", number, f"000-p/attempt-{number}", (), "", 0.0))
    results = []
    while ours.pending:
        assert select.select(ours.wake_on, [], [], 15)[0]
        results += ours.results()
    assert [(each.error, each.paths) for each in results] == [("never thought of", ()), ("", ("there",))]
