"""The hook runs real scripts in processes of their own. The quick tests put small packages named `accelerate` and
`safetensors` beside the script, with the calls that trainers make; the slow ones use the true packages."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import automate_train
from automate_train.hook import hook_metrics

HOOK = Path(__file__).parents[2] / "automate_train" / "hook"
TINY = Path(__file__).parents[2] / "automate_train" / "trainers" / "tiny" / "train_network.py"

ACCELERATE = """
    class Shown:
        name = "shown"
        def log(self, values, step=None, **kwargs): print("shown", dict(values), step)
        def finish(self): print("shown tracker finished")

    class Accelerator:
        is_main_process = True
        def __init__(self): self.trackers = []
        def init_trackers(self, project_name, config=None, init_kwargs={}): self.trackers.append(Shown())
        def get_tracker(self, name):
            return next(tracker for tracker in self.trackers if tracker.name == name)
        def log(self, values, step=None):
            for tracker in self.trackers: tracker.log(values, step=step)
        def end_training(self):
            for tracker in self.trackers: tracker.finish()
"""
SAFETENSORS = """
    def save_file(tensors, filename, metadata=None):
        open(filename, "w").write("12345")
        return "what it returns"
"""
TENSOR = """
    class Tensor:
        def __init__(self, *numbers): self.numbers = numbers
        def is_floating_point(self): return True
        def element_size(self): return 4
        def numel(self): return len(self.numbers)
        def detach(self): return self
        def aminmax(self):
            bad = [x for x in self.numbers if x != x]
            return (bad * 2)[:2] or (min(self.numbers), max(self.numbers))
"""


class Attempt:
    """An attempt's folder and, beside it, a folder with a trainer's script."""

    def __init__(self, path: Path) -> None:
        self.path, self.repo = path / "attempt-1", path / "repo"
        (self.path / "hook").mkdir(parents=True)
        for file in HOOK.glob("*.py"):
            (self.path / "hook" / file.name).write_bytes(file.read_bytes())
        self.settings()
        for name, text in (("accelerate/accelerator", ACCELERATE), ("safetensors/torch", SAFETENSORS)):
            file = self.repo / f"{name}.py"
            file.parent.mkdir(parents=True)
            file.write_text(textwrap.dedent(text))
            (file.parent / "__init__.py").write_text("from .accelerator import Accelerator" if "acc" in name else "")
        (self.repo / "tensors.py").write_text(textwrap.dedent(TENSOR))
        self.script = self.repo / "train.py"

    def settings(self, **fields: Any) -> None:
        (self.path / "hook.json").write_text(json.dumps({"run_name": "r", "project": "p", **fields}))

    def command(self, script: str, *args: str) -> list[str]:
        self.script.write_text(textwrap.dedent(script))
        return [sys.executable, str(self.path / "hook" / "run.py"), str(self.script), *args]

    def run(self, script: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = self.command(script, *args)
        home = self.path.parent  # what a script writes beside itself stays there
        return subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=60, cwd=home)

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.path / "events.jsonl").read_text().splitlines()

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        return [json.loads(line, parse_constant=refuse) for line in lines]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "AUTOMATE_TRAIN_ATTEMPT")}
    return {**clean, "PYTHONDONTWRITEBYTECODE": "", **more}


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


# --- the script runs as if it had been started itself

WHO_AM_I = """
    import json, os, sys, sibling
    main = sys.modules["__main__"]
    print(json.dumps([__name__, __file__, main.__file__, main is sys.modules[__name__], sys.argv, sys.path,
                      sibling.said, sys.dont_write_bytecode, os.getcwd(),
                      sorted(name for name in sys.modules if "hook" in name)]))
