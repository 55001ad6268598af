"""Which network is trained and how strongly each of its blocks: lora_type, conv_*, lbw_weights, *_lr_weight.

Covers: the old names that become network_module and network_args. Not: the other old names (`legacy_keys`), what a
network module does with its arguments.
"""

from __future__ import annotations

import re

from ...config.values import number, text_of
from ...records import Setting
from ..script_options.argument import shown
from .legacy_keys import Options, Pair
from .value_types import as_list, built_in, is_on, number_texts, rank, text_in

ALGORITHMS = {
    **dict.fromkeys("lora locon loha lokr ia3 dylora full diag-oft boft glora".split()),
    "(ia)^3": "ia3",
    "native fine-tuning": "full",
}
"""LyCORIS' `algo`, also by the names that other programs give it."""

BLOCKS = {"": (12, 1, 12), "sdxl": (9, 3, 9)}
"""Down, mid and up blocks that networks.lora gives learning rates to, by family."""

DOWN, UP = (1, 2, 4, 5, 7, 8), tuple(range(3, 12))
"""The blocks of the 16 numbers of LoRA block weights: IN01 02 04 05 07 08, MID, OUT03 to OUT11."""

NAMED = re.compile(r"(cosine|sine|linear|reverse_linear|zeros)(\+[0-9.]+)?")


def network(o: Options, family: str, own_module: bool) -> None:
    """Fill in network_module and network_args. `own_module`: the family's networks are in networks.lora_<family>."""
    if "network_module" not in o.accepted:
        for key in ("lora_type", "conv_dim", "conv_alpha", "lbw_weights"):
            o.unused(key, "this script does not train a network")
        return
    claims = _module(o, f"networks.lora_{family}" if own_module else "networks.lora")
    o.add_pairs("network_args", claims + _block_weights(o, family))


def _module(o: Options, lora: str) -> list[Pair]:
    kind, own = o.old.get("lora_type"), o.own.get("network_module")
    module, algorithm, conv = lora, None, False
    if kind is None and own is not None:
        module, conv = text_in(own) or "", True
    elif kind is not None:
        parsed = _kind(kind.value, lora)
        if parsed is None:
            known = ", ".join(["LoRA", "LoCon", *(f"{name} Lycoris" for name in ALGORITHMS if name.isalnum())])
            o.say(kind, f"{shown(kind.value)} is not a kind of LoRA", f"allowed: {known}")
            return []
        module, algorithm, conv = parsed
        if own is not None and rank(own) >= rank(kind) and own.value != module:
            module, algorithm, conv = text_in(own) or "", None, True
    o.claim("network_module", module, kind or built_in("network_module", module))
    claims: list[Pair] = []
    if algorithm is not None and kind is not None:
        claims.append(("algo", algorithm, kind))
    lycoris = module.startswith("lycoris")
    named = {"conv_dim": "conv_dim", "conv_alpha": "conv_alpha"}
    extra = {"lycoris_preset": "preset", "train_network_norm": "train_norm"}
    for key, name in {**named, **extra}.items():
        setting = o.old.get(key)
        if setting is None:
            continue
        if not (conv if key in named else lycoris):
            if setting.value not in (False, 0):
                o.unused(key, f"lora_type {text_in(kind) or 'LoRA'} does not use it")
        elif key in named and number(setting.value) is None:
            o.say(setting, f"needs a number, not {shown(setting.value)}")
        elif isinstance(setting.value, (list, dict)):
            o.say(setting, "needs a text or a switch")
        else:
            on = key == "train_network_norm" and is_on(setting)
            claims.append((name, "True" if on else text_of(setting.value).strip(), setting))
    if kind is not None and str(kind.value).lower() == "locon" and "conv_dim" not in o.old:
        o.say(kind, "without conv_dim this is a plain LoRA", "give conv_dim", warn=True)
    return claims


def _kind(value: object, lora: str) -> tuple[str, str | None, bool] | None:
    """lora_type -> network module, LyCORIS' algorithm, whether it has convolution layers; None for an unknown one."""
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("lora", "locon"):
        return lora, None, word == "locon"
    match = re.fullmatch(r"(.+?)[ _-]*lycoris|lycoris[ /_-]*(.+)", word)
    name = (match[1] or match[2]).strip() if match else None
    if name is None or name not in ALGORITHMS:
        return None
    return "lycoris.kohya", ALGORITHMS[name] or name, True


def _block_weights(o: Options, family: str) -> list[Pair]:
    claims: list[Pair] = []
    if setting := o.old.get("lbw_weights"):
        claims += _from_lbw(o, setting, family)
    for position, key in enumerate(("down_lr_weight", "mid_lr_weight", "up_lr_weight")):
        if (setting := o.old.get(key)) is None:
            continue
        value = setting.value.strip() if isinstance(setting.value, str) else setting.value
        if position != 1 and isinstance(value, str) and NAMED.fullmatch(value):
            claims.append((key, value, setting))
            continue
        weights = number_texts(value)
        most = BLOCKS.get(family, BLOCKS[""])[position]
        if weights is None or len(weights) > most or (len(weights) == 1 and position != 1):
            few = "1 number" if most == 1 else f"{most} numbers"
            form = "" if position == 1 else ", or a form like sine+.5"
            o.say(setting, f"needs {few}{form}, not {shown(setting.value)}")
            continue
        claims.append((key, None if _all_one(weights) else ",".join(weights), setting))
    return claims


def _from_lbw(o: Options, setting: Setting, family: str) -> list[Pair]:
    weights = number_texts(setting.value)
    if weights is None or len(weights) not in (16, 17):
        count = "" if weights is None else f", not {len(weights)}"
        o.say(setting, f"needs 17 numbers (the text encoder's first) or 16{count}")
        return []
    if len(weights) == 17:
        _scale_text_encoder(o, setting, weights.pop(0))
    if _all_one(weights):
        return []
    if family:
        o.say(setting, f"names the blocks of SD 1.5; a {family} network has others", "take it out")
        return []
    down, up = ["1"] * 12, ["1"] * 12
    for block, weight in zip(DOWN, weights[:6], strict=True):
        down[block] = weight
    for block, weight in zip(UP, weights[7:], strict=True):
        up[block] = weight
    parts = {"down_lr_weight": down, "mid_lr_weight": weights[6:7], "up_lr_weight": up}
    return [(name, None if _all_one(part) else ",".join(part), setting) for name, part in parts.items()]


def _scale_text_encoder(o: Options, setting: Setting, weight: str) -> None:
    """The first of the 17 multiplies the text encoder's learning rate, wherever that comes from."""
    factor = number(weight)
    if factor is None or factor == 1:
        return
    rates = o.own.get("text_encoder_lr") or o.own.get("learning_rate") or o.own.get("unet_lr")
    default = o.accepted["learning_rate"].default if "learning_rate" in o.accepted else None
    value = rates.value if rates else default
    listed = [number(rate) for rate in as_list(value)]
    if not all(rate is not None for rate in listed):
        return  # the rate itself is reported by its type
    scaled = [float(f"{rate * factor:.12g}") for rate in listed if rate is not None]  # 3 * 0.1 is 0.3
    if "text_encoder_lr" in o.accepted:
        many = isinstance(value, (list, tuple))
        o.settings["text_encoder_lr"] = setting._replace(value=scaled if many else scaled[0])


def _all_one(weights: list[str]) -> bool:
    return all(number(weight) == 1 for weight in weights)
