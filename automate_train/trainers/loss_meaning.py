"""Which keys change what a trainer's loss means, so that the losses of two runs cannot be compared.

Covers: the options of sd-scripts (and of tiny, which has the same) that are part of the loss, of the noise or of the
timesteps, or that decide which pictures, which captions and which base model the loss is taken of. They are part of
sd-scripts' validation loss, too. The program of the command trainer is judged by the same names; what its other keys do
is not known here. Not: what makes a better LoRA: a loss that can be compared does not say that either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..config.key_sets import DATASET, canonical

LOSS = """
loss_type huber_schedule huber_c huber_scale min_snr_gamma min_snr_gamma_value debiased_estimation_loss
scale_v_pred_loss_like_noise_pred v_pred_like_loss masked_loss mask_loss mask_threshold prior_loss_weight
weighting_scheme logit_mean logit_std mode_scale model_prediction_type network_dropout
"""
NOISE = """
noise_offset noise_offset_random_strength adaptive_noise_scale multires_noise_iterations multires_noise_discount
ip_noise_gamma ip_noise_gamma_random_strength
"""
TIMESTEPS = """
min_timestep max_timestep timestep_sampling sigmoid_scale discrete_flow_shift training_shift zero_terminal_snr
"""
MODEL = """
pretrained_model_name_or_path vae model_type sdxl train_script trainer repo_dir v2 v_parameterization clip_skip
max_token_length t5xxl_max_token_length clip_l clip_g t5xxl ae gemma2 qwen3 text_encoder guidance_scale
base_weights base_weights_multiplier
"""
DATA = "custom_dataset dataset_config train_data_dir in_json train_batch_size"
"""`train_batch_size`, too: the last batch of an epoch or bucket is smaller, and weighs as much as the others."""
CHANGES_LOSS = frozenset(" ".join((LOSS, NOISE, TIMESTEPS, MODEL, DATA)).split()) | (DATASET - {"cache_info"})


def loss_keys(settings: Iterable[Mapping[str, str]]) -> list[str]:
    """The keys, as the user wrote them, that differ between these runs and change what the loss means. `settings`: of
    each run, key -> its value's text."""
    values: dict[str, set[str]] = {}
    for setting in settings:
        for key, text in setting.items():
            if canonical(key) in CHANGES_LOSS:
                values.setdefault(key, set()).add(text)
    return [key for key, texts in values.items() if len(texts) > 1]


def loss_note(settings: Iterable[Mapping[str, str]]) -> str:
    """One sentence that says why the losses of these runs cannot be compared; empty where no key speaks against it."""
    keys = loss_keys(settings)
    if not keys:
        return ""
    *others, last = keys
    named = f"{', '.join(others)} and {last} change" if others else f"{last} changes"
    return f"the training losses of these runs cannot be compared: {named} what they mean"