"""


@pytest.mark.parametrize("link", [False, True])
def test_script_sees_what_it_sees_when_started_itself(attempt: Attempt, tmp_path: Path, link: bool) -> None:
    (attempt.repo / "sibling.py").write_text("said = 'imported from beside the script'")
    command = attempt.command(WHO_AM_I, "--lr", "1e-4", "")
    if link:
        (tmp_path / "link.py").symlink_to(attempt.script)
        command[2] = str(tmp_path / "link.py")
    plain, hooked = (
        json.loads(subprocess.run(c, capture_output=True, text=True, check=True, env=environment()).stdout)
        for c in ([command[0], *command[2:]], command)
    )
    *same, modules = hooked
    assert same == plain[:-1]
    assert plain[-1] == [] and modules == [
        "hook_events",
        "hook_imports",
        "hook_metrics",
        "hook_patches",
        "hook_sample_wait",
    ]
    assert not (attempt.path / "hook" / "__pycache__").exists()


@pytest.mark.parametrize(
    ("last_line", "code", "error"),
    [
        ("pass", 0, None),
        ("sys.exit()", 0, None),
        ("sys.exit(0)", 0, None),
        ("sys.exit(3)", 3, "exit 3"),
        ("sys.exit('some text')", 1, "exit some text"),
        ("raise ValueError('bad \\ud800 value')", 1, "ValueError: bad \ud800 value"),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt: "),
        ("1 +* 2", 1, "SyntaxError: invalid syntax"),
    ],
)
def test_exit_codes_and_tracebacks_pass_through(attempt: Attempt, last_line: str, code: int, error: str | None) -> None:
    command = attempt.command(f"import sys\n{last_line}")
    runs = [
        subprocess.run(c, capture_output=True, text=True, env=environment())
        for c in (command[:1] + command[2:], command)
    ]
    assert [run.returncode for run in runs] == [code, code]
    assert [run.stderr.splitlines()[-1:] for run in runs] == [runs[0].stderr.splitlines()[-1:]] * 2
    end = attempt.events[-1]
    assert end["kind"] == "end" and end["ok"] is (error is None)
    assert 1e6 < end["peak_memory"] < 1e11
    assert (end.get("error") or "").startswith(error or "")


def test_begin_has_the_pid_and_the_title_is_set(attempt: Attempt) -> None:
    attempt.settings(process_title="my_character_lora")
    ran = attempt.run("import os; print(os.getpid(), open('/proc/self/comm').read().strip())")
    pid, name = ran.stdout.split()
    assert attempt.events[0]["kind"] == "begin" and attempt.events[0]["pid"] == int(pid)
    assert name == "python/my_chara"


def test_modules_are_imported_when_the_script_wants_them(attempt: Attempt) -> None:
    ran = attempt.run("""
        import sys
        early = [name for name in sys.modules if name.split(".")[0] in ("accelerate", "safetensors", "torch", "ctypes")]
        import accelerate, safetensors.torch, inspect
        print(early, safetensors.torch.__loader__.get_source("safetensors.torch").strip()[:13],
              inspect.signature(safetensors.torch.save_file), type(safetensors.torch.__spec__.loader).__name__)
    """)
    assert ran.stdout == "[] def save_file (tensors, filename, metadata=None) SourceFileLoader\n", ran.stderr


# --- what is told

TRAINING = """
    from types import SimpleNamespace
    from accelerate import Accelerator
    def train(args, num_train_epochs):
        accelerator = Accelerator()
        def init(): accelerator.init_trackers("network_train")
        init()
        accelerator.log({}, step=0)
        step = 0
        for epoch in range(num_train_epochs):
            for _ in range(3):
                step += 1
                for tracker in accelerator.trackers:
                    values = {"loss/current": LOSS, "loss/average": 0.5, "lr/textencoder": 1e-5, "lr/unet": 1e-4}
                    accelerator.get_tracker(tracker.name).log({**values, "lr/group1": 1e-4}, step=step)
            accelerator.log({"loss/epoch_average": 0.25}, step=epoch + 1)
        accelerator.end_training()
        print("script is over")
"""


def test_metrics(attempt: Attempt) -> None:
    attempt.run(TRAINING.replace("LOSS", "step / 2") + "\n    train(SimpleNamespace(max_train_steps=6), 2)\n")
    kinds = [event["kind"] for event in attempt.events]
    assert kinds == ["begin", "training", "metrics", "metrics", "metrics", "metrics", "metrics", "end"]
    training, first, mean, epoch, other_mean, last = attempt.events[1:7]
    assert (training["total_steps"], training["epochs"]) == (6, 2)
    rates = {"textencoder": 1e-5, "unet": 1e-4}
    expected = {"kind": "metrics", "step": 1, "epoch": 1, "loss": 0.5, "average": 0.5, "lr": rates}
    assert first == {"at": first["at"], **expected}
    # The epoch's end is told with the epoch's last step, whatever number the trainer gave it.
    assert (epoch["step"], epoch["epoch"], epoch["loss"]) == (3, 1, 1.5)
    assert epoch["other"] == {"loss/epoch_average": 0.25}
    # Every epoch gets its mean over all its steps, however quick it is.
    fields = {"kind": "metrics", "step": 3, "epoch": 1, "epoch_loss": 1.0, "epoch_nan_steps": 0}
    assert mean == {"at": mean["at"], **fields}
    assert (other_mean["step"], other_mean["epoch"], other_mean["epoch_loss"]) == (6, 2, 2.5)
    # The rest came within half a second: one line at the end, with the last of everything.
    assert (last["step"], last["epoch"], last["loss"], last["lr"]) == (6, 2, 3.0, rates)


def test_totals_that_the_trainer_does_not_name_are_null(attempt: Attempt) -> None:
    attempt.run("from accelerate import Accelerator\nAccelerator().init_trackers('p')")
    assert [(e["total_steps"], e["epochs"]) for e in attempt.of("training")] == [(None, None)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_bad_numbers_are_null_and_told_at_once(attempt: Attempt, value: str) -> None:
    loss = f"float('{value}') if step == 3 else 1.0"
    attempt.run(TRAINING.replace("LOSS", loss) + "\n    train(SimpleNamespace(max_train_steps=3), 1)\n")
    first, bad, mean, _ = attempt.of("metrics")  # the last two: the epoch is over
    assert (first["step"], first["loss"], "nan" in first) == (1, 1.0, False)
    assert (bad["step"], bad["loss"], bad["nan"]) == (3, None, True)
    assert (mean["epoch_loss"], mean["epoch_nan_steps"]) == (1.0, 1), "left out of the mean, and counted"


def test_only_the_step_s_own_loss_is_told_as_nan() -> None:
    """sd-scripts' average stays NaN for ever after one NaN."""
    written: list[dict[str, Any]] = []
    events = SimpleNamespace(write=lambda kind, **fields: written.append(fields))
    metrics = hook_metrics.Metrics(events, hook_metrics.Progress())
    for step, loss in enumerate([1.0, math.nan, 0.5, 0.5], 1):
        metrics.log({"loss/current": loss, "loss/average": math.nan if step > 1 else 1.0}, step)
        metrics.flush()
    assert [fields["step"] for fields in written if "nan" in fields] == [2]


