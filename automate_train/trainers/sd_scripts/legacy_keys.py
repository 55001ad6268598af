"""Old names become options of the trainer.

Covers: optimizer, learning rates, schedule, min-SNR, precision, masks, samples. When an old name and the trainer's own
name both set one option, the later layer wins, and in the same layer the trainer's own name.
Not: the network and its blocks (`network`), names that mean exactly one other (`keys.ALIASES`), types (`resolve`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from ...config.sampling_options import sample_rule
from ...config.values import number, text_of
from ...errors import Problem
from ...records import Setting
from ..script_options.argument import Argument, shown
from .dataset import Document, batch_sizes, images_per_epoch
from .value_types import as_list, built_in, is_on, number_texts, pairs, path_in, problem, rank, text_in

PRECISIONS = {
    "fp16": ("fp16", "fp16"),
    "bf16": ("bf16", "bf16"),
    "fp32": ("no", "float"),
    "float": ("no", "float"),
    "no": ("no", "float"),
}
"""precision_type -> mixed_precision, save_precision."""


Pair = tuple[str, str | None, Setting]
"""Key and value of an entry in a list option like network_args, and where they come from. None: without the entry."""


@dataclass
class Options:
    """The trainer's options while they are collected."""

    own: Mapping[str, Setting]
    """What the user gave by the trainer's own names."""
    old: Mapping[str, Setting]
    """What the user gave by names of `keys.TRANSLATED` that the script does not accept."""
    ours: Mapping[str, Setting]
    accepted: Mapping[str, Argument]
    settings: dict[str, Setting] = field(default_factory=dict)
    found: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings.update(self.own)

    def claim(self, name: str, value: object, source: Setting, *, needed: bool = True) -> None:
        """Give the option `name` a value because of `source`, unless the user sets it by its own name in the same layer
        or a later one."""
        own = self.own.get(name)
        if own is not None and rank(own) >= rank(source):
            return
        if name in self.accepted:
            self.settings[name] = source._replace(value=value)
        elif needed:
            self.say(source, f"means {name}, which this trainer does not accept", "take it out")

    def add_pairs(self, name: str, claims: Iterable[Pair]) -> None:
        """Put `key=value` texts into a list option."""
        entries: dict[str, tuple[int, str | None]] = {}
        sources = []
        for key, text, source in claims:
            sources.append(source)
            if key not in entries or rank(source) >= entries[key][0]:
                entries[key] = (rank(source), None if text is None else f"{key}={text}")
        if not sources:
            return
        if own := self.own.get(name):
            listed = pairs(own.value)
            if not isinstance(listed, (list, tuple)) or not all(isinstance(pair, str) for pair in listed):
                return  # not a list of texts: reported by its type
            for pair in listed:
                key = pair.partition("=")[0]
                if key not in entries or rank(own) >= entries[key][0]:
                    entries[key] = (rank(own), pair)
        texts = [text for _, text in entries.values() if text is not None]
        if texts and name in self.accepted:
            self.settings[name] = (own or max(sources, key=rank))._replace(value=texts)
        elif texts:
            self.say(sources[0], f"means {name}, which this trainer does not accept", "take it out")

    def say(self, setting: Setting | None, message: str, hint: str = "", *, warn: bool = False) -> None:
        self.found.append(problem(setting, message, hint, "warning" if warn else "error"))

    def unused(self, key: str, why: str) -> None:
        if setting := self.old.get(key):
            self.say(setting, f"has no effect: {why}", "take it out", warn=True)


def optimizer(o: Options) -> None:
    """adamw_* become optimizer_args of the AdamW family; no other optimizer knows them."""
    chosen = text_in(o.settings.get("optimizer_type")) or (
        "Lion" if is_on(o.own.get("use_lion_optimizer")) else "AdamW"
    )
    claims: list[Pair] = []
    for key in ("adamw_betas", "adamw_eps", "adamw_weight_decay"):
        if (setting := o.old.get(key)) is None:
            continue
        if "adamw" not in chosen.lower():
            o.unused(key, f"{chosen} is not of the AdamW family")
            continue
        count, needed = (2, "two numbers like 0.9,0.999") if key == "adamw_betas" else (1, "a number")
        numbers = number_texts(setting.value)
        if numbers is None or len(numbers) != count:
            o.say(setting, f"needs {needed}, not {shown(setting.value)}")
        else:
            claims.append((key.removeprefix("adamw_"), ",".join(numbers), setting))
    o.add_pairs("optimizer_args", claims)


def learning_rates(o: Options) -> None:
    """unet_lr is also the learning_rate where none is given; a text encoder without a rate is not trained."""
    unet, text = o.own.get("unet_lr"), o.settings.get("text_encoder_lr")
    if unet is not None and "learning_rate" not in o.own:
        o.claim("learning_rate", unet.value, unet, needed=False)
    if text is not None:
        rates = as_list(text.value)
        if rates and all(number(rate) == 0 for rate in rates):
            o.claim("network_train_unet_only", True, text, needed=False)


