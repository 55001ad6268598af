"""A picture has come, or word that there will be none: is it kept, marked, or drawn once more?

Covers: the verdict by the infotext, one more try for what failed, the LoRA that a server does not use. Not: fetching
(`drawer`), the verdict's own rules (`webui.judge`).
"""

from __future__ import annotations

from typing import Any

from ..store.sample_journal import SampleJournal
from .context import Office
from .image_store import Wanted
from .server_batch import Work
from .servers import webui


class Judge:
    """Of one server, for the thread of its drawer."""

    def __init__(self, url: str, office: Office, samples: SampleJournal) -> None:
        self.url, self.office, self.samples = url, office, samples
        self._blind = False
        """This server hides which LoRA it has used: once is enough."""

    def judge(self, work: Work, key: str, result: webui.Failed | list[webui.Picture]) -> bool:
        """True: the LoRA must be brought once more before this picture can be drawn again."""
        wanted = work.left[key]
        if isinstance(result, webui.Failed):
            if result.out_of_memory:
                self.office.say(f"{self.url}: its GPU is out of memory, and its queue has paused itself for everybody")
            if not work.tries[key] and "no PNG" not in result.reason:
                self._once_more(work, key)
            else:
                self.settle(work, key, "failed", result.reason)
            return False
        lora = None if wanted.shot.baseline else work.lora
        model = wanted_model(wanted)
        picture = result[0]
        verdict = webui.judge(picture.infotext, lora, work.hash12, model)
        if verdict == "base model only" and not self._blind and work.tries[key] < 2:
            return self._once_more_with_lora(work, key)
        if lora:
            self._blind = verdict == "base model only" and "Lora hashes" not in picture.infotext
            work.proved = work.proved or verdict == "done"
            if key == work.scout or work.proved:
                work.scout = ""
                work.held.clear()
        self.settle(work, key, verdict, webui.explain(verdict, picture.infotext, lora, model), picture)
        return False

    def _once_more_with_lora(self, work: Work, key: str) -> bool:
        """A server that was started anew draws without the LoRA until it has looked at its files again: bring it
        again, draw one picture and see, before the others are drawn twice in vain."""
        if not work.proved and work.scout not in ("", key):
            work.held.add(key)
            return False
        self._once_more(work, key)
        if work.proved:
            return False
        work.scout = key
        return True

    def _once_more(self, work: Work, key: str) -> None:
        work.tries[key] += 1
        work.tasks.pop(key, None)
        self.samples.forget_request(self.url, key)

    def settle(self, work: Work, key: str, state: str, reason: str, picture: webui.Picture | None = None) -> None:
        wanted = work.left[key]
        lora = None if wanted.shot.baseline else work.lora
        png, infotext = (picture.png, picture.infotext) if picture else (None, "")
        if self.office.desk.put(work.batch, wanted, self.url, lora, state, reason, png, infotext) and state != "done":
            self.office.say(f"{wanted.png.name}: {state}: {reason}")
        work.left.pop(key)  # only now: the dispatcher takes what is not left for made
        work.tasks.pop(key, None)
        self.samples.forget_request(self.url, key)


def wanted_model(wanted: Wanted) -> str | None:
    """The base model that the prompt names, if it does."""
    fields: Any = wanted.prompt.fields
    settings = fields.get("override_settings")
    named = settings.get("sd_model_checkpoint") if isinstance(settings, dict) else None
    found = fields.get("checkpoint") or named
    return str(found) if found else None