def train_by(clock: Iterator[float], losses: Sequence[float], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is written of a training of two epochs, each of whose steps takes as long as the clock says."""
    written: list[dict[str, Any]] = []
    events = SimpleNamespace(write=lambda kind, **fields: written.append(fields), trouble=pytest.fail)
    with monkeypatch.context() as patched:
        patched.setattr(hook_metrics.time, "monotonic", lambda: next(clock))
        metrics = hook_metrics.Metrics(events, hook_metrics.Progress())
        for epoch in (1, 2):
            for loss in losses:
                metrics.log({"loss/current": loss / epoch}, 1)
            metrics.log({"loss/epoch_average": 0.5}, epoch)
    return written


def test_the_mean_of_an_epoch_is_the_same_to_the_bit_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch):
    losses = [random.Random(step).random() for step in range(1000)]
    quick, slow = (train_by(count(0.0, seconds), losses, monkeypatch) for seconds in (0.0001, 10.0))
    assert len(quick) < 10 < len(slow), "the quick one writes fewer steps"
    quick_means, slow_means = ([each["epoch_loss"] for each in run if "epoch_loss" in each] for run in (quick, slow))
    assert quick_means == slow_means and quick_means == pytest.approx([sum(losses) / 1000, sum(losses) / 2000])


GOING_ON = """
    from accelerate import Accelerator
    def train(initial_step, epoch_to_start, train_dataloader):
        accelerator = Accelerator()
        accelerator.init_trackers("network_train")
        for epoch in range(epoch_to_start, 3):
            accelerator.log({"loss/current": 1.0}, step=1)
            accelerator.log({"loss/epoch_average": 1.0}, step=epoch + 1)
"""


@pytest.mark.parametrize(("initial_step", "whole"), [(0, [1, 2, 3]), (3, [2, 3]), (4, [2, 3]), (6, [3])])
def test_an_epoch_that_is_entered_in_the_middle_has_no_mean(
    attempt: Attempt, initial_step: int, whole: list[int]
) -> None:
    """`initial_step`, as sd-scripts counts it where it opens the trackers: in batches of the whole training."""
    attempt.run(GOING_ON + f"\n    train({initial_step}, {initial_step // 4}, range(4))\n")
    assert [each["epoch"] for each in attempt.of("metrics") if "epoch_loss" in each] == whole
    assert attempt.of("trouble") == []


def test_full_trainers_log_through_accelerate(attempt: Attempt) -> None:
    attempt.run("""
        from accelerate import Accelerator
        a = Accelerator(); a.init_trackers("p")
        a.log({"loss": 0.75, "lr/unet": 1e-4}, step=7)
        a.log({"loss/epoch": 0.5, "epoch": 2}, step=7)
    """)
    first, mean, second = attempt.of("metrics")
    assert (mean["epoch"], mean["step"], mean["epoch_loss"]) == (2, 7, 0.75)
    assert (first["step"], first["loss"], first["lr"]) == (7, 0.75, {"unet": 1e-4})
    assert (second["step"], second["epoch"], second["other"]) == (7, 2, {"loss/epoch": 0.5})


def test_trackers_are_closed_after_the_script(attempt: Attempt) -> None:
    ran = attempt.run(TRAINING.replace("LOSS", "1.0") + "\n    train(SimpleNamespace(max_train_steps=3), 1)\n")
    assert ran.stdout.splitlines()[-2:] == ["script is over", "shown tracker finished"]


def test_a_tracker_that_cannot_be_closed_is_no_failed_training(attempt: Attempt) -> None:
    ran = attempt.run("""
        from accelerate import Accelerator
        a = Accelerator(); a.init_trackers("p")
        a.trackers[0].finish = lambda: 1 / 0
        a.end_training()
    """)
    assert ran.returncode == 0
    assert [e["where"] for e in attempt.of("trouble")] == ["end_training"] and attempt.events[-1]["ok"] is True


SAVING = """
    import os, safetensors.torch
    from safetensors.torch import save_file
    from tensors import Tensor
    os.makedirs("out/r-000001-state", exist_ok=True)
    def save(name, **metadata):
        metadata = {"ss_output_name": "r", **metadata} if metadata else None
        nan, inf = float("nan"), float("inf")
        saved = {"a": Tensor(), "b": Tensor(1, nan), "c": Tensor(1, -inf), "d": Tensor(inf, nan), "e": Tensor(1, 2)}
        assert save_file(saved, f"out/{name}.safetensors", metadata) == "what it returns"
"""


def test_checkpoints(attempt: Attempt) -> None:
    out = attempt.repo / "out"
    attempt.settings(output_dir=str(out))
    script = (
        SAVING
        + """
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    os.makedirs("out/r-000001-state", exist_ok=True)
    save("r-000001", ss_epoch="1", ss_steps="12")
    save("r-step00000018", ss_epoch="1", ss_steps="18")
    save("r-000001-state/model")
    save("r_text_encoder", ss_epoch="1", ss_steps="18")
    save("r", ss_epoch="2", ss_steps="24")
    safetensors.torch.save_file(filename="out/r-000003.safetensors", tensors={})
    """
    )
    ran = attempt.run(script)
    assert ran.returncode == 0, ran.stderr
    found = [(Path(e["path"]).stem, e["which"], e["epoch"], e["step"]) for e in attempt.of("checkpoint")]
    assert found == [
        ("r-000001", "epoch", 1, 12),
        ("r-step00000018", "step", 1, 18),  # its ss_epoch says how many epochs are over
        ("r_text_encoder", "other", 1, 18),
        ("r", "last", 2, 24),
        ("r-000003", "epoch", 3, None),
    ]
    first = attempt.of("checkpoint")[0]
    assert first["path"] == str(out / "r-000001.safetensors")
    assert (first["size"], first["tensors"], first["nan"], first["inf"]) == (5, 5, 2, 1)


def test_a_fault_in_the_hook_is_an_event_and_the_checkpoint_is_there(attempt: Attempt) -> None:
    ran = attempt.run("""
        import os
        from safetensors.torch import save_file
        os.chdir(os.path.dirname(__file__))
        for _ in range(3): save_file({"a": "no tensor"}, "r.safetensors")
        print(os.path.getsize("r.safetensors"))
    """)
    assert (ran.returncode, ran.stdout) == (0, "5\n")
    (trouble,) = attempt.of("trouble")  # told once
    assert trouble["where"] == "saved" and "AttributeError" in trouble["error"]


def test_a_failed_save_fails_as_it_would_and_is_no_checkpoint(attempt: Attempt) -> None:
    ran = attempt.run("from safetensors.torch import save_file\nsave_file({}, '/no/such/folder/r.safetensors')")
    assert ran.returncode == 1 and "FileNotFoundError" in ran.stderr
    assert attempt.of("checkpoint") == []


# --- a hook that cannot work


def test_other_processes_of_the_run_are_silent(attempt: Attempt) -> None:
    ran = attempt.run("print('trained')", RANK="1")
    assert ran.stdout == "trained\n" and not (attempt.path / "events.jsonl").exists()


@pytest.mark.parametrize("place", ["folder", "full disk"])
def test_events_that_cannot_be_written(attempt: Attempt, place: str) -> None:
    events = attempt.path / "events.jsonl"
    events.mkdir() if place == "folder" else events.symlink_to("/dev/full")
    ran = attempt.run(TRAINING.replace("LOSS", "1.0") + "\n    train(SimpleNamespace(max_train_steps=3), 1)\n")
    assert ran.returncode == 0 and "script is over" in ran.stdout
    assert len(ran.stderr.splitlines()) == 1 and "events are lost" in ran.stderr


@pytest.mark.parametrize("text", ["{", "[]", "\0"])
def test_broken_settings_are_an_event(attempt: Attempt, text: str) -> None:
    (attempt.path / "hook.json").write_text(text)
    assert attempt.run("print('trained')").stdout == "trained\n"
    assert [event["kind"] for event in attempt.events] == ["begin", "trouble", "end"]


def test_missing_parts_of_the_hook(attempt: Attempt) -> None:
    (attempt.path / "hook" / "hook_patches.py").unlink()
    ran = attempt.run("print('trained')")
    assert (ran.returncode, ran.stdout) == (0, "trained\n") and "hook does not work" in ran.stderr


def test_forked_children_tell_nothing(attempt: Attempt) -> None:
    attempt.run("import os, sys\nif os.fork() == 0: sys.exit(5)\nos.wait()")
    assert [event["kind"] for event in attempt.events] == ["begin", "end"]


def test_half_a_line_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOOK))
    import hook_events

    events = hook_events.Events(str(tmp_path / "e.jsonl"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:9]))  # the disk is full in the middle
    events.write("first", number=math.nan)
    monkeypatch.setattr(os, "write", write)
    events.write("second", text="ä\n" * 5000, deep={"list": [math.inf, None, True, Path("x")]})
    torn, whole = (tmp_path / "e.jsonl").read_text().splitlines()
    assert len(torn) == 9
    assert json.loads(whole)["deep"] == {"list": [None, None, True, "x"]} and len(json.loads(whole)["text"]) == 2000


@pytest.mark.parametrize(
    ("stem", "name", "expected"),
    [
        ("run-000002", "run", ("epoch", 2, None)),
        ("run-step00000010", "run", ("step", None, 10)),
        ("run", "run", ("last", None, None)),
        ("run-000002", "run-000002", ("last", None, None)),
        ("run-000002-000001", "run-000002", ("epoch", 1, None)),
        ("run_clip_l-000001", "run", ("other", None, None)),
        ("stranger", "run", ("other", None, None)),
        ("run-000002", None, ("epoch", 2, None)),
        ("at-step00000003", None, ("step", None, 3)),
        ("epoch-000001", None, ("epoch", 1, None)),
        ("last", None, ("last", None, None)),
    ],
)
def test_names_of_checkpoints(monkeypatch: pytest.MonkeyPatch, stem: str, name: str | None, expected: Any) -> None:
    monkeypatch.syspath_prepend(str(HOOK))
    import hook_patches

    assert hook_patches.parse_name(stem, name) == expected


def test_bad_tensors_are_counted_in_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(HOOK))
    import hook_patches

    good = [torch.zeros(3, dtype=t) for t in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64)]
    good += [torch.zeros(0), torch.tensor(1.0), torch.nn.Parameter(torch.ones(2, 2)), torch.ones(2, 3).T]
    bad = [torch.tensor([1, math.nan, 2]).to(t) for t in (torch.float16, torch.bfloat16, torch.float8_e4m3fn)]
    bad += [torch.tensor(math.nan), torch.tensor([[math.inf, math.nan]])]
    infinite = [torch.tensor([1e6]).half(), torch.tensor([-math.inf, 0])]
    named = {str(number): tensor for number, tensor in enumerate(good + bad + infinite)}
    assert hook_patches.count_bad(named) == (len(bad), len(infinite))


# --- what it costs


def test_what_it_loads(attempt: Attempt) -> None:
    """Counted in modules: seconds depend on what else the machine does."""
    command = attempt.command("import sys; print(*sorted(sys.modules))")
    plain, hooked = (
        set(subprocess.run(args, check=True, env=environment(), capture_output=True, text=True).stdout.split())
        for args in (command[:1] + command[2:], command)
    )
    added = {name.partition(".")[0] for name in hooked - plain}
    assert added <= sys.stdlib_module_names | {each.stem for each in HOOK.glob("*.py")}
    assert len(hooked - plain) < 60, sorted(
        hooked - plain
    )  # half of them are in every virtual environment that adds paths


# --- the true packages


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        Image.new("RGB", (48, 32), (60 * number, 120, 200)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a colour")
    (folder / "data.toml").write_text(
        f"[general]\nresolution = 32\ncaption_extension = '.txt'\n[[datasets]]\nbatch_size = 2\n"
        f"[[datasets.subsets]]\nimage_dir = '{folder}'\nnum_repeats = 4\n"
    )
    return folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def launch(attempt: Attempt, pictures: Path, processes: int, **options: Any) -> subprocess.CompletedProcess[str]:
    output = attempt.path / "output"
    attempt.settings(output_dir=str(output), output_name="lora")
    fixed = {"output_dir": str(output), "output_name": "lora", "dataset_config": str(pictures / "data.toml")}
    more = {"max_train_epochs": 2, "network_dim": 2, "seed": 1, "unet_lr": 1e-3, "max_data_loader_n_workers": 0}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**fixed, **more, **options}.items()]
    (attempt.path / "training.toml").write_text("\n".join(lines))
    flags = (
        "--num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no --num_cpu_threads_per_process 1"
    )
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags.split()]
    if processes > 1:  # what accelerate's launcher does for several GPUs; for several CPUs it wants MPI
        flags = f"--nproc_per_node {processes} --master_addr 127.0.0.1 --master_port {free_port()}"
        command = [sys.executable, "-m", "torch.distributed.run", *flags.split()]
    env = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "ACCELERATE_MIXED_PRECISION": "no"}
    command += [str(attempt.path / "hook" / "run.py"), str(TINY), "--config_file", str(attempt.path / "training.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(**env))


@pytest.mark.slow
def test_a_real_training(attempt: Attempt, pictures: Path) -> None:
    logs = attempt.path / "logs"
    ran = launch(
        attempt, pictures, 1, save_every_n_epochs=1, save_every_n_steps=6, save_state=True, logging_dir=str(logs)
    )
    assert ran.returncode == 0, ran.stderr
    (training,) = attempt.of("training")
    assert (training["total_steps"], training["epochs"]) == (16, 2)
    found = [(Path(e["path"]).stem, e["which"], e["epoch"], e["step"], e["nan"]) for e in attempt.of("checkpoint")]
    assert found == [
        ("lora-step00000006", "step", 0, 6, 0),
        ("lora-000001", "epoch", 1, 8, 0),
        ("lora-step00000012", "step", 1, 12, 0),
        ("lora", "last", 2, 16, 0),
    ]
    # On a slow machine the epoch's average, which comes without the rates, is a line of its own.
    last = [each for each in attempt.of("metrics") if each.get("lr")][-1]
    assert (last["step"], last["epoch"], set(last["lr"])) == (16, 2, {"unet", "textencoder"})
    assert attempt.of("trouble") == [] and attempt.events[-1]["ok"] is True
    assert list(logs.rglob("events.out.tfevents*"))  # the user's own tracker is still there


@pytest.mark.slow
def test_a_training_that_goes_on_within_an_epoch_has_the_means_of_whole_epochs(
    attempt: Attempt, pictures: Path
) -> None:
    def means() -> list[tuple[int, int]]:
        return [(each["epoch"], each["step"]) for each in attempt.of("metrics") if "epoch_loss" in each]

    assert launch(attempt, pictures, 1, save_every_n_steps=6, save_state=True).returncode == 0
    assert means() == [(1, 8), (2, 16)]
    (attempt.path / "events.jsonl").unlink()
    state = attempt.path / "output" / "lora-step00000006-state"
    resumed = {"resume": str(state), "initial_step": 6, "skip_until_initial_step": True}
    assert launch(attempt, pictures, 1, **resumed).returncode == 0
    assert means() == [(2, 16)]


@pytest.mark.slow
def test_nan_is_seen_while_training_and_in_the_checkpoint(attempt: Attempt, pictures: Path) -> None:
    ran = launch(attempt, pictures, 1, unet_lr=1e6, text_encoder_lr=1e6)
    assert ran.returncode == 0, ran.stderr
    assert any(event.get("nan") for event in attempt.of("metrics"))
    assert attempt.of("checkpoint")[-1]["nan"] > 0


@pytest.mark.slow
def test_two_processes_write_one_set_of_events(attempt: Attempt, pictures: Path) -> None:
    ran = launch(attempt, pictures, 2, save_every_n_epochs=1)
    assert ran.returncode == 0, ran.stderr
    kinds = [event["kind"] for event in attempt.events]
    assert kinds.count("begin") == kinds.count("training") == kinds.count("end") == 1
    assert attempt.of("training")[0]["total_steps"] == 8  # 16 pictures in batches of 2, over 2 processes, twice
    assert [e["which"] for e in attempt.of("checkpoint")] == ["epoch", "last"] and attempt.of("trouble") == []


def test_an_error_without_a_message_says_where_it_was_raised():
    sys.path.insert(0, str(Path(automate_train.__file__).parent / "hook"))
    try:
        from hook_events import describe
    finally:
        sys.path.pop(0)

    def open_run() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as error:
        open_run()
    assert re.fullmatch(r"RuntimeError: no message, raised in open_run \(test_hook\.py:\d+\)", describe(error.value))
