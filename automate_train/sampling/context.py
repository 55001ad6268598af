"""What the threads of a sampling session share: limits, where pictures are kept, where to say something, when to stop.

Covers: `Limits`, `SamplingContext`. Not: what the threads do (`generator`, `uploader`, `dispatch`), the health of a
server (`health`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config.values import on, unset
from ..errors import UserError
from .image_store import ImageStore
from .servers.protocol import BaseModel


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    poll: float = 0.52
    """Between two questions about the queue, at least: under two a second."""
    slowest: float = 4.0
    """The same while nothing changes."""
    trouble: float = 5.0
    """A server that does nothing for us for so long shares its batches with others that have nothing to do."""
    memory: float = 30.0
    """How long a picture waits for which a server had too little memory twice; then longer each time."""
    outage: float = 600.0
    """A server that does not answer for so long is given up. When the sweep is over, nothing is waited for longer."""
    wait: float = 6 * 3600.0
    """How long our requests may wait in the queue of a server that answers: it is paused, or busy with others'."""
    wake: float = 3.0
    """A queue that has drawn nothing for so long while our requests wait is woken."""
    stuck: float = 180.0
    """How long a queue may be at one and the same request before that counts as stuck."""
    resume: bool = False
    """Whether a paused queue may be resumed."""
    nudge: bool = False
    """Whether a stuck queue may be freed by a small picture."""

    @staticmethod
    def of(options: Mapping[str, object]) -> Limits:
        """By the keys that are set."""

        def seconds(key: str, default: float) -> float:
            return default if unset(options.get(key)) else float(str(options[key]))

        return Limits(
            outage=seconds("webui_outage_limit", Limits.outage),
            wait=seconds("webui_wait_limit", Limits.wait),
            stuck=seconds("webui_stuck_limit", Limits.stuck),
            resume=on(options.get("webui_resume_queue")),
            nudge=on(options.get("webui_nudge")),
        )


@dataclass
class SamplingContext:
    journal: Path
    sweep: str
    """8 hex: what the names of our LoRAs on servers begin with."""
    store: ImageStore
    limits: Limits
    say: Callable[[str], None]
    base_model: BaseModel | None = None
    """What has drawn the sweep's first picture, where its prompt left that to the server."""
    changed: threading.Event = field(default_factory=threading.Event)
    """Set by every thread when something has happened that the session should look at."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Take away what is ours, and end."""
    batches_wait: bool = False
    """Batches wait for a server: those without work are asked how busy they are."""
    error: BaseException | None = None
    """What has ended a thread: the session raises it."""

    def start_thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """The process does not wait for it when it ends: the thread may hang in a request."""

        def guarded() -> None:
            try:
                work()
            except OSError as error:  # of our own disk: what a server causes is a `ServerError`
                self.error = UserError(f"{error.filename or self.journal.parent}: {error.strerror or error}")
            except BaseException as error:  # our bug
                self.error = error
            self.changed.set()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread
