"""Prompts -> pictures to make -> what a WebUI's txt2img is sent.

Covers: the pictures of a prompt file in order, the LoRA's tag and its weight, images as base64, the ControlNet
shorthand, the same without base64 for a picture's JSON, and what is wrong or odd about prompts for a WebUI.
Not: reading prompt files (`prompts`), talking to a server (`webui`). Image files are read; nothing else is touched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....config.prompt_fields import FIXED, KNOWN, SAMPLERS, SAMPLERS_ALONE, SHORTHANDS, TRAINERS, UPSTREAM
from ....config.prompt_images import encoded, find, inline, replaced
from ....config.prompts import LORA_TAG, Prompt
from ....errors import Problem, UserError

NOBODY = "\0"
"""Stands for the LoRA's name where there is no LoRA; no prompt holds it."""

SERVERS_SAMPLERS = {theirs: webui for webui, theirs in SAMPLERS.items()} | {
    name: webui for name, webui in SAMPLERS_ALONE.items() if webui
}


@dataclass(frozen=True)
class Shot:
    """One picture of a checkpoint."""

    number: int
    """Which prompt: its place in the file, from 0."""
    weight: float | None = None
    """The LoRA's weight; None: as the prompt's own tag says, else 1."""
    baseline: bool = False
    """Without the LoRA: the same picture for every checkpoint of a sweep."""

    @property
    def mark(self) -> str:
        """Its part of a file name: `00`, `00_w0.6` or `00_baseline`."""
        weight = "" if self.weight is None else f"_w{self.weight:g}"
        return f"{self.number:02d}{'_baseline' if self.baseline else weight}"


def shots(prompts: Sequence[Prompt]) -> list[Shot]:
    """Every picture: prompt by prompt, its weights as written, its baseline last."""
    return [
        shot
        for number, prompt in enumerate(prompts)
        for shot in (
            *(Shot(number, weight) for weight in prompt.weights or (None,)),
            *([Shot(number, baseline=True)] if prompt.baseline else []),
        )
    ]


def payload(prompt: Prompt, lora: str | None, weight: float | None, seed: int) -> dict[str, Any]:
    """The body for `/sdapi/v1/txt2img` and the scheduler's queue, JSON-able.

    `lora` is the name on the server (the file's without folder and extension), None for the picture without it.
    `weight` replaces the number in our tag; None leaves what the prompt says. `UserError` when an image is missing.
    """
    return _body(prompt, lora, weight, seed, lambda text: encoded(text, prompt.file, prompt.where))


def parameters(prompt: Prompt, lora: str | None, weight: float | None, seed: int) -> dict[str, Any]:
    """The same body with images as the prompt file names them: for the JSON beside a picture. No file is read."""
    return _body(prompt, lora, weight, seed, lambda text: f"({len(text)} characters)" if inline(text) else text)


def words(prompt: Prompt, lora: str | None, weight: float | None = None) -> tuple[str, str]:
    """The prompt and the negative prompt as they are sent.

    `regex_to_replace` becomes the name, literally. Where no tag bears the name, ` <lora:NAME:1>` is appended. With a
    weight, the numbers of our tag (the text encoder's, the U-Net's) give way to it and the rest of the tag stays. With
    `lora` None our tags go, and nothing else of the words changes.
    """
    name = NOBODY if lora is None else lora
    text, negative = prompt.text, prompt.negative
    if prompt.placeholder:
        text, negative = text.replace(prompt.placeholder, name), negative.replace(prompt.placeholder, name)
    if lora is None:
        without = [LORA_TAG.sub(lambda tag: "" if tag[2] == NOBODY else tag[0], each) for each in (text, negative)]
        return without[0].replace(NOBODY, "").strip(), without[1].replace(NOBODY, "").strip()
    if not any(tag[2] == name for tag in LORA_TAG.finditer(text)):
        return f"{text}{' ' if text else ''}<lora:{name}:{1.0 if weight is None else weight:g}>", negative
    if weight is not None:
        text = LORA_TAG.sub(lambda tag: _weighed(tag, f"{weight:g}") if tag[2] == name else tag[0], text)
    return text, negative


def _weighed(tag: re.Match[str], weight: str) -> str:
    """A tag is `<lora:NAME:TE:UNET:...>`, the numbers also as `te=` and `unet=`; one number stands for both."""
    parts, position, found = tag[3].split(":")[1:], 0, False
    for at, part in enumerate(parts):
        name, equals, _ = part.partition("=")
        if equals:
            number = name.strip() in ("te", "unet")
            parts[at] = f"{name}={weight}" if number else part
        else:
            number = position < 2 and re.fullmatch(r"\s*[+-]?[\d.]+\s*", part) is not None
            parts[at] = weight if number else part
            position += 1
        found = found or number
    return f"<{tag[1]}:{':'.join([tag[2], *([] if found else [weight]), *parts])}>"


