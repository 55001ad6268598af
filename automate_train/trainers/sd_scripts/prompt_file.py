"""The prompt file as the trainer's own sampler reads it.

Covers: a .txt file stays where it is if sd-scripts reads the same in it as we do; of any other file a copy is made as
plain JSON with sd-scripts' names, without what sd-scripts would ignore, misread or fail on. What is left out is
reported. Not: whether the file is valid (`config.prompts`), samples on an image server (`sampling`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...config.prompt_fields import SAMPLERS, SAMPLERS_ALONE, UPSTREAM
from ...config.prompts import Prompt, read_prompts, without_tags
from ...errors import Problem, UserError
from .resolve import Resolved
from .value_types import Table, absolute, problem, refused

COPY = "sample_prompts.json"
READ = frozenset(
    "width height sample_steps scale guidance_scale cfg_trunc_ratio renorm_cfg flow_shift controlnet_image".split()
)
"""What it reads of a prompt, apart from the words, the seed and the sampler."""
KNOWN_SAMPLERS = frozenset({*SAMPLERS.values(), *SAMPLERS_ALONE})
"""For any other name it takes DDIM without a message."""
MISREAD = re.compile(
    r"^(?:[whdslgn]|ss|cn|ctr|rcfg|fs) | --(?!(?:[whdslg]|ctr|rcfg|fs) [\d.]+(?: --|$)|n (?!--)\S|ss \S+(?: --|$))",
    re.IGNORECASE,
)
"""Where sd-scripts reads a line differently: it cuts at every ` --`, needs one space after the letter and numbers
without a sign, and takes a line that begins like an option for one."""


def copied(resolved: Resolved) -> str | None:
    """The text of `COPY`, or None where the trainer reads the user's own file. `UserError` when it cannot be read."""
    path = resolved.training.get("sample_prompts")
    if not isinstance(path, str):
        return None
    try:
        prompts = read_prompts(absolute(path))
        if _is_read_alike(path, prompts):
            return None
    except (UserError, OSError) as error:
        text = f"the trainer's own sampler cannot read {error}"
        raise refused(problem(resolved.settings["sample_prompts"], text)) from None
    return json.dumps([_named(prompt, _has_controlnet(resolved)) for prompt in prompts], indent=1)


def problems(resolved: Resolved) -> Iterator[Problem]:
    """Warnings, if samples are wanted and the file can be read: what the trainer's own sampler does not do."""
    path = resolved.training.get("sample_prompts")
    wanted = ("sample_every_n_epochs", "sample_every_n_steps", "sample_at_first")
    if not isinstance(path, str) or not any(resolved.training.get(name) for name in wanted):
        return
    try:
        prompts = read_prompts(absolute(path))
    except UserError:
        return  # `checks` reports it
    setting = resolved.settings["sample_prompts"]
    lost: dict[str, list[str]] = {}
    for at, prompt in enumerate(prompts, 1):
        for name in _left_out(prompt, _has_controlnet(resolved)):
            lost.setdefault(name, []).append(str(at))
    if lost:
        names = ", ".join(f"{name} (prompt {', '.join(at[:3])}{' ...' if at[3:] else ''})" for name, at in lost.items())
        text = f"{path}: the trainer's own sampler leaves out {names}"
        yield problem(setting, text, "use_external_webui samples them on a WebUI", "warning")
    others = {_sampler(prompt) or "" for prompt in prompts} - KNOWN_SAMPLERS - {""}
    if others:
        text = f"{path}: the trainer has no sampler {', '.join(sorted(others))}: its sample_sampler is used"
        hint = f"add sample_sampler to the prompt, one of {', '.join(sorted(SAMPLERS.values()))}"
        yield problem(setting, text, hint, "warning")


def _has_controlnet(resolved: Resolved) -> bool:
    """Only scripts that train one load it; all others fail on a prompt with an image for it."""
    return "control" in resolved.script.name


def _left_out(prompt: Prompt, controlnet: bool) -> Iterator[str]:
    yield from ["lora_weights"] * bool(prompt.weights)
    yield from ["baseline"] * prompt.baseline
    yield from without_tags(prompt)[2]
    known = {*READ, *UPSTREAM, *UPSTREAM.values(), "enum", "subset"} - (set() if controlnet else {"controlnet_image"})
    yield from (name for name, value in prompt.fields.items() if name not in known and value is not None)


def _sampler(prompt: Prompt) -> str | None:
    """The trainer's name for the prompt's sampler, or the name as it is where the trainer has none for it."""
    name = prompt.fields.get("sample_sampler") or prompt.fields.get("sampler_name")
    return SAMPLERS.get(name, str(name)) if name else None


def _named(prompt: Prompt, controlnet: bool) -> Table:
    """One prompt in sd-scripts' names. The run's LoRA is loaded anyway; tags would be read as words."""
    text, negative, _ = without_tags(prompt)
    fields = {UPSTREAM.get(name, name): value for name, value in prompt.fields.items()}
    fields |= {name: prompt.fields[name] for name in UPSTREAM.values() if name in prompt.fields}
    found: Table = {"prompt": text}
    found |= {"negative_prompt": negative} if negative else {}
    found |= {name: value for name, value in fields.items() if name in READ and value is not None}
    if not controlnet:
        found.pop("controlnet_image", None)
    elif "controlnet_image" in found:
        found["controlnet_image"] = os.path.abspath(Path(prompt.file).parent / found["controlnet_image"])
    found |= {"seed": prompt.seed} if prompt.seed is not None else {}
    return found | ({"sample_sampler": name} if (name := _sampler(prompt)) in KNOWN_SAMPLERS else {})


def _is_read_alike(path: str, prompts: Sequence[Prompt]) -> bool:
    """Whether sd-scripts reads the same in the user's own file as we do."""
    if not path.endswith(".txt") or not os.path.isabs(path):
        return False
    text = Path(path).read_bytes().decode("utf-8")
    lines = re.split(r"\r\n|\r|\n", text)
    return (
        not text.startswith("\ufeff")
        and not any(MISREAD.search(line.strip()) for line in lines if not line.startswith("#"))
        and not any(line[0] != "#" and line.lstrip().startswith("#") for line in lines if line)
        and all(prompt.fields.get("sampler_name") in (None, *KNOWN_SAMPLERS) for prompt in prompts)
        and all(without_tags(prompt)[:2] == (prompt.text, prompt.negative) for prompt in prompts)
    )