def schedule(o: Options) -> None:
    scheduler = text_in(o.settings.get("lr_scheduler")) or "constant"
    meaning = {"cosine_with_restarts": "lr_scheduler_num_cycles", "polynomial": "lr_scheduler_power"}
    if setting := o.old.get("lr_scheduler_number"):
        if target := meaning.get(scheduler.lower()):
            o.claim(target, setting.value, setting)
        else:
            o.unused("lr_scheduler_number", f"lr_scheduler is {scheduler}")


def warmup(o: Options, document: Document, held_out: Set[str]) -> None:
    """A share of the steps stays a share where the script reads shares; else the steps are counted here."""
    setting = o.settings.get("lr_warmup_steps")
    share = number(setting.value) if setting is not None else None
    if setting is None or share is None:
        return
    is_ratio = setting.written.removesuffix("_list") == "lr_warmup_ratio"
    if is_ratio and not 0 <= share < 1:
        o.say(setting, f"is a share of all steps, 0 or more and below 1, not {text_of(setting.value)}")
    elif "lr_warmup_steps" in o.accepted and o.accepted["lr_warmup_steps"].type == "int" and 0 < share < 1:
        steps = total_steps(o.settings, document, held_out)
        if steps is None:
            o.say(setting, "this trainer needs warm-up steps, and they cannot be counted", "give lr_warmup_steps")
        else:
            o.settings["lr_warmup_steps"] = setting._replace(value=round(share * steps))
    name = (text_in(o.settings.get("lr_scheduler")) or "constant").lower()
    if share and name == "constant" and "lr_scheduler_type" not in o.settings:
        o.say(setting, "lr_scheduler constant refuses a warm-up", "set lr_scheduler to constant_with_warmup")


def total_steps(settings: Mapping[str, Setting], document: Document, held_out: Set[str]) -> int | None:
    """Optimizer steps of a run; with buckets sd-scripts may make a few more batches, some of them smaller."""

    def whole(key: str, default: int) -> int:
        value = number(settings[key].value) if key in settings else default
        return max(1, int(value or default))

    if "max_train_epochs" not in settings:
        return whole("max_train_steps", 1600)
    count = images_per_epoch(document, held_out)
    if not count:
        return None
    sizes = batch_sizes(document)
    batches = math.ceil(count / max(1, sizes[-1] if sizes else whole("train_batch_size", 1)))
    return math.ceil(batches / whole("gradient_accumulation_steps", 1)) * whole("max_train_epochs", 1)


def min_snr(o: Options) -> None:
    """true or false with a min_snr_gamma_value, as old files have it; a number is the trainer's own option."""
    gamma, value = o.own.get("min_snr_gamma"), o.old.get("min_snr_gamma_value")
    if gamma is not None and (isinstance(gamma.value, bool) or str(gamma.value).lower() in ("true", "false")):
        o.settings.pop("min_snr_gamma")
        if is_on(gamma):
            default = built_in("min_snr_gamma_value", 5)  # what upstream's documentation recommends
            o.settings["min_snr_gamma"] = gamma._replace(value=(value or default).value)
            return
    elif gamma is not None:
        o.unused("min_snr_gamma_value", "min_snr_gamma is a number itself")
        return
    o.unused("min_snr_gamma_value", "min_snr_gamma is not on")


def precision(o: Options) -> None:
    if setting := o.old.get("precision_type"):
        names = PRECISIONS.get(str(setting.value).lower()) if isinstance(setting.value, str) else None
        if names is None:
            o.say(setting, f"{shown(setting.value)} is not a precision", f"allowed: {', '.join(PRECISIONS)}")
        else:
            o.claim("mixed_precision", names[0], setting)
            o.claim("save_precision", names[1], setting, needed=False)


def masks(o: Options) -> str:
    """What becomes of a subset's mask_dir: "own" (the script knows mask_loss), "upstream" (conditioning_data_dir) or
    "off"."""
    if "mask_loss" in o.accepted:
        return "own"
    loss, threshold = o.old.get("mask_loss"), o.old.get("mask_threshold")
    if is_on(loss) and loss is not None:
        o.claim("masked_loss", True, loss)
    on = is_on(o.settings.get("masked_loss"))
    if threshold is not None and on and number(threshold.value) not in (0, 1):
        o.say(threshold, "this trainer's masked loss has no threshold", "set it to 0, or take it out")
    elif threshold is not None:
        o.say(threshold, "is dropped: this trainer's masked loss has no threshold", warn=True)
    return "upstream" if on else "off"


def samples(o: Options, options: Mapping[str, Setting]) -> None:
    """Samples that the trainer draws itself. `options` has sample_opt also where it is None: then there are none."""
    if is_on(o.ours.get("use_external_webui")):
        return
    prompts, every = o.ours.get("prompt_path"), options.get("sample_opt")
    if (path := path_in(prompts)) is not None and prompts is not None:
        o.claim("sample_prompts", path, prompts, needed=False)
    rule = sample_rule({key: setting.value for key, setting in options.items()})
    if "sample_prompts" not in o.settings or rule is None:
        return
    names = {"epoch": "sample_every_n_epochs", "step": "sample_every_n_steps"}
    if rule.unit and not (every is None and any(name in o.own for name in names.values())):
        source = o.ours.get("sample_num") or every or o.settings["sample_prompts"]
        o.claim(names[rule.unit], rule.every, source, needed=False)
