"""The three ways in which a server's queue stands still, and what is done about each.

Covers: it is idle although our requests wait (woken), it is paused (told; resumed only if that is allowed), it is stuck
at one request (told; freed only if that is allowed). Not: asking how the queue stands (`generator`), how a kind of
server is woken (`servers`).
"""

from __future__ import annotations

import contextlib
import time

from .context import SamplingContext
from .health import ServerHealth
from .servers.protocol import ImageServer, Progress, ServerError


class QueueWatch:
    def __init__(self, server: ImageServer, context: SamplingContext, health: ServerHealth) -> None:
        self._server, self._context, self._health = server, context, health
        self._idle_since: float | None = None
        self._current: str | None = None
        self._current_since = self._last_change = time.monotonic()
        self._unblocked = False

    def nothing_waits(self) -> None:
        """No request of ours is in the queue."""
        self._idle_since, self._last_change = None, time.monotonic()
        self._health.works("paused")
        self._health.works("waiting")
        self._health.works("stuck")

    def look(self, progress: Progress, changed: bool) -> None:
        """Requests of ours wait. `changed`: one of them was answered since the last look."""
        now, limits = time.monotonic(), self._context.limits
        if changed:
            self._last_change = now
        if progress.paused:
            todo = " (resuming it)" if limits.resume else ": resume it there, or set webui_resume_queue to true"
            self._health.failed("paused", f"{self._server.url}: its queue is paused{todo}")
            self._idle_since = None
            if limits.resume:
                self._server.wake()
            return
        self._health.works("paused")
        if progress.current is not None or changed:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > limits.wake:
            self._server.wake()
            self._idle_since = now
        self._look_at_current(progress.current, now)
        if now - self._last_change > limits.wait:
            reason = f"{self._server.url}: our requests have waited there for {limits.wait:.0f} s"
            self._health.failed("waiting", reason, self._last_change)
        elif changed:
            self._health.works("waiting")

    def _look_at_current(self, current: str | None, now: float) -> None:
        if current != self._current or current is None:
            self._current, self._current_since, self._unblocked = current, now, False
            self._health.works("stuck")
            return
        limits = self._context.limits
        if now - self._current_since <= limits.stuck:
            return
        todo = "freeing it by a small picture" if limits.nudge else "restart that server, or set webui_nudge to true"
        self._health.failed("stuck", f"{self._server.url}: its queue is stuck at one task: {todo}")
        if limits.nudge and not self._unblocked:
            self._unblocked = True
            with contextlib.suppress(ServerError):
                self._server.unblock()
