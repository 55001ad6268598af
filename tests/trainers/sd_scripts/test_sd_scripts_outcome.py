"""What came of a run: exit codes, the last checkpoint, NaN with and without the hook; the console's progress bar."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sd_scripts_kit import safetensors

from automate_train.store.layout import AttemptFolder
from automate_train.trainers import safetensors_file, sd_scripts
from automate_train.trainers.sd_scripts.console import events as console_events
from automate_train.trainers.sd_scripts.console import progress

STEPS = {"ss_steps": "4", "ss_max_train_steps": "4"}


@pytest.fixture
def attempt(tmp_path):
    """An attempt whose trainer wrote `files` into output/; its TOML asks for `name.safetensors`."""
    folder = AttemptFolder(tmp_path / "attempt-1")
    folder.output.mkdir(parents=True)

    def make(files=None, events=(), console="", **options):
        told = {"output_dir": str(folder.output), "output_name": "name", "save_model_as": "safetensors", **options}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
        (folder.path / "training.toml").write_text("\n".join(lines), encoding="utf-8")
        for name, data in (files or {}).items():
            (folder.output / name).write_bytes(data)
        folder.events.write_text("".join(json.dumps({"at": 1, **event}) + "\n" for event in events), encoding="utf-8")
        folder.console.write_text(console, encoding="utf-8")
        return folder

    return make


def half(*values):
    return struct.pack(f"<{len(values)}e", *values)


GOOD = safetensors({"a": ("F16", half(0.5, -2)), "b": ("F32", struct.pack("<2f", 1, 2))}, STEPS)


def reason(folder, code=0):
    outcome = sd_scripts.verdict(folder, code)
    assert outcome.kind == "failed" and outcome.exit_code == code
    return outcome.reason


def test_a_whole_last_checkpoint_is_a_success(attempt):
    assert sd_scripts.verdict(attempt({"name.safetensors": GOOD}), 0).kind == "succeeded"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (-11, "crashed (SIGSEGV)"),
        (143, "ended by SIGTERM"),
        (200, "exit code 200"),
    ],
)
def test_exit_codes_in_words(attempt, code, words):
    assert reason(attempt({"name.safetensors": GOOD}), code) == words


def test_the_reason_says_what_to_try_and_the_error_line(attempt):
    console = (
        "Traceback (most recent call last):\n  File x\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
        "Traceback (most recent call last):\n"
        "subprocess.CalledProcessError: Command '['python', 'x']' returned non-zero exit status 1.\n"
    )
    assert reason(attempt(console=console), 1) == (
        "the GPU's memory was not enough: lower train_batch_size or resolution, or turn on gradient_checkpointing "
        "(torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB)"
    )
    assert sd_scripts.verdict(attempt(console=console), 1).cause == "out_of_gpu_memory"


def test_no_checkpoint_at_all(attempt):
    assert reason(attempt(console="ERROR No data found. Please verify\n")) == (
        "no checkpoint was written: the trainer found no images"
    )
    assert reason(attempt({"name-000001.safetensors": GOOD})) == (
        "no checkpoint name.safetensors was written; the newest is name-000001.safetensors: see console.log"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD[:-1], f"is cut off: {len(GOOD) - 1} of {len(GOOD)} bytes"),
        (GOOD[:40], "is cut off within its header"),
        (GOOD + b"x", "has 1 bytes too many"),
        (b"", "has no safetensors header"),
        (b"\x80\x04pickle", "has no safetensors header"),
        (struct.pack("<Q", 2) + b"[]", "has no safetensors header"),
        (struct.pack("<Q", 24) + b'{"a":{"dtype":"F16"}}   ', "has no safetensors header"),
        (struct.pack("<Q", 1 << 60) + b"{}", "has no safetensors header"),
    ],
)
def test_broken_checkpoints(attempt, data, words):
    assert reason(attempt({"name.safetensors": data})) == f"the last checkpoint name.safetensors {words}"


def test_a_training_that_ended_early(attempt):
    data = safetensors({"a": ("F16", half(1))}, {**STEPS, "ss_steps": "3"})
    assert reason(attempt({"name.safetensors": data})) == (
        "the training ended early: the last checkpoint is of step 3 of 4"
    )
    for metadata in ({}, None, {"modelspec.title": "full trainers say no steps"}):
        assert sd_scripts.verdict(attempt({"name.safetensors": safetensors({}, metadata)}), 0).kind == "succeeded"


def event(folder, **fields):
    return {"kind": "checkpoint", "path": str(folder / "attempt-1" / "output" / "name.safetensors"), **fields}


def test_the_hook_counted_nan(attempt, tmp_path):
    events = [event(tmp_path, nan=528, size=len(GOOD))]
    assert reason(attempt({"name.safetensors": GOOD}, events)) == (
        "trained to the end, but 528 of 2 tensors of the last checkpoint hold NaN: lower the learning rate"
    )
    assert "1 of 2 tensors of the last checkpoint hold infinity" in reason(
        attempt({"name.safetensors": GOOD}, [event(tmp_path, nan=0, inf=1)])
    )
    nan = safetensors({"a": ("F16", half(float("nan")))}, STEPS)
    told = [event(tmp_path, nan=0, inf=0, size=len(nan))]
    assert sd_scripts.verdict(attempt({"name.safetensors": nan}, told), 0).kind == "succeeded"  # the hook is believed


@pytest.mark.parametrize(
    "events", [[], [{"kind": "checkpoint", "path": 3, "nan": 0}], [{"kind": "checkpoint", "nan": 0}]]
)
def test_without_the_hook_the_file_is_searched(attempt, events):
    nan = safetensors({"a": ("F16", half(float("nan"))), "b": ("F16", half(1))}, STEPS)
    assert "1 of 2 tensors of the last checkpoint hold NaN or infinity" in reason(
        attempt({"name.safetensors": nan}, events)
    )


def test_an_event_about_an_older_file_is_not_believed(attempt, tmp_path):
    nan = safetensors({"a": ("F16", half(float("nan")))}, STEPS)
    assert "hold NaN" in reason(attempt({"name.safetensors": nan}, [event(tmp_path, nan=0, size=1)]))


def test_other_kinds_of_checkpoint(attempt):
    assert sd_scripts.verdict(attempt({"name.ckpt": b"x"}, save_model_as="ckpt"), 0).kind == "succeeded"
    assert reason(attempt({"name.pt": b""}, save_model_as="pt")) == "the last checkpoint name.pt is empty"
    folder = attempt({}, save_model_as="diffusers_safetensors")
    assert "no checkpoint name was written" in reason(folder)
    (folder.output / "name").mkdir()
    assert reason(folder) == "the last checkpoint name is empty"
    (folder.output / "name" / "model_index.json").touch()
    assert sd_scripts.verdict(folder, 0).kind == "succeeded"


def test_without_an_output_name_the_file_is_called_last(attempt):
    assert sd_scripts.verdict(attempt({"last.safetensors": GOOD}, output_name=""), 0).kind == "succeeded"


def test_a_folder_that_somebody_emptied(tmp_path):
    assert "training.toml cannot be read any more" in reason(AttemptFolder(tmp_path / "gone"))


# the file format


FLOATS = {"F16": ("e", 16), "F32": ("f", 32), "F64": ("d", 64), "BF16": ("f", 32)}


@given(st.data())
def test_nan_and_infinity_are_found_wherever_they_are(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(list(FLOATS)))
    letter, width = FLOATS[kind]
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    finite = data.draw(st.lists(numbers, min_size=1, max_size=40))
    bad = data.draw(st.lists(st.sampled_from([float("nan"), float("inf"), float("-inf")]), max_size=2))
    values = data.draw(st.permutations([*finite, *bad]))
    raw = struct.pack(f"<{len(values)}{letter}", *values)
    if kind == "BF16":  # the upper half of a float32
        raw = b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
    file = tmp_path_factory.mktemp("nan") / "x.safetensors"
    file.write_bytes(safetensors({"a": (kind, raw), "b": (kind, b"")}))
    found = safetensors_file.read(file)
    assert safetensors_file.count_nan(file, found) == bool(bad)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: GOOD[:40] + tail))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("bytes") / "x.safetensors"
    file.write_bytes(data)
    try:
        safetensors_file.read(file)
    except safetensors_file.Broken as broken:
        assert str(broken).startswith(("is ", "has "))


def test_a_real_file_is_read_as_safetensors_reads_it(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors = {"a": torch.ones(3, 4, dtype=torch.bfloat16), "b": torch.full((5,), float("nan")), "c": torch.arange(4)}
    save_file(tensors, tmp_path / "x.safetensors", {"ss_steps": "3"})
    found = safetensors_file.read(tmp_path / "x.safetensors")
    assert found.metadata == {"ss_steps": "3"} and found.tensors.keys() == tensors.keys()
    assert safetensors_file.count_nan(tmp_path / "x.safetensors", found) == 1


# the console


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\rsteps:   0%|          | 0/12 [00:00<?, ?it/s]", (0, 12, None)),
        ("\rsteps:  17%|█▋        | 2/12 [00:18<01:34,  9.46s/it, avr_loss=1.1]", (2, 12, 1.1)),
        ("steps:   8%|▊ | 1/12 [00:09<01:44,  9.5s/it]\rsteps:  17%|█▋ | 2/12 [00:18<01:34, 9.4s/it, avr_loss=0.0912]",
         (2, 12, 0.0912)),
        ("\rsteps: 100%|██| 12/12 [00:18<00:00,  9.46s/it, avr_loss=1.1]   INFO     model saved.", (12, 12, 1.1)),
        ("\rsteps:  50%|██| 6/12 [1:00:18<1:00:00,  9.46s/it, avr_loss=8.9e-05]", (6, 12, 8.9e-05)),
        ("\rvalidation steps:  17%|█▋ | 2/12 [00:18<01:34]", None),
        ("\repoch validation steps:  17%|█▋ | 2/12 [00:18<01:34]", None),
        ("\r 17%|█▋ | 2/12 [00:18<01:34]", None),
        ("\rsteps:  17%|█▋        | 2/12 [00:18<01:34,  9.4", None),
        ("epoch 1/2", None),
        ("", None),
    ],
)  # fmt: skip
def test_progress(text, found):
    assert progress(text) == found


def test_progress_may_be_nan():
    step, total, loss = progress("\rsteps:  17%|█▋ | 2/12 [00:18<01:34,  9.46s/it, avr_loss=nan]")
    assert (step, total) == (2, 12) and loss != loss


def test_progress_without_the_hook_comes_from_the_console(tmp_path):
    console = tmp_path / "console.log"
    assert console_events(console, 0) == ([], 0)
    bars = "\rsteps:   0%|   | 0/12 [00:00<?, ?it/s]\rsteps:   8%|▊"
    console.write_text(f"  num epochs / epoch数: 2\n\nepoch 1/2\n{bars}")
    found, offset = console_events(console, 0)
    assert [(event.kind, dict(event.data)) for event in found] == [
        ("training", {"total_steps": 12, "epochs": 2}),
        ("metrics", {"step": 0, "epoch": 0, "average": None}),
    ]
    with console.open("a") as file:
        file.write(" | 1/12 [00:09<01:44,  9.5s/it, avr_loss=0.5]\rsteps:  50%|██ | 6/12 [00:18<01:34, avr_loss=nan]\r")
    found, offset = console_events(console, offset)  # the bar that was cut off is read when it is whole
    assert dict(found[-1].data) == {"step": 6, "epoch": 0, "average": None, "nan": True}
    assert console_events(console, offset) == ([], offset)
