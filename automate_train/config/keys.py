"""The vocabulary of the two config files: which keys are ours, which names mean the same, what is secret.

Covers: data only, read by everybody above. Old names that stand for one option of the trainer (`ALIASES`), the keys
that steer the sweep (`OURS`), dataset options (`DATASET`), what never changes the trained model (`NEUTRAL`).
Not: names that become several options or depend on others (`lora_type`, `lbw_weights`): `trainers/sd_scripts`.
"""

from __future__ import annotations

from typing import Any

ALIASES = {
    "model_file": "pretrained_model_name_or_path",
    "optimizer": "optimizer_type",
    "epoch_num": "max_train_epochs",
    "images_folder": "image_dir",
    "lr_warmup_ratio": "lr_warmup_steps",
    "CUDA_VISIBLE_DEVICES": "cuda_device",
    "PORT": "port",
}
"""Old name -> the name that options carry inside (`Setting.written` keeps what the user wrote)."""

OLD_SPELLINGS = frozenset({"CUDA_VISIBLE_DEVICES", "PORT"})
"""Accepted with a note: the name says something else elsewhere (an environment variable)."""

OURS: dict[str, str] = {
    "project_name_base": "text",
    "repo_dir": "text",
    "train_script": "text",
    "model_type": "text",
    "sdxl": "bool",
    "venv_path": "text",
    "cuda_device": "devices",
    "port": "int",
    "target_path": "text",
    "temp_dir": "text",
    "prompt_path": "text",
    "sample_opt": "epoch|step|None",
    "sample_num": "int",
    "use_external_webui": "bool",
    "webui_url": "text",
    "webui_urls": "texts",
    "webui_auth": "text",
    "webui_uploader_auth": "text",
    "webui_lora_dir": "text",
    "should_wait_webui_process": "bool",
    "log_with": "tensorboard|wandb|aim|all|None",
    "log_tracker_config": "text",
    "log_tracker_config_template": "text",
    "log_tracker_name": "text",
    "wandb_api_key": "text",
    "entity_name": "text",
    "process_title": "text",
    "trainer": "text",
    "command": "texts",
    "launcher": "accelerate|python",
    "hook": "bool",
    "on_failure": "stop|continue",
    "on_nan": "stop|ignore",
    "retries": "int",
}
"""Key -> type: text, texts (a list), int, bool, devices (`0`, `"1,2"`), or its choices. `""` and null mean: not set."""

SWEEP_ONLY = frozenset({"zip", "exclude"})
"""Not options of a run: they shape the sweep itself."""

WHOLE_SWEEP = frozenset({"project_name_base", "temp_dir", "on_failure", "retries"})
"""One value for the whole sweep: an axis over them (`temp_dir_list`) makes no sense and is refused."""

DATASET = frozenset(
    "image_dir num_repeats class_tokens keep_tokens keep_tokens_separator secondary_separator enable_wildcard "
    "caption_separator caption_prefix caption_suffix resolution caption_extension shuffle_caption flip_aug color_aug "
    "random_crop face_crop_aug_range mask_dir conditioning_data_dir enable_bucket min_bucket_reso max_bucket_reso "
    "bucket_reso_steps bucket_no_upscale token_warmup_min token_warmup_step caption_dropout_rate "
    "caption_dropout_every_n_epochs caption_tag_dropout_rate alpha_mask is_reg cache_info metadata_file "
    "custom_attributes resize_interpolation validation_split validation_seed".split()
)
"""Table 3: they go to the dataset TOML. `train_batch_size` stays the trainer's (the dataset's `batch_size` follows
it)."""

SECRETS = {"wandb_api_key": "WANDB_API_KEY", "huggingface_token": "HF_TOKEN"}
"""Key -> the environment variable that carries it to the child."""

WEBUI_SECRETS = {
    "webui_auth": "AUTOMATE_TRAIN_WEBUI_AUTH",
    "webui_uploader_auth": "AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH",
}
"""Key -> the environment variable that carries it to the sampler."""

MASKED = frozenset({*SECRETS, *WEBUI_SECRETS})
"""Values that are never shown nor written: `***` stands for them."""

NEUTRAL = frozenset(
    {
        *(OURS.keys() - {"repo_dir", "train_script", "model_type", "sdxl", "trainer", "command"}),
        "huggingface_token",
        "logging_dir",
        "log_prefix",
        "log_config",
        "log_tracker_name",
        "wandb_run_name",
        "output_dir",
        "output_name",
        "sample_prompts",
        "sample_every_n_epochs",
        "sample_every_n_steps",
        "sample_at_first",
        "sample_sampler",
        "max_data_loader_n_workers",
        "persistent_data_loader_workers",
        "console_log_level",
        "console_log_file",
        "console_log_simple",
        "training_comment",
        "save_state",
        "save_state_on_train_end",
    }
)
"""Options that do not change the resulting model: left out of `Run.key`, so changing them runs nothing again."""

BUILT_IN: dict[str, Any] = {
    "trainer": "sd-scripts",
    "launcher": "accelerate",
    "hook": True,
    "on_failure": "stop",
    "on_nan": "stop",
    "retries": 0,
    "port": 29500,
    "temp_dir": "automate-train-output",
    "save_every_n_epochs": 1,
    "save_model_as": "safetensors",
    "max_token_length": 225,
}
"""The lowest layer. The command trainer does not look at what it has no placeholder for."""


def canonical(key: str) -> str:
    """The inside name of a key as a user wrote it: `epoch_num` -> `max_train_epochs`; `_list` names keep their
    ending."""
    if key.endswith("_list") and key[:-5] in ALIASES:
        return ALIASES[key[:-5]] + "_list"
    return ALIASES.get(key, key)


def unset(value: object) -> bool:
    """True for what old files write to say `nothing`: null, empty text, and the text None."""
    return value is None or value == "" or value == "None"


def on(value: object) -> bool:
    """Whether a switch is on; old files write `"true"`."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")
