"""How a run's processes are started: by `accelerate launch`, or as plain python with the same environment.

Covers: the flags, the config file with the same content, the environment, a free port for runs with several processes.
Not: the trainer's own options (`launcher`).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...records import Run, Setting, SweepContext
from .value_types import built_in, number, problem, refused

CONFIG = "accelerate.json"
START = """import sys
if "" in sys.path: sys.path.remove("")
from accelerate.commands.launch import main
main()"""
"""`accelerate launch`. With -m, Python would import a `random.py` of the user's current folder."""
PORTS, APART, LAST_PORT = 200, 211, 65535
"""How many ports are tried; the distance of the next one from one that is taken (a prime: every port comes up)."""


@dataclass(frozen=True)
class Processes:
    """What the processes of one run are started with."""

    gpus: int
    precision: str
    threads: int
    cpu: bool

    def flags(self, config: Path, port: int) -> list[str]:
        values = {
            "--num_processes": max(1, self.gpus), "--num_machines": 1, "--mixed_precision": self.precision,
            "--dynamo_backend": "no", "--num_cpu_threads_per_process": self.threads, "--main_process_port": port,
        }  # fmt: skip
        flags = [text for flag, value in values.items() for text in (flag, str(value))]
        switches = [*(["--multi_gpu"] if self.gpus > 1 else []), *(["--cpu"] if self.cpu else [])]
        return [f"--config_file={config}", *flags, *switches]

    def config(self) -> str:
        """The same once more as a file: without one, accelerate would take its kind of launch and its GPU ids from the
        config that the user has saved."""
        return json.dumps(
            {
                "compute_environment": "LOCAL_MACHINE",
                "distributed_type": "MULTI_GPU" if self.gpus > 1 else "NO",
                "num_processes": max(1, self.gpus),
                "num_machines": 1,
                "machine_rank": 0,
                "gpu_ids": "all",
                "mixed_precision": self.precision,
                "use_cpu": self.cpu,
            },
            indent=1,
        )

    def environment(self) -> dict[str, str]:
        """The variables that `accelerate launch` sets for a single process."""
        return {
            "ACCELERATE_MIXED_PRECISION": self.precision,
            "ACCELERATE_DYNAMO_BACKEND": "NO",
            "ACCELERATE_USE_CPU": str(self.cpu),
            "OMP_NUM_THREADS": str(self.threads),
            **({"KMP_AFFINITY": "granularity=fine,compact,1,0", "KMP_BLOCKTIME": "1"} if self.cpu else {}),
        }


def port_of(run: Run, setting: Setting | None, count: int, context: SweepContext) -> int:
    """A single process opens no port. Several get one that is free at this moment; nothing else of a launch depends on
    the moment."""
    setting = setting or built_in("port", 29500)
    first = number(setting.value)
    first = int(first) if first and 0 < first <= LAST_PORT else 29500
    if count < 2:
        return first
    room = LAST_PORT + 1 - first
    if room < context.slots:
        text = f"{context.slots} runs at a time need a port each, and from {first} to {LAST_PORT} there are {room}"
        raise refused(problem(setting, text, f"choose one up to {LAST_PORT + 1 - context.slots}"))
    port = free_port(ports(first, run.index, context.slots))
    if port is None:
        text = f"none of {min(PORTS, room)} ports from {first} on is free"
        raise refused(problem(setting, text, "choose another first port"))
    return port


def ports(first: int, index: int, at_once: int) -> list[int]:
    """The ports that a run may take, the first one to try at the front.

    One run at a time takes the first free one from `first` on. Of several at a time each run starts at a port of its
    own, because ports are chosen before the run before has opened its one; where that is taken it tries one far away,
    because the next one is another run's.
    """
    room = LAST_PORT + 1 - first
    if at_once < 2:
        return list(range(first, first + min(PORTS, room)))
    return [first + (index % PORTS + step * APART) % room for step in range(PORTS)]


def free_port(candidates: Sequence[int]) -> int | None:
    """The first port on which nothing listens."""
    for port in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    return None
