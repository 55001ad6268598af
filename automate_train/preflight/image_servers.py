"""The servers and the prompts, looked at before a sweep starts.

Covers: every distinct WebUI probed (side by side, with a time limit), prompt files, `sample_opt` without checkpoints
to match; each as a `Problem` with what to do. Not: anything that changes a server or the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..config.keys import unset
from ..config.prompts import read
from ..config.sampling_options import on_webui, sample_rule, webui_addresses
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


def preflight(options: Iterable[Mapping[str, Setting]], secrets: Mapping[str, str]) -> list[Problem]:
    """What is wrong with sampling on a WebUI. `options`: of runs that show every value; `secrets`: `webui_auth` and
    `webui_uploader_auth`, where they do not stand in the options. Takes at most SECONDS."""
    probes: dict[tuple[str | None, ...], Probe] = {}
    found: dict[Problem, None] = {}
    files: set[str] = set()
    for each in options:
        values = {key: setting.value for key, setting in each.items()}
        if not on_webui(values):
            continue
        for probe in _servers(each, values, secrets):
            probes[probe.url, probe.auth, probe.uploader_auth, probe.lora_dir] = probe
        if not webui_addresses(values):
            setting = each["use_external_webui"]
            hint = 'like "webui_url": "http://127.0.0.1:7860"'
            found[Problem("error", str(setting.source), "webui_url", "is not set", hint)] = None
        found.update(dict.fromkeys(_prompts(each, values, files)))
        found.update(dict.fromkeys(_rule(each, values)))
    for probe in probes.values():
        threading.Thread(target=probe.run, name=f"probe {probe.url}", daemon=True).start()
    left = SECONDS
    for probe in probes.values():
        if not probe.done.wait(left):
            left = 0.0
            probe.say(
                f"{_plain(probe.url)} has not answered within {SECONDS:.0f} s", "is it busy, or behind a firewall?"
            )
        found.update(dict.fromkeys(probe.found))
    return list(found)


def _servers(
    options: Mapping[str, Setting], values: Mapping[str, object], secrets: Mapping[str, str]
) -> Iterator[Probe]:
    auth, uploader_auth = (
        str(value) if not unset(value := values.get(key) or secrets.get(key)) else None
        for key in ("webui_auth", "webui_uploader_auth")
    )
    folder = None if unset(values.get("webui_lora_dir")) else str(values["webui_lora_dir"])
    for url in webui_addresses(values):
        key = "webui_url" if url == values.get("webui_url") else "webui_urls"
        yield Probe(url, str(options[key].source), key, auth, uploader_auth, folder)


def _prompts(options: Mapping[str, Setting], values: Mapping[str, object], seen: set[str]) -> Iterator[Problem]:
    setting = options.get("prompt_path")
    if setting is None or unset(setting.value):
        source = str(options["use_external_webui"].source)
        yield Problem("error", source, "prompt_path", "is not set: there is nothing to sample", "name a prompt file")
    elif str(setting.value) not in seen:
        seen.add(str(setting.value))
        try:
            yield from payload.problems(read(str(setting.value)))
        except UserError as error:
            yield error.problem
        except OSError as error:
            text = f"{setting.value} cannot be read: {error.strerror}"
            yield Problem("error", str(setting.source), setting.written, text)


def _rule(options: Mapping[str, Setting], values: Mapping[str, object]) -> Iterator[Problem]:
    """A wish that no checkpoint meets but the last."""
    wanted = sample_rule(values)
    if wanted is None or wanted.unit is None:
        return
    key = "save_every_n_steps" if wanted.unit == "step" else "save_every_n_epochs"
    every = values.get(key)
    try:
        number = 0 if unset(every) else int(str(every))
    except ValueError:
        return
    setting = options.get("sample_opt") or options["use_external_webui"]
    if wanted.unit == "step" and not number:
        text = "is step, but checkpoints are saved by epoch: only the last one is sampled"
        yield Problem("warning", str(setting.source), "sample_opt", text, f"set {key}")
    elif number and wanted.count % number and number % wanted.count:
        setting = options.get("sample_num") or setting
        text = f"{wanted.count} and {key} {number} meet seldom: only checkpoints of both are sampled"
        yield Problem("warning", str(setting.source), "sample_num", text, f"set sample_num to a multiple of {number}")


def _plain(url: str) -> str:
    try:
        return webui.base_url(url)
    except webui.Final:
        return "webui_url"
