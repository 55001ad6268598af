"""Why a run failed: one sentence with advice, from its exit code and the last lines of its console.

Covers: one table of causes, each with a line that shows it; which of them pass by themselves (`retries`), which come
from outside the training (it may go on from its last saved state). Not: reading the console (`store.layout`), what is
wrong with a checkpoint (`sd_scripts/outcome`), what follows from a cause (`training`).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from ..records import Outcome
from . import job_causes
from .cause import Cause, short

# A neighbour: two processes have memory on the card, and one that is not this one has 1 GiB or more (a desktop takes
# less). In a container torch does not know its own number and calls itself `Process n`: one such process is itself.
_OTHER = r"Process \d+ has [\d.]+ GiB memory in use"
_NEIGHBOUR = rf"({_OTHER}.*(this process has|Process \d+ has)|this process has.*{_OTHER})"
_NO_ROOM = r"(CUDA|HIP|XPU) out of memory|(CUDA|HIP) error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
# Libraries below torch's allocator do not tell how much was free, nor who has the rest: mostly a neighbour.
_UNTOLD = (
    r"CUDNN_STATUS_(INTERNAL_ERROR_(DEVICE|HOST)_)?ALLOC(ATION)?_FAILED|CUBLAS_STATUS_NOT_INITIALIZED|CUFFT_ALLOC_FAILED"
    r"|CUSOLVER_STATUS_ALLOC_FAILED|CUSPARSE_STATUS_(ALLOC_FAILED|INSUFFICIENT_RESOURCES)|cudaErrorMemoryAllocation"
    r"|(Cuda failure|CUDA driver error|Triton Error \[CUDA\])[^a-z]*out of memory|Allocation on device\b"
    r"|^Error out of memory at line|OutOfMemoryError|Unable to find a valid cuDNN algorithm"
)

TABLE = (
    Cause(
        "out_of_gpu_memory_neighbour", "the GPU's memory ran out because another program uses it",
        "set --cuda-memory-limit, so that runs wait until it is free", rf"({_NO_ROOM}).*{_NEIGHBOUR}",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 "
        "GiB of which 1.81 GiB is free. Process 4711 has 12.02 GiB memory in use. Including non-PyTorch memory, this "
        "process has 9.80 GiB memory in use.", True,
    ),
    Cause(
        "out_of_gpu_memory", "the GPU's memory was not enough",
        "lower train_batch_size or resolution, or turn on gradient_checkpointing",
        rf"^(?!.*{_NEIGHBOUR}).*({_NO_ROOM})",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 "
        "GiB of which 15.44 MiB is free. Process 31 has 7.60 GiB memory in use.", from_outside=True,
    ),
    Cause(
        "out_of_gpu_memory_untold", "the GPU's memory ran out, and the message does not say who uses it",
        "set --cuda-memory-limit, or lower train_batch_size or resolution", rf"^(?!.*({_NO_ROOM})).*({_UNTOLD})",
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True, True,
    ),
    Cause(
        "out_of_shared_memory", "the data loader ran out of shared memory",
        "give the machine or container more /dev/shm, or lower max_data_loader_n_workers",
        r"out of shared memory|unable to (open|write to) (file|shared memory object) .*/torch_",
        "RuntimeError: DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory. Please try to raise your shared memory limit.", from_outside=True,
    ),
    Cause(
        "out_of_memory", "the machine's memory was not enough",
        "run fewer at a time, or lower max_data_loader_n_workers",
        r"\bMemoryError\b|DefaultCPUAllocator: (can't|not enough)|\[Errno 12\]",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 17179869184 bytes. Error code 12 (Cannot allocate memory)", from_outside=True,
    ),
    Cause(
        "diverged", "the loss became NaN or infinite", "lower the learning rate",
        r"\bloss (is|was|became) (nan|inf)|returned nan values in its",
        "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output.",
    ),
    Cause(
        "nan_latents", "the VAE turned an image into NaN", "set no_half_vae, or give another vae",
        r"NaN detected in latents",
        "RuntimeError: NaN detected in latents: /data/cats/03.png",
    ),
    Cause(
        "bad_argument", "the trainer refuses one of its options", "correct it in the config: the console names it",
        r"error: (unrecognized arguments|argument |the following arguments are required)"
        r"|got an unexpected keyword argument|voluptuous\.error|extra keys not allowed",
        "train_network.py: error: argument --max_train_epochs: invalid int value: 'ten'",
    ),
    Cause(
        "broken_pattern", "a regular expression in the options is not valid",
        "correct it: network_reg_dims and the like",
        r"\bre\.(error|PatternError): ", "re.error: missing ), unterminated subpattern at position 4",
    ),
    Cause(
        "missing_module", "the trainer's Python lacks a package", "install it there (venv_path says which Python)",
        r"\b(ModuleNotFoundError|ImportError): ", "ModuleNotFoundError: No module named 'bitsandbytes'",
    ),
    Cause(
        "missing_file", "a file is missing", "the console names it",
        r"\bFileNotFoundError\b|\[Errno 2\]|no file named .* found in directory",
        "FileNotFoundError: [Errno 2] No such file or directory: '/models/v1-5.safetensors'",
    ),
    Cause(
        "broken_file", "a file cannot be read: it is broken or cut off", "fetch it again, or take it out",
        r"SafetensorError|UnidentifiedImageError|image file is truncated|broken (data stream|PNG file)"
        r"|PytorchStreamReader failed",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
    ),
    Cause(
        "other_model", "the weights do not fit this model", "check model_file, vae and the script's family",
        r"Error\(s\) in loading state_dict|size mismatch for ",
        "RuntimeError: Error(s) in loading state_dict for UNet2DConditionModel:",
    ),
    Cause(
        "port_in_use", "its port was taken by another program", "choose another port",
        r"Address already in use|EADDRINUSE|address family .*errno: 98",
        "[rank0]: torch.distributed.DistNetworkError: The server socket has failed to listen on any local network "
        "address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use", True,
    ),
    Cause(
        "disk_full", "the disk is full", "free some room",
        r"No space left on device|Disk quota exceeded|File too large|\[Errno (28|122|27)\]"
        r"|PytorchStreamWriter failed writing",
        "OSError: [Errno 28] No space left on device", from_outside=True,
    ),
    Cause(
        "not_allowed", "a file or folder could not be written or read", "correct its owner or mode, or choose another",
        r"\bPermissionError\b|\[Errno (13|30)\]|Read-only file system",
        "PermissionError: [Errno 13] Permission denied: '/data/cats/03_0512x0512_sd.npz'",
    ),
    Cause(
        "tracker_login", "the tracker refused the login",
        "check wandb_api_key, or log in once with the trainer's Python (wandb login)",
        r"api_key not configured|wandb login|wandb.*(AuthenticationError|\b401\b|permission denied)",
        "wandb.errors.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=[your_api_key])",
    ),
    Cause(
        "tracker_away", "the tracker could not be reached", "set WANDB_MODE=offline to train without it",
        r"wandb.*(CommError|timed out|Network error)|\baim\b.*(could not connect|Connection refused)",
        "wandb.errors.errors.CommError: Run initialization has timed out after 90.0 sec.", True,
    ),
    Cause(
        "hub_access", "Hugging Face refused access to a file",
        "accept the model's terms there, and set huggingface_token",
        r"GatedRepoError|RepositoryNotFoundError|huggingface.*\b40[13]\b|\b40[13] Client Error.*huggingface",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url "
        "https://huggingface.co/a/b/resolve/main/config.json.",
    ),
    Cause(
        "hub_offline", "a file must be fetched from Hugging Face, which could not be reached",
        "give local paths (model_file, tokenizer_cache_dir), or fetch it once where there is a network",
        r"couldn't connect to '?https://huggingface|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|outgoing traffic has been disabled|HTTPS?ConnectionPool\(host='huggingface\.co'|Can't load tokenizer for",
        "OSError: We couldn't connect to 'https://huggingface.co' to load this file, couldn't find it in the cached "
        "files and it looks like openai/clip-vit-large-patch14 is not the path to a directory.",
    ),
    Cause(
        "gpu_lost", "the GPU was lost or did not answer", "if it happens again, see dmesg (Xid)",
        r"GPU is lost|fallen off the bus|uncorrectable ECC|devices?(\(s\))? (is/)?are busy or unavailable"
        r"|unspecified launch failure|No CUDA GPUs are available|Unable to determine the device handle",
        "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered", True,
    ),
    Cause(
        "driver", "the NVIDIA driver does not fit the trainer's torch", "update the driver, or install another torch",
        r"driver version is insufficient|driver on your system is too old|no kernel image is available"
        r"|Driver/library version mismatch",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
    ),
)  # fmt: skip

KERNEL = Cause(
    "killed_by_kernel", "killed by the kernel: the machine's memory ran out",
    "run fewer at a time, or lower max_data_loader_n_workers", from_outside=True,
)  # fmt: skip
KILLED = Cause(
    "killed", "killed (SIGKILL): often by the kernel, when the machine's memory runs out",
    "run fewer at a time, or lower max_data_loader_n_workers", from_outside=True,
)  # fmt: skip
SIGNAL = Cause("signal", "ended by a signal", "start it again", from_outside=True)
UNKNOWN = Cause("unknown", "", "")
CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")

ERROR = re.compile(r"(?:\[rank\d+\]: ?)?\s*((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Warning|Invalid)): ?(.*)")
"""The last line of a traceback: the exception's name and what it says."""
TRACEBACK = "Traceback (most recent call last)"
CHAINED = ("During handling of the above", "The above exception was")
LAUNCHERS = ("CalledProcessError", "ChildFailedError")
"""The errors of accelerate and torchrun when their child failed: they come last and only repeat the command."""
DIED = re.compile(r"died with <Signals\.(SIG\w+)|is killed by signal: (Killed)")
PICTURE = re.compile(r"""(?:/[^'"<>]*?|[^\s'"<>]+)\.(?:png|jpe?g|webp|bmp|avif|jxl|gif)\b""", re.IGNORECASE)
"""A picture's path in a line of the console; spaces only in an absolute one."""
LINES = 80
"""Lines at the console's end in which a cause is looked for when there is no traceback."""
LONGEST = 2000
"""Characters of a line that are searched."""