def _body(
    prompt: Prompt, lora: str | None, weight: float | None, seed: int, image: Callable[[str], str]
) -> dict[str, Any]:
    text, negative = words(prompt, lora, weight)
    fields = {name: value for name, value in prompt.fields.items() if name not in (*TRAINERS, *SHORTHANDS)}
    for name, theirs in UPSTREAM.items():
        if prompt.fields.get(name) is None and prompt.fields.get(theirs) is not None:
            fields[name] = prompt.fields[theirs]
    if fields.get("sampler_name") in SERVERS_SAMPLERS:
        fields["sampler_name"] = SERVERS_SAMPLERS[fields["sampler_name"]]
    if unit := _unit(prompt.fields):
        fields["alwayson_scripts"] = _with_unit(fields.get("alwayson_scripts") or {}, unit)
    sent = {
        name: value if name == "override_settings" else replaced(name, value, image)
        for name, value in fields.items()
        if value is not None or name not in KNOWN
    }
    only = {name: FIXED[name] for name in ("batch_size", "n_iter")}
    return {"prompt": text, "negative_prompt": negative, "seed": seed, **sent, **only}


def _unit(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The shorthand as a ControlNet unit; `image` is the name that old and new versions of the extension know."""
    model, image, module = (fields.get(name) for name in SHORTHANDS)
    if not image:
        return None
    return {"enabled": True, "module": module or "none", "model": model or "None", "image": image}


def _with_unit(scripts: Mapping[str, Any], unit: dict[str, Any]) -> dict[str, Any]:
    """The unit after the user's own ones, under the name that the user wrote for the script, in whatever case."""
    name = next((name for name in scripts if name.lower() == "controlnet"), "controlnet")
    script = scripts.get(name)
    script = script if isinstance(script, dict) else {}
    args = script.get("args")
    return {**scripts, name: {**script, "args": [*(args if isinstance(args, list) else []), unit]}}


def problems(prompts: Sequence[Prompt]) -> list[Problem]:
    """What a WebUI cannot make (errors: a missing image) or would silently leave out (warnings)."""
    found = [problem for prompt in prompts for problem in (*_wrong(prompt), *_odd(prompt))]
    unused = {prompt.placeholder: prompt.where for prompt in reversed(prompts) if prompt.placeholder}
    for prompt in prompts:  # a file may name it once for all its prompts
        if prompt.placeholder in prompt.text:
            unused.pop(prompt.placeholder, None)
    hint = "the LoRA's tag is appended to the prompt"
    text = "{!r} stands in no prompt"
    return found + [
        Problem("warning", where, "regex_to_replace", text.format(placeholder), hint)
        for placeholder, where in unused.items()
    ]


def _wrong(prompt: Prompt) -> Iterator[Problem]:
    found: list[Problem] = []

    def look(text: str) -> str:
        try:
            find(text, prompt.file, prompt.where)
        except UserError as error:
            found.append(error.problem)
        return text

    for name, value in prompt.fields.items():
        if name != "override_settings":
            replaced(name, value, look)
    yield from found
    model, image, module = (prompt.fields.get(name) for name in SHORTHANDS)
    if not image:
        if model or module:
            yield Problem("error", prompt.where, "controlnet_image", "is missing beside the other controlnet_ fields")
        return
    try:
        there = inline(image) or find(image, prompt.file, prompt.where) is not None
    except UserError as error:
        yield error.problem
    else:
        if not there:
            hint = "a relative path starts at the prompt file's folder"
            yield Problem("error", prompt.where, "controlnet_image", f"there is no image {image:.60}", hint)


def _odd(prompt: Prompt) -> Iterator[Problem]:
    def odd(name: str, message: str, hint: str = "") -> Problem:
        return Problem("warning", prompt.where, name, message, hint)

    fields = prompt.fields
    for name in fields:
        if name not in KNOWN and (near := difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.84)):
            yield odd(name, "is sent as it is, and a WebUI drops what it does not know", f"did you mean {near[0]}?")
    if lost := sorted((TRAINERS - {*UPSTREAM.values(), "enum", "subset"}) & fields.keys()):
        yield odd(lost[0], "is the trainer's own sampler's, and not sent to a WebUI")
    sampler = fields.get("sampler_name") or fields.get("sample_sampler")
    if sampler in SAMPLERS_ALONE and sampler not in SERVERS_SAMPLERS:
        yield odd("sampler_name", f"{sampler} is a sampler of the trainer; a WebUI has none of that name")
    if fields.get("controlnet_image") and not (fields.get("controlnet_model") or fields.get("controlnet_preprocessor")):
        yield odd("controlnet_image", "has no effect on a WebUI without controlnet_model")
    if fields.get("enable_hr") and fields.get("hr_prompt"):
        yield odd("hr_prompt", "is sent as it is, so the second pass may be without the LoRA", "leave it out")
