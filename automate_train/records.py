"""The nouns: what a sweep is made of, from a setting to a run with its attempts.

Covers: data only, frozen, in one file, so that a reader meets every noun once. A `Launch` says everything that will
happen, and nothing has happened yet; a `RunRecord` is a run as the store knows it. Not: what is known of a run over all
its attempts (`store.history`); who writes them (`sweep`, `trainers`, `store`), obeys them (`executors`), decides on
them (`training`) or shows them (`display`, `report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

GIB = 1024**3
SEED = "seed"
"""The one key that makes no setting: runs that differ in nothing else are replicates of one setting."""


# settings and runs: before anything starts


class Source(NamedTuple):
    """Where a value was written."""

    label: str
    """built-in, default file, tuning file, --set or command line."""
    path: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.path}" if self.path else self.label


class Setting(NamedTuple):
    value: object
    source: Source
    written: str
    """The key as the user wrote it, without `_list`."""


class RunSource(Protocol):
    """What a run asks its sweep for, by its places on the sweep's axes (`sweep.product.Sweep`)."""

    @property
    def number_start(self) -> int: ...
    def key_of(self, places: tuple[int, ...]) -> str: ...
    def name_of(self, places: tuple[int, ...]) -> str: ...
    def slug_of(self, index: int, places: tuple[int, ...]) -> str: ...
    def varied_of(self, places: tuple[int, ...]) -> Mapping[str, str]: ...
    def options_of(self, places: tuple[int, ...]) -> Mapping[str, Setting]: ...


class Run:
    """One point of the sweep. Everything but the index is computed when it is asked for: a sweep may have millions."""

    __slots__ = ("_options", "_places", "_sweep", "index")

    def __init__(self, sweep: RunSource, index: int, places: tuple[int, ...]) -> None:
        self._sweep, self.index, self._places = sweep, index, places
        self._options: Mapping[str, Setting] | None = None

    @property
    def number(self) -> int:
        """What people see in names: the index, counted from --train_id_start."""
        return self.index + self._sweep.number_start

    @property
    def key(self) -> str:
        """16 hex digits: the same for the same settings, whatever their order and whichever of them are lists."""
        return self._sweep.key_of(self._places)

    @property
    def name(self) -> str:
        return self._sweep.name_of(self._places)

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return self._sweep.slug_of(self.index, self._places)

    @property
    def varied(self) -> Mapping[str, str]:
        """Key as written -> the text of this run's value, for each key that varies in the sweep."""
        return self._sweep.varied_of(self._places)

    @property
    def options(self) -> Mapping[str, Setting]:
        if self._options is None:
            self._options = self._sweep.options_of(self._places)
        return self._options

    def __repr__(self) -> str:
        return f"Run({self.index}, {self.name})"


class Dropped(NamedTuple):
    """A point of the full product that is not run."""

    index: int  # type: ignore[assignment]  # tuple.index, which nobody calls on it
    reason: str


class SweepContext(NamedTuple):
    """How one command is to run: decided before anything starts, and the same for all runs of the sweep."""

    temp_dir: str
    project: str
    slots: int = 1
    """Runs at a time at most; the data loaders' workers share the cores by it."""
    cores: int = 1
    cpu: bool = False
    """No GPU is used: the runs train on the CPU, whatever device numbers their configs name."""
    devices: tuple[str, ...] = ()
    """Ids of all devices that runs may be placed on; empty on a machine without GPUs."""
    pool: tuple[str, ...] = ()
    """Ids of the devices that the runs share. Empty: each run names its own with `cuda_device`."""
    memory_limit: int = 0
    """Bytes that must be free on a device before a run starts there."""
    stop_on_failure: bool = True
    command: tuple[str, ...] = ()
    """The command line, without secrets."""
    cwd: str = ""
    """The folder where it was typed: relative paths begin there."""
    config_files: Mapping[str, str] = {}
    """`default file`, `tuning file` -> its path."""
    held_out: frozenset[str] = frozenset()
    """Real paths of the pictures that no run may see: a trainer gets a folder of links to the others."""
    executor: str = "local"
    """Where the runs run. With another one than `local` an engine places them: `slots` counts those that wait in its
    queue, `cores` are those of `slots` runs, and no device is ours to choose."""


class PictureFolder(NamedTuple):
    """A folder of pictures that a run trains on, itself or by a folder of links."""

    path: str
    """As the configs name it, absolute."""
    captions: Mapping[str, str]
    """Each picture's name -> its caption file's absolute path; empty without one."""
    regular: bool = False
    """Regularization pictures."""


# one attempt: from the request to its end


class Device(NamedTuple):
    """A GPU at one moment, as placement sees it."""

    id: str
    label: str
    """As people call it: `GPU 1`."""
    free: int
    """Bytes."""
    lost: bool = False
    note: str = ""
    """Who uses it: `pid 1234 uses 18 GiB`."""
    reserved: str = ""
    """Who else has reserved it on this machine: `another sweep (pid 1234, /data/sweeps/boy)`."""


class Cache(NamedTuple):
    """A folder of links to pictures, shared by the runs that may share cached latents (facts: upstream's cache files
    know neither resolution nor VAE). Exactly one run fills it; the others wait."""

    path: str
    links: Mapping[str, str]
    """Name inside `path` -> absolute target."""
    fills: bool = True
    """The trainer writes into it. False: its links alone are wanted, which leave held-out pictures out."""


class Resume(NamedTuple):
    """Where an attempt goes on that does not begin from the start."""

    state: str
    """The folder of the state that an earlier attempt has saved."""
    step: int
    """Steps of the whole training that are done there."""
    uncounted_steps: int = 0
    """Steps of the whole training that this attempt's own step counts leave out."""


