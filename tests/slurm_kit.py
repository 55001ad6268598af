"""A real Slurm on this machine: controller and one node in a temporary folder, with ports and a munge of their own.

Two partitions, as clusters have them: `low`, whose jobs are put back into the queue when `high` needs their place. The
node has GPUs by name (null devices), so that jobs that ask for one wait for each other. As root only: slurmd starts
jobs as whoever submits them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
GPUS = 4

CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
JobRequeue=1
MinJobAge=600
KillWait=8
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=1000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
SlurmdParameters=config_overrides
"""


def why_not() -> str:
    """Why no Slurm can be started here; empty when one can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None]
    return "there is no Slurm" if missing else "" if os.geteuid() == 0 else "a Slurm is started by root alone"


class OneNode:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.conf = self.folder / "slurm.conf"
        self.munged = self.controller = self.node = None

    def start(self) -> None:
        for name in ("state", "spool", "munge", "dev"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for number in range(GPUS):
            os.mknod(self.folder / f"dev/nvidia{number}", 0o20666, os.makedev(1, 3))
        host = socket.gethostname().split(".")[0]
        self.conf.write_text(CONF.format(host=host, folder=self.folder, ports=_free_ports(), gpus=GPUS))
        (self.folder / "gres.conf").write_text(
            "".join(f"Name=gpu File={self.folder}/dev/nvidia{each} Flags=nvidia_gpu_env\n" for each in range(GPUS))
        )
        munge = self.folder / "munge"
        self.munged = _daemon("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket",
                              f"--pid-file={munge}/pid", f"--log-file={munge}/log",
                              f"--seed-file={munge}/seed")  # fmt: skip
        _until((munge / "socket").exists)
        self.start_controller()
        self.node = _daemon("slurmd", "-D", "-f", str(self.conf))
        _until(lambda: self.command("sinfo", "-h", "-o", "%t").strip() in ("idle", "mix"))

    def start_controller(self) -> None:
        self.controller = _daemon("slurmctld", "-D", "-f", str(self.conf))
        _until(lambda: "UP" in self.command("scontrol", "ping"))

    def restart_controller(self) -> None:
        """As an administrator restarts it: it saves its state."""
        self.end(self.controller)
        self.start_controller()

    def command(self, *argv: str) -> str:
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60).stdout

    def stop(self) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self.command("scancel", "--full", "--signal=KILL", f"--user={os.geteuid()}")
            self.command("scancel", f"--user={os.geteuid()}")
        for process in (self.node, self.controller, self.munged):
            self.end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def end(process: subprocess.Popen[bytes] | None) -> None:
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _daemon(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen((shutil.which(name, path=environment["PATH"]) or name, *arguments), env=environment,
                            start_new_session=True, **quiet)  # fmt: skip


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], two.getsockname()[1]]


def _until(fact, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "Slurm did not start"
        time.sleep(0.05)


@contextlib.contextmanager
def one_node() -> Iterator[OneNode]:
    """A Slurm that every command of this process finds. Skips the test where none can be started."""
    if why := why_not():
        pytest.skip(why)
    node, before = OneNode(), os.environ.get("SLURM_CONF")
    try:
        node.start()
        os.environ["SLURM_CONF"] = str(node.conf)
        yield node
    finally:
        os.environ.pop("SLURM_CONF", None)
        if before is not None:
            os.environ["SLURM_CONF"] = before
        node.stop()