def explain(exit_code: int, lines: Sequence[str]) -> tuple[Cause, str]:
    """(cause, why it failed in words) of a run that ended with an exit code other than 0; `lines` is the console's
    end. Where nothing matches, the cause is `unknown`, with the last error that was printed. The console does not show
    whether it was the kernel that killed a run: `training` knows that from the machine."""
    if by_slurm := job_causes.find(lines):
        return by_slurm
    name = _signal(exit_code, lines)
    if name == "SIGKILL":
        return KILLED, KILLED.text()
    if name and name not in CRASHES:
        return SIGNAL, f"ended by {name}"
    last = _last_errors(lines)
    if found := _find(last):
        cause, line = found
        return cause, f"{cause.text(line)}{_which_picture(line, lines) if cause.name == 'broken_file' else ''}"
    errors = [line for line in last if ERROR.match(line[:LONGEST])]
    end = f"crashed ({name})" if name else f"exit code {exit_code}"
    return UNKNOWN, f"{end}: {short(errors[-1])}" if errors else end


def failed(exit_code: int, lines: Sequence[str]) -> Outcome:
    cause, reason = explain(exit_code, lines)
    return Outcome("failed", exit_code, reason, cause.name)


def lost(lines: Sequence[str]) -> Outcome:
    """Of an attempt that left no exit code: a full disk, where the console's end tells of one, for that keeps an exit
    code from being written, too. Any other error there may have nothing to do with its end."""
    if by_slurm := job_causes.find(lines):
        return Outcome("lost", None, by_slurm[1], by_slurm[0].name)
    found = _find(_last_errors(lines))
    if found and found[0].name == "disk_full":
        cause, line = found
        return Outcome("lost", None, cause.text(line), cause.name)
    return Outcome(
        "lost", None, "gone without an exit code: it was killed together with its shell, or the disk was full"
    )


