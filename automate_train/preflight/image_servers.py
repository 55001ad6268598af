"""The image servers and the prompts of runs that are sampled on a WebUI.

Covers: every distinct server, probed side by side within a time limit; prompt files; a `sample_opt` that no checkpoint
meets. Not: what the keys mean (`config/sampling_options`), anything that changes a server or the disk.
Importing this costs 60 ms for requests, so `checks` does it only for sweeps that use a server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config.keys import unset
from ..config.prompts import read
from ..config.sampling_options import sample_rule, webui_addresses
from ..errors import Problem, UserError
from ..records import Setting
from ..sampling.servers import webui
from ..sampling.servers.webui import payload

SECONDS = 15.0
"""The longest that the probes of all servers may take."""


@dataclass
class Probe:
    """One server, as the runs name it."""

    url: str
    source: str
    key: str
    auth: str | None
    uploader_auth: str | None
    lora_dir: str | None
    found: list[Problem] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def say(self, message: str, hint: str = "", warn: bool = False) -> None:
        self.found.append(Problem("warning" if warn else "error", self.source, self.key, message, hint))

    def run(self) -> None:
        try:
            client = webui.WebUI(self.url, self.auth, self.uploader_auth, self.lora_dir)
            self._judge(client, client.probe())
        except webui.Trouble as error:
            self.say(str(error))
        finally:
            self.done.set()

    def _judge(self, client: webui.WebUI, abilities: webui.Abilities) -> None:
        if self.lora_dir is None and not abilities.uploader:
            hint = "install it (it also fails to load without internet), or set webui_lora_dir to a shared folder"
            self.say(f"{client.url} has no model uploader: LoRAs cannot be brought there", hint)
        if not abilities.scheduler:
            hint = "install sd-webui-agent-scheduler, and pictures survive a restart of the WebUI"
            self.say(f"{client.url} has no agent scheduler: pictures are drawn one by one over txt2img", hint, True)
        if abilities.paused:
            hint = "resume it in the WebUI: samples wait until then"
            self.say(f"{client.url}: its queue is paused", hint, True)


def problems(options: Iterable[Mapping[str, Setting]]) -> Iterator[Problem]:
    """What is wrong with sampling on a WebUI. `options`: of runs that are sampled there and show every value. Takes
    SECONDS at most."""
    probes: dict[tuple[str | None, ...], Probe] = {}
    files: dict[str, Setting] = {}
    for each in options:
        values = {key: setting.value for key, setting in each.items()}
        for probe in _probes(each, values):
            probes.setdefault((probe.url, probe.auth, probe.uploader_auth, probe.lora_dir), probe)
        yield from _keys(each, values)
        if (setting := each.get("prompt_path")) is not None and not unset(setting.value):
            files.setdefault(str(setting.value), setting)
    for setting in files.values():
        yield from _prompts(setting)
    for probe in probes.values():
        threading.Thread(target=probe.run, name=f"probe {probe.url}", daemon=True).start()
    left = SECONDS
    for probe in probes.values():
        if not probe.done.wait(left):
            left = 0.0
            text = f"{_without_password(probe.url)} has not answered within {SECONDS:.0f} s"
            probe.say(text, "is it busy, or behind a firewall?")
        yield from probe.found


def _probes(options: Mapping[str, Setting], values: Mapping[str, Any]) -> Iterator[Probe]:
    auth, uploader_auth, folder = (
        None if unset(values.get(key)) else str(values[key])
        for key in ("webui_auth", "webui_uploader_auth", "webui_lora_dir")
    )
    for url in webui_addresses(values):
        key = "webui_url" if url == values.get("webui_url") else "webui_urls"
        yield Probe(url, str(options[key].source), key, auth, uploader_auth, folder)


def _keys(options: Mapping[str, Setting], values: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys that sampling needs and that are not set; a rule that no checkpoint meets but the last."""
    switch = options["use_external_webui"]
    if not webui_addresses(values):
        yield Problem(
            "error", str(switch.source), "webui_url", "is not set", 'like "webui_url": "http://127.0.0.1:7860"'
        )
    if unset(values.get("prompt_path")):
        text = "is not set: there is nothing to sample"
        yield Problem("error", str(switch.source), "prompt_path", text, "name a prompt file")
    wanted = sample_rule(values)
    if wanted is None or wanted.unit is None:
        return
    key = "save_every_n_steps" if wanted.unit == "step" else "save_every_n_epochs"
    try:
        every = 0 if unset(values.get(key)) else int(str(values[key]))
    except ValueError:
        return
    setting = options.get("sample_opt") or switch
    if wanted.unit == "step" and not every:
        text = "is step, but checkpoints are saved by epoch: only the last one is sampled"
        yield Problem("warning", str(setting.source), "sample_opt", text, f"set {key}")
    elif every and wanted.count % every and every % wanted.count:
        setting = options.get("sample_num") or setting
        text = f"is {wanted.count} and {key} is {every}: only checkpoints that fit both are sampled"
        yield Problem("warning", str(setting.source), "sample_num", text, f"set sample_num to a multiple of {every}")


def _prompts(setting: Setting) -> Iterator[Problem]:
    try:
        yield from payload.problems(read(str(setting.value)))
    except UserError as error:
        yield error.problem
    except OSError as error:
        text = f"{setting.value} cannot be read: {error.strerror}"
        yield Problem("error", str(setting.source), setting.written, text)


def _without_password(url: str) -> str:
    try:
        return webui.base_url(url)
    except webui.Final:
        return "webui_url"
