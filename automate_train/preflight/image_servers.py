"""The image servers and the prompts of runs that are sampled on a WebUI.

Covers: every distinct server, probed side by side within a time limit; prompt files; a `sample_opt` that no checkpoint
meets. Not: what the keys mean (`config/sampling_options`), anything that changes a server or the disk.
Importing this costs 60 ms for requests, so `checks` does it only for sweeps that use a server.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..config.prompts import check_prompts
from ..config.sampling_options import sample_rule, sampler_environment, webui_addresses
from ..config.values import unset, whole
from ..errors import Problem
from ..records import Setting
from ..sampling.servers.protocol import BaseModel, ServerError
from ..sampling.servers.webui import payload
from ..sampling.servers.webui.http import base_url
from ..sampling.servers.webui.server import connect

SECONDS = 15.0
"""The longest that the probes of all servers may take."""


@dataclass
class Probe:
    """One server, as the runs name it."""

    url: str
    source: str
    key: str
    options: Mapping[str, object]
    found: list[Problem] = field(default_factory=list)
    base_model: BaseModel | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.url, *(self.options.get(key) for key in ("webui_auth", "webui_uploader_auth", "webui_lora_dir")))

    def run(self) -> None:
        try:
            server = connect(self.url, "", self.options, sampler_environment(self.options))
            self.found = [each._replace(source=self.source, key=self.key) for each in server.problems()]
            self.base_model = server.base_model
        except ServerError as error:
            self.found = [Problem("error", self.source, self.key, str(error))]
        finally:
            self.done.set()


def problems(options: Iterable[Mapping[str, Setting]]) -> Iterator[Problem]:
    """What is wrong with sampling on a WebUI. `options`: of runs that are sampled there and show every value. Takes
    SECONDS at most."""
    probes: dict[tuple[object, ...], Probe] = {}
    files: dict[str, Setting] = {}
    for each in options:
        values = {key: setting.value for key, setting in each.items()}
        for probe in _probes(each, values):
            probes.setdefault(probe.identity, probe)
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
            text = f"{base_url(probe.url)} has not answered within {SECONDS:.0f} s"
            probe.found = [Problem("error", probe.source, probe.key, text, "is it busy, or behind a firewall?")]
        yield from probe.found
    yield from _base_models(list(probes.values()))


def _base_models(probes: Sequence[Probe]) -> Iterator[Problem]:
    """Pictures of two base models could not be compared."""
    known = [(probe, probe.base_model) for probe in probes if probe.base_model is not None]
    for probe, base_model in known[1:]:
        first, its = known[0]
        if base_model.differs_from(its):
            text = f"{base_url(probe.url)} has base model '{base_model}', and {base_url(first.url)} has '{its}'"
            hint = "select the same one on both"
            yield Problem("error", probe.source, probe.key, text, hint)


def _probes(options: Mapping[str, Setting], values: Mapping[str, object]) -> Iterator[Probe]:
    for url in webui_addresses(values):
        key = "webui_url" if url == values.get("webui_url") else "webui_urls"
        yield Probe(url, str(options[key].source), key, values)


def _keys(options: Mapping[str, Setting], values: Mapping[str, object]) -> Iterator[Problem]:
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
    every = 0 if unset(values.get(key)) else whole(values[key])
    if every is None:  # the trainer's checks say so
        return
    setting = options.get("sample_opt") or switch
    if wanted.unit == "step" and not every:
        text = "is step, but checkpoints are saved by epoch: only the last one is sampled"
        yield Problem("warning", str(setting.source), "sample_opt", text, f"set {key}")
    elif every and wanted.every % every and every % wanted.every:
        setting = options.get("sample_num") or setting
        text = f"is {wanted.every} and {key} is {every}: only checkpoints that fit both are sampled"
        yield Problem("warning", str(setting.source), "sample_num", text, f"set sample_num to a multiple of {every}")


def _prompts(setting: Setting) -> Iterator[Problem]:
    """Every prompt that cannot be read, or that no WebUI can make."""
    source, key = str(setting.source), setting.written
    prompts, wrong = check_prompts(os.path.abspath(os.path.expanduser(str(setting.value))))
    yield from (Problem("error", source, key, f"{each.source}: {each.message}", each.hint) for each in wrong)
    try:
        yield from payload.problems(prompts)
    except OSError as error:
        yield Problem("error", source, key, f"{setting.value} cannot be read: {error.strerror}")
