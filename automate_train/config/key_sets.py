"""Sets of keys and other names of keys, made from the table (`key_table`): which are ours, secret, the dataset's.

Covers: what follows from a column of the table. Not: a key's own row (`key_table`), values (`values`), names that
become several options or depend on others (`lora_type`): `trainers/sd_scripts`.
"""

from __future__ import annotations

from .key import Key
from .key_table import KEYS

BY_NAME: dict[str, Key] = {key.name: key for key in KEYS}
OLD_SPELLINGS = frozenset(key.old_spelling for key in KEYS if key.old_spelling)
"""Accepted with a note, because the name means something else elsewhere."""
ALIASES = {name: key.name for key in KEYS for name in (key.alias, key.old_spelling) if name}
"""Another name of a key -> the name that options carry inside (`Setting.written` keeps what the user wrote)."""

OURS = frozenset(key.name for key in KEYS if key.ours and key.scope != "expansion")
"""Options of a run that steer the sweep and never reach the trainer."""
SWEEP_ONLY = frozenset(key.name for key in KEYS if key.scope == "expansion")
"""Keys that no run has as an option: they shape the sweep itself, or mean something to editors alone."""
WHOLE_SWEEP = frozenset(key.name for key in KEYS if key.scope == "sweep")
"""One value for the whole sweep: an axis over them (`temp_dir_list`) makes no sense and is refused."""
TRANSLATED = frozenset(key.name for key in KEYS if key.reader == "options" and key.becomes)
"""Names that sd-scripts does not know. A fork that accepts one of them gets it as it is."""
DATASET = frozenset(key.name for key in KEYS if key.reader == "dataset") - {"custom_dataset"}
"""Options inside the dataset TOML. `train_batch_size` stays the trainer's (the dataset's `batch_size` follows it)."""

SECRETS = {key.name: key.environment for key in KEYS if key.secret and key.reader != "sampling"}
"""Key -> the environment variable that carries it to the trainer."""
WEBUI_SECRETS = {key.name: key.environment for key in KEYS if key.secret and key.reader == "sampling"}
"""Key -> the environment variable that carries it to the sampler."""
MASKED = frozenset({*SECRETS, *WEBUI_SECRETS})
"""Values that are never shown nor written: `***` stands for them."""

NEUTRAL = frozenset(key.name for key in KEYS if not key.changes_model) | frozenset(
    "logging_dir log_prefix log_config wandb_run_name output_dir output_name sample_prompts sample_every_n_epochs "
    "sample_every_n_steps sample_at_first sample_sampler max_data_loader_n_workers persistent_data_loader_workers "
    "console_log_level console_log_file console_log_simple training_comment save_state save_state_on_train_end".split()
)
"""Options, ours and the trainer's, that do not change the trained model. They are left out of `Run.key`, so that
changing them runs nothing again."""

BUILT_IN: dict[str, object] = {key.name: key.default for key in KEYS if key.default is not None}
"""The lowest layer. The command trainer does not look at what it has no placeholder for."""


def canonical(key: str) -> str:
    """The inside name of a key as a user wrote it: `epoch_num` -> `max_train_epochs`; `_list` names keep their
    ending."""
    if key.endswith("_list") and key[:-5] in ALIASES:
        return ALIASES[key[:-5]] + "_list"
    return ALIASES.get(key, key)