class Launch(NamedTuple):
    """One attempt as data: `--dry-run` prints it, tests compare it, an executor obeys it."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = {}
    """Added to the inherited environment; written to launch.json."""
    secrets: Mapping[str, str] = {}
    """Added to the environment too; written nowhere."""
    files: Mapping[str, str] = {}
    """Path inside the attempt's folder -> text."""
    gpus: int = 0
    """How many devices, never which ones: those are placement's business."""
    keep: Mapping[str, str] = {}
    """Path inside the attempt's folder -> absolute path to copy it to after success."""
    caches: tuple[Cache, ...] = ()
    resume: Resume | None = None
    """None: from the start."""
    slurm: Mapping[str, object] = {}
    """Options of its job, where it runs on Slurm."""

    def __repr__(self) -> str:
        """Without the secrets: a record may end up in an error's text."""
        return f"Launch(argv={self.argv!r}, cwd={self.cwd!r}, env={self.env!r}, secrets={sorted(self.secrets)})"


OutcomeKind = Literal["succeeded", "failed", "cancelled", "aborted", "lost"]


class Outcome(NamedTuple):
    """How an attempt ended."""

    kind: OutcomeKind
    exit_code: int | None = None
    reason: str = ""
    cause: str = ""
    """Its name in `trainers.failure_causes`; empty where nobody looked for one."""


class Event(NamedTuple):
    """One line of events.jsonl. Kinds: begin, training, metrics, checkpoint, tracker, picture, trouble, waits, waited,
    end (see `hook/run.py`)."""

    at: float
    """Seconds since 1970."""
    kind: str
    data: Mapping[str, Any]


class Checkpoint(NamedTuple):
    """A saved file, as the trainer reported it."""

    path: str
    which: str
    """epoch, step or last."""
    epoch: int | None
    step: int | None
    at: float = 0.0
    """Seconds since 1970."""
    attempt: int = 0
    """The number, within the run, of the attempt that saved it."""


class Score(NamedTuple):
    """How well a checkpoint does on one item: lower is better."""

    run_key: str
    """Empty for the base model without a LoRA."""
    checkpoint: str
    """Its path inside the sweep's folder; empty for the base model without a LoRA."""
    epoch: int | None
    step: int | None
    measure: str
    """What was measured, and how: scores of different measures are never compared."""
    item: str
    """A held-out picture's name; for a program's own scores, whatever it calls it."""
    score: float


# what the store knows


class Attempt(NamedTuple):
    """One start of a run."""

    id: int
    """The journal's number of it."""
    run_key: str
    number: int
    """From 1, within the run."""
    folder: str
    """`<run's folder>/attempt-<n>`, inside the sweep's folder."""
    devices: tuple[str, ...]
    handle: str
    """What the executor calls it: opaque to everybody else. Empty: it was never written down."""
    started: float
    """Seconds since 1970, for people; durations are taken from the monotonic clock."""
    ended: float | None = None
    outcome: Outcome | None = None
    """None while it runs, or when its orchestrator was killed before it could write that down."""
    metrics: Mapping[str, Any] = {}
    """What it left: loss, steps, seconds, checkpoint, peak_memory, delivered."""


class RunRecord(NamedTuple):
    """A run as the store knows it: its settings without secrets, and its attempts."""

    key: str
    index: int  # type: ignore[assignment]  # tuple.index, which nobody calls on it
    number: int
    name: str
    slug: str
    varied: Mapping[str, str]
    options: Mapping[str, Any]
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""
    unstarted: Literal["waiting", "aborted"] = "waiting"
    """What a run without an attempt is: waiting, or aborted."""
    id: str = ""
    """Its short name for people, the beginning of its key: given once, and unique in the sweep (`store.run_ids`)."""
    in_sweep: bool = True
    """False: it is no longer part of the sweep, whose configs have changed. Its index and number mean nothing then."""

    @property
    def label(self) -> str:
        """As people call it: by its place in the sweep as it is now, else by its id."""
        return f"run {self.number}" if self.in_sweep else f"run {self.id}"

    @property
    def setting(self) -> Mapping[str, str]:
        """What varies in the sweep apart from the seed: runs with the same setting are its replicates."""
        return {key: text for key, text in self.varied.items() if key != SEED}

    @property
    def setting_name(self) -> str:
        """The setting as it stands in the run's name; empty where nothing but the seed varies."""
        return "_".join(f"{key}={text}" for key, text in self.setting.items())

    @property
    def seed(self) -> str:
        """The seed's text; empty where the configs give none, so that the trainer draws one."""
        seed = self.varied.get(SEED, self.options.get(SEED))
        return "" if seed in (None, "", "None") else str(seed)

    @property
    def newest(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def state(self) -> str:
        """waiting, aborted, running, or the kind of the newest attempt's outcome."""
        newest = self.newest
        if newest is None:
            return self.unstarted
        return newest.outcome.kind if newest.outcome else "running"

    @property
    def folder(self) -> str:
        """The newest attempt's, inside the sweep's folder; empty before there is one."""
        return self.newest.folder if self.newest else ""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What the newest attempt left. How the run went as a whole is its `RunHistory`."""
        return self.newest.metrics if self.newest else {}

    @property
    def reason(self) -> str:
        """Why the newest attempt ended as it did; empty where there is nothing to say."""
        return self.newest.outcome.reason if self.newest and self.newest.outcome else ""

    @property
    def trainer(self) -> str:
        return str(self.options.get("trainer", "sd-scripts"))
