"""The three ways in which a scheduler's queue stands still, and what is done about each.

Covers: it has overslept our tasks (kicked), it is paused (told; resumed only if that is allowed), one task never ends
(told; a small picture only if that is allowed). Not: polling (`drawer`).
"""

from __future__ import annotations

import contextlib
import time

from .context import Health, Office
from .servers import webui

SMALL = {"prompt": "", "steps": 1, "width": 64, "height": 64, "batch_size": 1, "n_iter": 1}


class Stalls:
    def __init__(self, client: webui.WebUI, office: Office, health: Health) -> None:
        self._client, self._office, self._health = client, office, health
        self._idle_since: float | None = None
        self._current: str | None = None
        self._since = self._moved = time.monotonic()
        self._nudged = False

    def over(self) -> None:
        """Nothing of ours waits."""
        self._idle_since, self._moved = None, time.monotonic()
        self._health.good("paused")
        self._health.good("waiting")
        self._health.good("stuck")

    def look(self, state: webui.Queue, moved: bool) -> None:
        """`moved`: something of ours has changed since the last look, or may have."""
        now, limits = time.monotonic(), self._office.limits
        if moved:
            self._moved = now
        if state.paused:
            allowed = " (resuming it)" if limits.resume else ": resume it in the WebUI, or give --resume-queue"
            self._health.bad("paused", f"{self._client.url}: its queue is paused{allowed}")
            self._idle_since = None
            if limits.resume:
                self._client.resume()
            return
        self._health.good("paused")
        if state.current is not None or moved:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > limits.kick:
            self._client.resume()
            self._idle_since = now
        self._stuck(state, now)
        if now - self._moved > limits.wait:
            self._health.bad("waiting", f"{self._client.url}: our pictures wait there for {limits.wait:.0f} s")
        elif moved:
            self._health.good("waiting")

    def _stuck(self, state: webui.Queue, now: float) -> None:
        if state.current != self._current or state.current is None:
            self._current, self._since, self._nudged = state.current, now, False
            self._health.good("stuck")
            return
        limits = self._office.limits
        if now - self._since <= limits.stuck:
            return
        tell = "waking it by a small picture" if limits.nudge else "restart the WebUI, or give --nudge"
        self._health.bad("stuck", f"{self._client.url}: its queue stands still at one task: {tell}")
        if limits.nudge and not self._nudged:
            self._nudged = True
            with contextlib.suppress(webui.Trouble):
                self._client.txt2img(dict(SMALL), 120.0)
