"""How a run's processes are started: by `accelerate launch`, or as plain python with the same environment.

Covers: the flags, the config file with the same content, the environment, the port of runs with several processes.
Not: the trainer's own options (`launcher`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...config.values import number
from ...records import Run, Setting, SweepContext
from ..ports import LAST_PORT, PORTS, free_port, ports
from .value_types import built_in, problem, refused

CONFIG = "accelerate.json"
START = """import sys
if "" in sys.path: sys.path.remove("")
from accelerate.commands.launch import main
main()"""
"""`accelerate launch`. With -m, Python would import a `random.py` of the user's current folder."""


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
