"""`WebUI`: one Stable Diffusion WebUI as an image server.

Covers: what answers there, and which way of drawing that means; the other modules of this package put together. Not:
when to call again and how often (`sampling`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....config.key_sets import WEBUI_SECRETS
from ....config.values import unset
from ....errors import Problem, UserError
from ..protocol import (
    BaseModel,
    Failed,
    ImageServer,
    Lora,
    LoraRefused,
    Picture,
    Progress,
    Refused,
    SampleRequest,
    Ticket,
    Unavailable,
    Verdict,
)  # fmt: skip
from .http import Http
from .lora_file import lora_hashes
from .lora_proof import named_model, verdict
from .loras import LIST, Loras
from .payload import parameters, payload, wanted_model
from .scheduler import WAITING, Scheduler
from .txt2img import PICTURES, AtOnce, txt2img

SMALL = {"prompt": "", "steps": 1, "width": 64, "height": 64, "batch_size": 1, "n_iter": 1}


def connect(url: str, folder: str, options: Mapping[str, object], environment: Mapping[str, str]) -> ImageServer:
    """The server at an address, by a run's options and the environment; nothing is asked yet."""
    auth, uploader_auth = (environment.get(WEBUI_SECRETS[key]) for key in ("webui_auth", "webui_uploader_auth"))
    lora_dir = None if unset(options.get("webui_lora_dir")) else str(options["webui_lora_dir"])
    return WebUI(url, folder, auth=auth, uploader_auth=uploader_auth, lora_dir=lora_dir)


