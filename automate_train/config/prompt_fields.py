"""The fields of a prompt: which are known, what they may hold, how sd-scripts and the WebUI call the same thing.

Covers: the tables; values brought to JSON and to their field's type, or a `ValueError` that continues `FIELD ...`.
Unknown fields pass: a WebUI has more of them with each version and extension. Not: files (`prompts`), what is sent
(`sampling.servers`).
"""

from __future__ import annotations

import math
from typing import Any

from .jsonc import DEPTH
from .values import bad_letter, number, whole

LETTERS = {
    "n": "negative_prompt", "w": "width", "h": "height", "d": "seed", "s": "steps", "l": "cfg_scale",
    "g": "guidance_scale", "ss": "sampler_name", "cn": "controlnet_image", "ctr": "cfg_trunc_ratio",
    "rcfg": "renorm_cfg", "fs": "flow_shift",
}  # fmt: skip
"""Option of a text prompt, which sd-scripts reads in any case -> field, by the WebUI's name where it has one."""

UPSTREAM = {"steps": "sample_steps", "cfg_scale": "scale", "sampler_name": "sample_sampler"}
"""The WebUI's name -> sd-scripts'. A prompt may have both: then each sampler uses its own."""

SAMPLERS = {
    "DDIM": "ddim", "PLMS": "pndm", "LMS": "lms", "Euler": "euler", "Euler a": "euler_a", "Heun": "heun",
    "DPM2": "dpm_2", "DPM2 a": "dpm_2_a", "DPM++ 2M": "dpmsolver++",
}  # fmt: skip
"""The WebUI's sampler -> sd-scripts'."""
SAMPLERS_ALONE = {
    "k_lms": "LMS", "k_euler": "Euler", "k_euler_a": "Euler a", "k_dpm_2": "DPM2", "k_dpm_2_a": "DPM2 a",
    "dpmsolver": None, "dpmsingle": None,
}  # fmt: skip
"""Other names that sd-scripts knows -> the WebUI's, where it has such a sampler."""

TRAINERS = frozenset(
    {*UPSTREAM.values(), "guidance_scale", "cfg_trunc_ratio", "renorm_cfg", "flow_shift", "enum", "subset"}
)
"""Fields that only sd-scripts' own sampler knows."""
SHORTHANDS = ("controlnet_model", "controlnet_image", "controlnet_preprocessor")
OURS = ("regex_to_replace", "lora_weights", "baseline", *SHORTHANDS)

FIXED = {"batch_size": 1, "n_iter": 1, "send_images": True, "disable_extra_networks": False}
"""Anything else would give a grid, no picture, or one without the LoRA."""

SIDE, SEED, ANY = (1, 16384), (-1, 2**63 - 1), (-1e9, 1e9)
WHOLE: dict[str, tuple[int, int]] = {
    "width": SIDE, "height": SIDE, "seed": SEED, "subseed": SEED, "steps": (1, 10_000), "sample_steps": (1, 10_000),
    "hr_second_pass_steps": (0, 10_000), "batch_size": (1, 2**31), "n_iter": (1, 2**31),
    **dict.fromkeys("hr_resize_x hr_resize_y seed_resize_from_w seed_resize_from_h".split(), (-1, 16384)),
    **dict.fromkeys("firstphase_width firstphase_height".split(), (0, 16384)),
}  # fmt: skip
REAL: dict[str, tuple[float, float]] = {
    **dict.fromkeys("cfg_scale scale guidance_scale distilled_cfg_scale".split(), (0, 1000)),
    **dict.fromkeys("hr_scale hr_cfg hr_distilled_cfg".split(), (0, 1000)),
    **dict.fromkeys("denoising_strength subseed_strength refiner_switch_at".split(), (0, 1)),
    **dict.fromkeys("cfg_trunc_ratio renorm_cfg flow_shift eta".split(), ANY),
    **dict.fromkeys("s_churn s_tmin s_tmax s_noise s_min_uncond".split(), ANY),
}  # fmt: skip
TEXT = frozenset(
    "prompt negative_prompt sampler_name sample_sampler sampler_index scheduler script_name checkpoint vae "
    "hr_upscaler hr_checkpoint_name hr_sampler_name hr_scheduler hr_prompt hr_negative_prompt refiner_checkpoint "
    "regex_to_replace controlnet_model controlnet_image controlnet_preprocessor".split()
)
SWITCH = frozenset(
    "enable_hr restore_faces tiling do_not_save_samples do_not_save_grid save_images send_images baseline "
    "disable_extra_networks override_settings_restore_afterwards".split()
)
OBJECT = frozenset({"alwayson_scripts", "override_settings"})
LIST = frozenset({"styles", "script_args", "lora_weights"})
KNOWN = frozenset({*WHOLE, *REAL, *TEXT, *SWITCH, *OBJECT, *LIST, *OURS, *TRAINERS})


def json_value(value: object, depth: int = 0) -> object:
    """A copy with JSON's types only; `ValueError` for anything else: dates, NaN, half of a surrogate pair."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError("holds a number that is too large")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"holds {float(value)}, which cannot be sent")
        return float(value)
    if isinstance(value, str):
        if message := bad_letter(value):
            raise ValueError(message)
        return str(value)
    if depth >= DEPTH:
        raise ValueError(f"is nested deeper than {DEPTH} levels")
    if isinstance(value, (list, tuple)):
        return [json_value(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {json_value(str(name)): json_value(each, depth + 1) for name, each in value.items()}
    raise ValueError(f"holds a {type(value).__name__}, which JSON does not have")


def checked(name: str, value: object) -> Any:
    """The value with its field's type: numbers and switches may be written as text. None counts as not given."""
    kind = (
        "a whole number" if name in WHOLE else "a number" if name in REAL else "a text" if name in TEXT
        else "true or false" if name in SWITCH else "an object" if name in OBJECT else "a list" if name in LIST else ""
    )  # fmt: skip
    if value is None or not kind:
        return value
    found: object = None
    if name in WHOLE or name in REAL:
        if value in ("", "None"):  # how old files write `not given`
            return None
        found = whole(value) if name in WHOLE else number(value)
        low, high = WHOLE.get(name) or REAL[name]
        if found is not None and not low <= found <= high:
            raise ValueError(f"must be {kind} from {low:g} to {high:g}, not {found}")
    elif name in SWITCH:
        found = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
        found = found if isinstance(found, bool) else None
    elif isinstance(value, str if name in TEXT else dict if name in OBJECT else list):
        found = value
    if found is None:
        raise ValueError(f"must be {kind}, not {value!r:.60}")
    return found
