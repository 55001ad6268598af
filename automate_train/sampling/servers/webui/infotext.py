"""What the infotext of a picture proves: was our LoRA used, by the wanted base model? Pure.

Covers: reading `Lora hashes` and `Model` out of it; the verdict with its reason. An infotext holds the prompt, which
may hold anything, also text that looks like an infotext. A hash in it proves that the file was read, not that it had an
effect: to see that, compare the picture with its baseline. Not: fetching pictures (`scheduler`, `server`).
"""

from __future__ import annotations

import re

from ..protocol import Verdict


def verdict(infotext: str, lora_name: str | None, lora_hash12: str, wanted_model: str | None) -> Verdict:
    """`lora_name` None is a baseline without a LoRA; an empty `lora_hash12` accepts any hash of that name.
    `wanted_model` may be a name, a file name with folders and extension, `name [hash]`, or None for whatever the server
    has; a server that tells no model is believed."""
    hashes = _lora_hashes(infotext)
    if lora_name is not None:
        found = hashes.get(lora_name, "")
        if not found or (lora_hash12 and found.lower() != lora_hash12.lower()):
            return Verdict("base model only", _why_not(infotext, lora_name, bool(found)), "Lora hashes" in infotext)
    if wanted_model and not _same_model(infotext, wanted_model):
        drawn_by = _value(infotext, "Model") or "unknown"
        return Verdict("wrong checkpoint", f"drawn by model {drawn_by!r} and not by {wanted_model!r}")
    return Verdict("done")


def _why_not(infotext: str, lora_name: str, other_file: bool) -> str:
    if not infotext:
        return "the server gives no infotext, so nothing proves that the LoRA was used (enable it in its settings)"
    if other_file:
        return f"another file named {lora_name} was used: the hash in the infotext is not ours"
    return (
        f"the infotext does not show {lora_name}: the server has drawn it without the LoRA "
        '(or its option "Add Lora hashes to infotext" is off)'
    )


def _settings(infotext: str) -> str:
    """The part that the WebUI wrote: a prompt may hold anything, also a line that looks like it."""
    return infotext[infotext.rfind("\nSteps: ") + 1 :]


def _value(infotext: str, key: str) -> str:
    found = re.search(rf'(?:^|, ){re.escape(key)}: (?:"((?:[^"\\]|\\.)*)"|([^,\n]*))', _settings(infotext))
    return (found[1] or found[2] or "").strip() if found else ""


def _lora_hashes(infotext: str) -> dict[str, str]:
    pairs = (each.rpartition(":") for each in _value(infotext, "Lora hashes").split(","))
    return {name.strip(): digest.strip() for name, _, digest in pairs if name}


def _same_model(infotext: str, wanted: str) -> bool:
    name, digest = _value(infotext, "Model"), _value(infotext, "Model hash").lower()
    marked = re.search(r"\s*\[([0-9a-fA-F]{6,64})\]$", wanted)
    if marked and digest:
        return digest.startswith(marked[1].lower()) or marked[1].lower().startswith(digest)
    if not name:
        return True
    plain = re.sub(r"\s*\[[0-9a-fA-F]{6,64}\]$", "", wanted)
    plain = re.sub(r"\.(safetensors|ckpt)$", "", re.split(r"[\\/]", plain)[-1], flags=re.IGNORECASE)
    return _bare(name) == _bare(plain)


def _bare(name: str) -> str:
    return re.sub(r"[,:]", "", name).strip().lower()  # the WebUI takes these out of the name in an infotext