class WebUI:
    """`auth` and `uploader_auth` are `user:password`; the second only where the uploader has users of its own.
    `lora_dir` is a folder shared with the server's models/Lora and replaces the uploader. `folder` is our own among the
    server's LoRAs. `Refused` for an address that is not one."""

    def __init__(
        self, url: str, folder: str = "automate-train", *, auth: str | None = None, uploader_auth: str | None = None,
        lora_dir: str | Path | None = None,
    ) -> None:  # fmt: skip
        self._http = Http(url, auth, uploader_auth)
        self._loras = Loras(self._http, folder, lora_dir)
        self._has_shared_folder = bool(lora_dir)
        self._way: Scheduler | AtOnce | None = None
        self._hashes: dict[Path, frozenset[str]] = {}
        """File of a LoRA -> what an infotext may show of it."""
        self.base_model: BaseModel | None = None

    @property
    def url(self) -> str:
        return self._http.url

    def problems(self) -> list[Problem]:
        try:
            return list(self._problems())
        except Refused as error:
            return [Problem("error", "", "", str(error))]

    def _problems(self) -> Iterator[Problem]:
        """Each part is asked on its own; a part that is not there answers 404."""
        options = self._http.ask("GET", "/sdapi/v1/options", allow=(404,))
        if options.status == 404:
            raise Refused(f"{self.url} has no /sdapi/v1 (404): start the WebUI with --api (or the address is wrong)")
        try:
            settings = self._http.parsed(options, "/sdapi/v1/options")
        except Unavailable:
            raise Refused(f"{self.url} is not a WebUI: it answers /sdapi/v1/options with something else") from None
        yield from self._problems_of(settings)
        with self._http.open("GET", LIST, allow=(404,)) as answer:  # not read: it can be very long
            if answer.status_code == 404:
                raise Refused(f"{self.url} has no list of LoRAs (404): enable its built-in extension Lora")
        if not self._has_shared_folder and self._asked("/uploader/ping", uploader=True) is None:
            hint = "install it (it also fails to load without internet), or set webui_lora_dir to a shared folder"
            yield Problem("error", "", "", f"{self.url} has no model uploader: LoRAs cannot be brought there", hint)
        queue = self._asked(WAITING, query={"limit": 1}, limit=PICTURES)
        if queue is None and isinstance(self._way, Scheduler):
            yield Problem(
                "error", "", "", f"{self.url} has no agent scheduler any more: its pictures cannot be fetched"
            )
        elif queue is None:
            hint = "install sd-webui-agent-scheduler, and pictures survive a restart of the WebUI"
            text = f"{self.url} has no agent scheduler: pictures are drawn one by one over txt2img"
            yield Problem("warning", "", "", text, hint)
        elif queue.get("paused") is True:
            hint = "resume it in the WebUI: samples wait until then"
            yield Problem("warning", "", "", f"{self.url}: its queue is paused", hint)
        self._way = self._way or (Scheduler(self._http) if queue is not None else AtOnce(self._http))

    def _problems_of(self, settings: Mapping[str, object]) -> Iterator[Problem]:
        """Settings of the server that spoil pictures; what is not told is taken for right."""
        form = str(settings.get("samples_format") or "png")
        if form.lower() != "png":
            hint = "choose png in its settings"
            yield Problem("error", "", "", f"{self.url} saves samples as {form}: none of them can be used", hint)
        if settings.get("lora_add_hashes_to_infotext") is False:
            text = f"{self.url} does not add Lora hashes to the infotext: every sample is marked as base model only"
            yield Problem("warning", "", "", text, "switch that option on in its settings, under Extra Networks")
        model, digest = named_model(settings.get("sd_model_checkpoint")), settings.get("sd_checkpoint_hash")
        self.base_model = replace(model, hash=digest.lower()) if model and isinstance(digest, str) and digest else model

    def _asked(self, path: str, **options: Any) -> dict[str, object] | None:
        """The answer of an extension; None for 404, which also means that it failed to load when the WebUI started."""
        answer = self._http.ask("GET", path, allow=(404,), **options)
        return None if answer.status == 404 else self._http.parsed(answer, path)

    @property
    def _drawing(self) -> Scheduler | AtOnce:
        """Found out once, and kept: a ticket of the queue is of no use without it."""
        if self._way is None:
            there = self._asked(WAITING, query={"limit": 1}, limit=PICTURES) is not None
            self._way = Scheduler(self._http) if there else AtOnce(self._http)
        return self._way

    def _raise_if_unusable(self) -> None:
        """After a refusal: was it meant for this one request, or is everything refused?"""
        for problem in self.problems():
            if problem.severity == "error":
                raise Refused(str(problem))

    # LoRAs

    def bring(self, lora: Lora) -> None:
        try:
            if lora.file not in self._hashes:
                self._hashes[lora.file] = lora_hashes(lora.file)
            self._loras.upload(lora.file, lora.name)
            self._loras.show(lora.name)
        except OSError as error:
            raise LoraRefused(f"{lora.file} cannot be read: {error.strerror}") from None
        except LoraRefused:
            raise
        except Refused as error:
            self._raise_if_unusable()
            raise LoraRefused(str(error)) from None

    def listed(self) -> list[str]:
        return list(self._loras.hashes())

    def take_away(self, name: str) -> None:
        self._loras.delete(name)

    # pictures

    def draw(self, request: SampleRequest, limit_s: float) -> Ticket | Picture | Failed:
        try:
            return self._drawing.draw(payload(request), limit_s)
        except UserError as error:  # an image that the prompt names is gone
            return Failed(str(error), final=True)
        except Refused as error:
            self._raise_if_unusable()
            return Failed(str(error), final=True)

    def find(self, request: SampleRequest, known: Collection[Ticket]) -> Ticket | None:
        return self._drawing.find(parameters(request), known)

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        return self._drawing.progress(tickets)

    def collect(self, request: SampleRequest, ticket: Ticket) -> Picture | Failed | None:
        return self._drawing.collect(parameters(request), ticket)

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        self._drawing.withdraw(lora, tickets)

    def verify(self, request: SampleRequest, picture: Picture, base: BaseModel | None = None) -> Verdict:
        name, hashes = (request.lora.name, self._hashes.get(request.lora.file, ())) if request.lora else (None, ())
        named = named_model(wanted_model(request.prompt))
        found = verdict(picture.infotext, name, hashes, named or base)
        return found if named is None else replace(found, base=None)

    def parameters(self, request: SampleRequest) -> dict[str, object]:
        return parameters(request)

    # troubles

    def reconnected(self) -> None:
        self._loras.refresh()  # a WebUI that was started anew draws without a LoRA that it has not listed

    def wake(self) -> None:
        self._drawing.wake()

    def unblock(self) -> None:
        txt2img(self._http, dict(SMALL), 120.0)  # in WebUIs since about 1.8 a job that succeeds frees the queue
