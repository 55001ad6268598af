"""A request for a picture -> what a WebUI is sent.

Covers: the LoRA's tag and its weight, images as base64, the ControlNet shorthand; the same without base64 for the JSON
file beside a picture; what is wrong or odd about prompts for a WebUI. Image files are read, nothing else is touched.
Not: reading prompt files (`config.prompts`), talking to a server (`server`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from ....config.prompt_fields import FIXED, KNOWN, SAMPLERS, SAMPLERS_ALONE, SHORTHANDS, TRAINERS, UPSTREAM
from ....config.prompt_images import encoded, find, inline, replaced
from ....config.prompts import Prompt
from ....errors import Problem, UserError
from ..protocol import SampleRequest

TAG = re.compile(r"<(lora|lyco):([^:>]+)((?::[^>]*)?)>")
SERVERS_SAMPLERS = {theirs: webui for webui, theirs in SAMPLERS.items()} | {
    name: webui for name, webui in SAMPLERS_ALONE.items() if webui
}


def payload(request: SampleRequest) -> dict[str, object]:
    """The body for txt2img and for the scheduler's queue, JSON-able. `UserError` when an image is missing."""
    prompt = request.prompt
    return _body(request, lambda text: encoded(text, prompt.file, prompt.where))


def parameters(request: SampleRequest) -> dict[str, object]:
    """The same body with images as the prompt file names them: for the JSON beside a picture. No file is read."""
    return _body(request, lambda text: f"({len(text)} characters)" if inline(text) else text)


def tagged(prompt: Prompt, lora: str, weight: float | None = None) -> tuple[str, str]:
    """The prompt and the negative prompt as they are sent, with our LoRA's tag.

    `regex_to_replace` becomes the name, literally. Where no tag has the name, ` <lora:NAME:1>` is appended. With a
    weight, the numbers of our tag (the text encoder's, the U-Net's) are replaced by it and the rest of the tag stays.
    """
    text, negative = prompt.text, prompt.negative
    if prompt.placeholder:
        text, negative = text.replace(prompt.placeholder, lora), negative.replace(prompt.placeholder, lora)
    if not any(tag[2] == lora for tag in TAG.finditer(text)):
        return f"{text}{' ' if text else ''}<lora:{lora}:{1.0 if weight is None else weight:g}>", negative
    if weight is not None:
        text = TAG.sub(lambda tag: _weighed(tag, f"{weight:g}") if tag[2] == lora else tag[0], text)
    return text, negative


def without_lora(text: str, lora: object) -> str:
    """`Prompt.words` out of what was sent with this LoRA: the first edition's JSON files do not have the words."""
    if not isinstance(lora, str) or not lora:
        return text.strip()
    return re.sub(rf"<(lora|lyco):{re.escape(lora)}(:[^>]*)?>", "", text).replace(lora, "").strip()


def wanted_model(prompt: Prompt) -> object:
    """The base model that the prompt names, as a WebUI understands it; None: it names none."""
    settings = prompt.fields.get("override_settings")
    named = settings.get("sd_model_checkpoint") if isinstance(settings, dict) else None
    return prompt.fields.get("checkpoint") or named


def _weighed(tag: re.Match[str], weight: str) -> str:
    """A tag is `<lora:NAME:TE:UNET:...>`, the numbers also as `te=` and `unet=`; one number holds for both."""
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


def _body(request: SampleRequest, image: Callable[[str], str]) -> dict[str, object]:
    prompt = request.prompt
    text, negative = tagged(prompt, request.lora.name, request.weight) if request.lora else prompt.words()
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
    return {"prompt": text, "negative_prompt": negative, "seed": request.seed, **sent, **only}


def _unit(fields: Mapping[str, object]) -> dict[str, object] | None:
    """The shorthand as a ControlNet unit; `image` is the name that old and new versions of the extension know."""
    model, image, module = (fields.get(name) for name in SHORTHANDS)
    if not image:
        return None
    return {"enabled": True, "module": module or "none", "model": model or "None", "image": image}


def _with_unit(scripts: Mapping[str, object], unit: dict[str, object]) -> dict[str, object]:
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
    text = "{!r} is in none of the prompts"
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
            yield Problem(
                "error", prompt.where, "controlnet_image", "is missing, and the other controlnet_ fields need it"
            )
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
        yield odd(lost[0], "is for the trainer's own sampler, and not sent to a WebUI")
    sampler = fields.get("sampler_name") or fields.get("sample_sampler")
    if sampler in SAMPLERS_ALONE and sampler not in SERVERS_SAMPLERS:
        yield odd("sampler_name", f"{sampler} is a sampler of the trainer; a WebUI has no sampler of that name")
    if fields.get("controlnet_image") and not (fields.get("controlnet_model") or fields.get("controlnet_preprocessor")):
        yield odd("controlnet_image", "has no effect on a WebUI without controlnet_model")
    if fields.get("enable_hr") and fields.get("hr_prompt"):
        yield odd("hr_prompt", "is sent as it is, so the second pass may be drawn without the LoRA", "leave it out")