def by_name(name: str) -> Cause:
    """The cause that an outcome names; `unknown` for any other word."""
    return next((cause for cause in (*TABLE, *job_causes.TABLE, KERNEL, KILLED, SIGNAL) if cause.name == name), UNKNOWN)


def _signal(code: int, lines: Sequence[str]) -> str:
    """The signal that ended the shell's child, or the trainer under its launcher; empty where none did."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    try:
        return signal.Signals(number).name
    except ValueError:
        died = [match for line in lines if (match := DIED.search(line))]
        return (died[-1][1] or "SIGKILL") if died else ""


def without_launcher(lines: Sequence[str]) -> Sequence[str]:
    """A console's end without the traceback of accelerate or torchrun, which only says that their child failed."""
    heads = [number for number, line in enumerate(lines) if TRACEBACK in line]
    if heads and any(word in line for line in lines[heads[-1] :] for word in LAUNCHERS):
        return lines[: heads[-1]]
    return lines


def _find(lines: Sequence[str]) -> tuple[Cause, str] | None:
    """The last line that shows a cause, with its cause."""
    shown = ((cause, line) for line in reversed(lines) for cause in TABLE if cause.matches(line[:LONGEST]))
    return next(shown, None)


def _which_picture(line: str, lines: Sequence[str]) -> str:
    """Which one is broken, where its error does not say so: the last one that the console names."""
    if "/" in line or "safetensor" in line.lower() or "Pytorch" in line:
        return ""
    named = [match[0] for each in lines for match in PICTURE.finditer(each[:LONGEST])]
    if named:
        return f"; the last picture named before it: {named[-1]}"
    return "; the console names no picture: the one that Pillow cannot open (Image.open(file).load()) is it"


def _last_errors(lines: Sequence[str]) -> Sequence[str]:
    """From the last traceback on, with the ones that led to it; without a traceback, the console's end."""
    lines = without_launcher(lines)
    heads = [number for number, line in enumerate(lines) if TRACEBACK in line]
    while len(heads) > 1 and lines[heads[-1] - 1].startswith(CHAINED):
        heads.pop()
    return lines[heads[-1] :] if heads else lines[-LINES:]
