"""The proof that a picture was drawn with our LoRA, and by which base model: its infotext. Pure.

Covers: reading the LoRAs and the model out of an infotext; the verdict with its reason. An infotext holds the prompt,
which may hold anything, also text that looks like an infotext. It proves that the LoRA's file was read, not that it had
an effect: a picture that equals its baseline is the other half of the proof (`image_store`). Not: fetching pictures
(`scheduler`, `txt2img`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from ..protocol import BaseModel, Verdict

HASHES, NETWORKS = "Lora hashes", "LoRA networks"
"""Names with hashes, as A1111 and Forge write them; names alone, as SD.Next does."""


def verdict(infotext: str, lora_name: str | None, lora_hashes: Collection[str], base: BaseModel | None) -> Verdict:
    """`lora_name` None is a baseline without a LoRA; no `lora_hashes` accept any hash of that name. `base`: what should
    have drawn it, None for whatever the server has; a server that tells no model is believed."""
    drawn_by = base_model(infotext)
    if lora_name is not None and (why_not := _why_not(infotext, lora_name, lora_hashes)):
        return Verdict("base model only", why_not, HASHES in infotext or NETWORKS in infotext, drawn_by)
    if base is not None and drawn_by is not None and drawn_by.differs_from(base):
        reason = f"drawn by model '{drawn_by}' and not by '{base}': select that one on the server"
        return Verdict("wrong checkpoint", reason, base=drawn_by)
    return Verdict("done", base=drawn_by)


def _why_not(infotext: str, name: str, wanted: Collection[str]) -> str:
    """Why it does not prove that the LoRA was used; "" where it does."""
    if not infotext:
        return "the server gives no infotext, so nothing proves that the LoRA was used (enable it in its settings)"
    pairs = (each.rpartition(":") for each in _value(infotext, HASHES).split(","))
    digest = {shown.strip(): digest.strip().lower() for shown, _, digest in pairs}.get(name, "")
    if not digest and name not in (each.partition(":")[0].strip() for each in _value(infotext, NETWORKS).split(",")):
        return (
            f"the infotext does not show {name}: the server has drawn it without the LoRA "
            '(or its option "Add Lora hashes to infotext" is off)'
        )
    if digest and wanted and digest not in wanted:
        return f"another file named {name} was used: the hash in the infotext is not ours"
    return ""


def base_model(infotext: str) -> BaseModel | None:
    name, digest = _value(infotext, "Model"), _value(infotext, "Model hash")
    return BaseModel(name, digest.lower()) if name or digest else None


def named_model(text: object) -> BaseModel | None:
    """From `folder/name.safetensors [hash]`, as the WebUI's options and people write it; None for nothing."""
    if not isinstance(text, str) or not text:
        return None
    named = BaseModel.read(text.strip())
    name = re.sub(r"\.(safetensors|ckpt)$", "", re.split(r"[\\/]", named.name)[-1].strip(), flags=re.IGNORECASE)
    # A WebUI takes these two out of the name in an infotext.
    return BaseModel(re.sub(r"[,:]", "", name).strip(), named.hash.lower())


def shows_seed(infotext: str, seed: object) -> bool:
    return _value(infotext, "Seed") == str(seed)


def _value(infotext: str, key: str) -> str:
    """Of the settings in the infotext's last line that begins like them: the prompt above may hold anything."""
    settings = infotext[infotext.rfind("\nSteps: ") + 1 :]
    found = re.search(rf'(?:^|, ){re.escape(key)}: (?:"((?:[^"\\]|\\.)*)"|([^,\n]*))', settings)
    return (found[1] or found[2] or "").strip() if found else ""
