"""Causes of a failure: each pattern on its own sample and on all others', real consoles, signals."""

from __future__ import annotations

import time

import pytest

from automate_train.trainers.failure_causes import KILLED, TABLE, UNKNOWN, by_name, explain, without_launcher

PLAIN = ["Loading settings from training.toml...", "steps:  17%|#   | 2/12 [00:18<01:34, avr_loss=1.12]"]
LAUNCHER = [
    "Traceback (most recent call last):",
    '  File "accelerate/commands/launch.py", line 1230, in <module>',
    "subprocess.CalledProcessError: Command '['python', '/data/No space left on device.py']' returned non-zero exit "
    "status 1.",
]


@pytest.mark.parametrize("name", [cause.name for cause in TABLE])
def test_a_sample_shows_its_own_cause_and_no_other(name):
    sample = by_name(name).sample
    assert [cause.name for cause in TABLE if cause.matches(sample)] == [name]
    cause, text = explain(1, [*PLAIN, "Traceback (most recent call last):", '  File "x.py"', sample, *LAUNCHER])
    assert cause.name == name and text.startswith(f"{cause.sentence}: {cause.advice} (") and len(text) < 600


def test_names_are_unique_and_every_cause_has_words():
    assert len({cause.name for cause in TABLE}) == len(TABLE)
    assert all(cause.sentence and cause.advice and cause.sample for cause in TABLE)


def test_only_what_lies_outside_passes_by_itself():
    passing = {cause.name for cause in TABLE if cause.passes_by_itself}
    memory = {"out_of_gpu_memory_neighbour", "out_of_gpu_memory_untold"}
    assert passing == {*memory, "port_in_use", "tracker_away", "gpu_lost"}


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "RuntimeError: cuFFT error: CUFFT_ALLOC_FAILED",
        "ncclUnhandledCudaError: Call to CUDA function failed. Last error: Cuda failure 2 'out of memory'",
        "torch.distributed.DistBackendError: NCCL error: Last error: Cuda failure 'out of memory'",
        "RuntimeError: CUDA driver error: out of memory",
        "RuntimeError: Triton Error [CUDA]: out of memory",
        "torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory. (out of memory)",
        "Error out of memory at line 380 in file /src/csrc/ops.cu",
        "RuntimeError: Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_memory_that_ran_out_in_other_words_is_tried_again(line):
    cause, _ = explain(1, ["Traceback (most recent call last):", line, *LAUNCHER])
    assert cause.name == "out_of_gpu_memory_untold" and cause.passes_by_itself


def test_an_error_of_a_lower_case_name_is_an_error():
    cause, text = explain(1, ["Traceback (most recent call last):", "re.error: nothing to repeat at position 0"])
    assert cause.name == "broken_pattern" and "nothing to repeat" in text


def test_the_launchers_traceback_is_left_out():
    own = ["Traceback (most recent call last):", "ValueError: mine"]
    assert without_launcher([*own, *LAUNCHER]) == own and without_launcher(own) == own


def test_a_lone_process_or_a_small_one_is_no_neighbour():
    torch = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB. "
    own = "Including non-PyTorch memory, this process has 22.80 GiB memory in use."
    for others, name in (
        ("Process 31 has 7.60 GiB memory in use.", "out_of_gpu_memory"),  # itself, in a container
        (f"Process 99 has 240.00 MiB memory in use. {own}", "out_of_gpu_memory"),  # a desktop
        (f"Process 99 has 12.00 GiB memory in use. {own}", "out_of_gpu_memory_neighbour"),
        ("Process 1 has 8.00 GiB memory in use. Process 2 has 9.00 GiB memory in use.", "out_of_gpu_memory_neighbour"),
    ):
        assert explain(1, [torch + others])[0].name == name, others


def test_the_last_error_counts_and_what_it_grew_out_of():
    missing = ["Traceback (most recent call last):", "FileNotFoundError: [Errno 2] No such file: 'a'"]
    unknown = ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]
    assert explain(1, [*missing, "and so on", *unknown]) == (
        UNKNOWN, "exit code 1: ZeroDivisionError: division by zero"
    )  # fmt: skip
    chained = [*missing, "During handling of the above exception, another exception occurred:", *unknown, *LAUNCHER]
    assert explain(1, chained)[0].name == "missing_file"


def test_what_is_not_recognised_stays_unknown():
    assert explain(3, PLAIN) == (UNKNOWN, "exit code 3")
    assert explain(200, []) == (UNKNOWN, "exit code 200")
    assert explain(1, [*PLAIN, *LAUNCHER]) == (UNKNOWN, "exit code 1")
    assert explain(139, [*PLAIN]) == (UNKNOWN, "crashed (SIGSEGV)")


def test_a_refused_option_before_the_launchers_own_traceback():
    console = ["usage: train_network.py [-h]", "train_network.py: error: unrecognized arguments: --epochs", *LAUNCHER]
    assert explain(1, console)[0].name == "bad_argument"


@pytest.mark.parametrize("code", [-15, 143])
def test_a_signal_is_believed_over_what_was_printed_before(code):
    cause, text = explain(code, ["FileNotFoundError: [Errno 2] a warning of an hour ago"])
    assert (cause.name, text, cause.from_outside, cause.passes_by_itself) == ("signal", "ended by SIGTERM", True, False)


@pytest.mark.parametrize(
    ("code", "console"),
    [
        (-9, []),
        (137, []),
        (1, ["subprocess.CalledProcessError: Command '['python']' died with <Signals.SIGKILL: 9>."]),
        (1, ["RuntimeError: DataLoader worker (pid 31) is killed by signal: Killed. "]),
    ],
)
def test_killed(code, console):
    cause, text = explain(code, console)
    assert cause is KILLED and text.startswith("killed (SIGKILL): often by the kernel")


@pytest.mark.parametrize("unit", ["a.", "Process 1 has 1.00 GiB memory in use ", "wandb ", "unable to open file "])
def test_endless_lines_are_looked_at_in_part(unit):
    """Patterns that go back and forth over a line of 64 KiB would take minutes."""
    began = time.monotonic()
    assert explain(1, [unit * (65536 // len(unit))] * 20)[0] is UNKNOWN
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("before", "error", "told"),
    [
        (
            "2026-01-02 ERROR    Error loading file: /data/my cats/03.png      train_util.py:2847",
            "OSError: image file is truncated (3 bytes not processed)",
            "; the last picture named before it: /data/my cats/03.png",
        ),
        ("loading cats/07.jpeg", "OSError: broken data stream when reading image file", ": cats/07.jpeg"),
        ("caching latents", "OSError: image file is truncated (3 bytes not processed)", "the console names no picture"),
        ("/data/1.png", "PIL.UnidentifiedImageError: cannot identify image file '/data/2.png'", "'/data/2.png')"),
        ("/data/1.png", "safetensors_rust.SafetensorError: MetadataIncompleteBuffer", "MetadataIncompleteBuffer)"),
    ],
)
def test_a_broken_picture_is_named_where_the_console_knows_it(before, error, told):
    cause, text = explain(1, [before, "Traceback (most recent call last):", error])
    assert cause.name == "broken_file" and told in text
    assert "/data/1.png" not in text
