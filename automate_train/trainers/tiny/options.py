"""The options of sd-scripts' train_network.py, all of them, so that one config serves both trainers.

Covers: names, types, defaults and choices as there. The first four functions hold what the tiny trainer obeys, with
help; the last three what it accepts and leaves alone, so that a real config can be tried on a laptop. Each option is
one literal `add_argument` call: automate-train reads them from this source and never runs it.
Not: what the options do (`train_network`, `pictures`, `model`).
"""

from __future__ import annotations

import argparse
from pathlib import Path


def int_or_float(text: str) -> int | float:
    """`100` steps or `0.1` of them."""
    return float(text) if "." in text or "e" in text.lower() else int(text)


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Pictures and captions."""
    parser.add_argument("--train_data_dir", type=str, help="folder of `<repeats>_<class>` folders")
    parser.add_argument("--dataset_config", type=Path, help="dataset TOML: general, datasets, subsets")
    parser.add_argument("--resolution", type=str, help="`size` or `width,height`, brought to 32..64")
    parser.add_argument("--caption_extension", type=str, default=".caption", help="of the caption files")
    parser.add_argument("--caption_separator", type=str, default=",", help="between tags")
    parser.add_argument("--shuffle_caption", action="store_true", help="shuffle the caption's tags each time")
    parser.add_argument("--keep_tokens", type=int, default=0, help="leading tags that are not shuffled")
    parser.add_argument("--caption_dropout_rate", type=float, default=0.0, help="share of empty captions")
    parser.add_argument("--flip_aug", action="store_true", help="mirror pictures at random")
    parser.add_argument("--cache_latents", action="store_true", help="read all pictures before training")
    parser.add_argument("--cache_latents_to_disk", action="store_true", help="keep them as .npz beside the pictures")
    parser.add_argument("--train_batch_size", type=int, default=1, help="pictures a step")
    parser.add_argument("--max_data_loader_n_workers", type=int, default=8, help="loader processes")
    parser.add_argument("--persistent_data_loader_workers", action="store_true", help="keep them between epochs")


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """What is trained."""
    parser.add_argument(
        "--pretrained_model_name_or_path", type=str, help="accepted; the base model is always the built-in one"
    )
    parser.add_argument("--v_parameterization", action="store_true", help="predict v instead of the noise")
    parser.add_argument("--clip_skip", type=int, help="2 leaves out the text encoder's last layer")
    parser.add_argument("--network_module", type=str, help="networks.lora")
    parser.add_argument("--network_dim", type=int, help="rank (4)")
    parser.add_argument("--network_alpha", type=float, default=1, help="scale is alpha / dim")
    parser.add_argument("--network_dropout", type=float, help="share of LoRA outputs dropped")
    parser.add_argument("--network_args", type=str, nargs="*", help="key=value ...; kept as metadata only")
    parser.add_argument("--network_weights", type=str, help="LoRA to go on from")
    parser.add_argument("--network_train_unet_only", action="store_true", help="no LoRA in the text encoder")
    parser.add_argument("--network_train_text_encoder_only", action="store_true", help="no LoRA in the denoiser")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """How it is trained."""
    parser.add_argument(
        "--config_file", type=str, help="TOML with any of these options; sections are flattened, the command line wins"
    )
    parser.add_argument("--seed", type=int, help="of everything random")
    parser.add_argument("--max_train_steps", type=int, default=1600, help="steps")
    parser.add_argument("--max_train_epochs", type=int, help="epochs; wins over max_train_steps")
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1, help="batches an optimizer step")
    parser.add_argument(
        "--mixed_precision", type=str, default="no", choices=["no", "fp16", "bf16"], help="compute precision"
    )
    parser.add_argument("--learning_rate", type=float, default=2e-06, help="where no other is given")
    parser.add_argument("--unet_lr", type=float, help="the denoiser's learning rate")
    parser.add_argument("--text_encoder_lr", type=float, nargs="*", help="the text encoder's learning rate")
    parser.add_argument(
        "--optimizer_type",
        type=str,
        default="",
        help="AdamW (default), AdamW8bit (AdamW here), SGDNesterov or a class of torch.optim",
    )
    parser.add_argument("--optimizer_args", type=str, nargs="*", help="key=value ...")
    parser.add_argument("--max_grad_norm", type=float, default=1.0, help="gradient's longest norm; 0: any")
    parser.add_argument(
        "--lr_scheduler",
        type=str,
        default="constant",
        help="constant, constant_with_warmup, linear, cosine, cosine_with_restarts, polynomial",
    )
    parser.add_argument("--lr_warmup_steps", type=int_or_float, default=0, help="steps, or a share of them below 1")
    parser.add_argument("--lr_scheduler_num_cycles", type=int, default=1, help="of cosine_with_restarts")
    parser.add_argument("--lr_scheduler_power", type=float, default=1, help="of polynomial")
    parser.add_argument("--noise_offset", type=float, help="shift of the noise's mean")
    parser.add_argument("--zero_terminal_snr", action="store_true", help="noise schedule ends in pure noise")
    parser.add_argument("--min_timestep", type=int, help="smallest noise level")
    parser.add_argument("--max_timestep", type=int, help="largest noise level")
    parser.add_argument(
        "--loss_type", type=str, default="l2", choices=["l1", "l2", "huber", "smooth_l1"], help="of the noise's error"
    )
    parser.add_argument("--huber_c", type=float, default=0.1, help="where huber and smooth_l1 turn straight")
    parser.add_argument("--min_snr_gamma", type=float, help="weight of the loss by signal to noise")
    parser.add_argument("--debiased_estimation_loss", action="store_true", help="weight of the loss by noise level")
    parser.add_argument("--resume", type=str, help="folder of a saved state")
    parser.add_argument(
        "--skip_until_initial_step", action="store_true", help="go on at the step of --resume or --initial_step"
    )
    parser.add_argument("--initial_epoch", type=int, help="epoch to start with, from 1")
    parser.add_argument("--initial_step", type=int, help="step to start after")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Checkpoints, samples, trackers."""
    parser.add_argument("--output_dir", type=str, help="where checkpoints and samples go")
    parser.add_argument("--output_name", type=str, help="checkpoints' name")
    parser.add_argument(
        "--save_model_as",
        type=str,
        default="safetensors",
        choices=[None, "ckpt", "pt", "safetensors"],
        help="file format",
    )
    parser.add_argument(
        "--save_precision", type=str, choices=[None, "float", "fp16", "bf16"], help="of the checkpoint's tensors"
    )
    parser.add_argument("--save_every_n_epochs", type=int, help="also save each N epochs")
    parser.add_argument("--save_every_n_steps", type=int, help="also save each N steps")
    parser.add_argument("--save_last_n_epochs", type=int, help="remove older epoch checkpoints")
    parser.add_argument("--save_last_n_steps", type=int, help="remove older step checkpoints")
    parser.add_argument("--save_state", action="store_true", help="save the optimizer's state with each checkpoint")
    parser.add_argument("--save_state_on_train_end", action="store_true", help="save the state at the end")
    parser.add_argument("--no_metadata", action="store_true", help="save checkpoints with the least metadata")
    parser.add_argument("--training_comment", type=str, help="kept in every checkpoint")
    parser.add_argument("--sample_prompts", type=str, help="file of prompts: .txt, .json or .toml")
    parser.add_argument("--sample_at_first", action="store_true", help="sample before the first step")
    parser.add_argument("--sample_every_n_epochs", type=int, help="sample each N epochs")
    parser.add_argument("--sample_every_n_steps", type=int, help="sample each N steps")
    parser.add_argument("--logging_dir", type=str, help="trackers' home")
    parser.add_argument("--log_with", type=str, choices=["tensorboard", "wandb", "all"], help="tracker")
    parser.add_argument("--log_prefix", type=str, help="of the folder inside logging_dir")
    parser.add_argument("--log_tracker_name", type=str, help="trackers' project")
    parser.add_argument("--log_tracker_config", type=str, help="TOML with the trackers' own options")
    parser.add_argument("--log_config", action="store_true", help="store the options in the trackers")
    parser.add_argument("--wandb_run_name", type=str, help="run's name in W&B")
    parser.add_argument("--wandb_api_key", type=str, help="better given in the environment")


def add_arguments_for_machines(parser: argparse.ArgumentParser) -> None:
    """Without effect here: hardware, hub, logs, the model card."""
    parser.add_argument("--console_log_level", type=str, choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
    parser.add_argument("--console_log_file", type=str)
    parser.add_argument("--console_log_simple", action="store_true")
    parser.add_argument("--metadata_title", type=str)
    parser.add_argument("--metadata_author", type=str)
    parser.add_argument("--metadata_description", type=str)
    parser.add_argument("--metadata_license", type=str)
    parser.add_argument("--metadata_tags", type=str)
    parser.add_argument("--metadata_usage_hint", type=str)
    parser.add_argument("--metadata_thumbnail", type=str)
    parser.add_argument("--metadata_merged_from", type=str)
    parser.add_argument("--metadata_trigger_phrase", type=str)
    parser.add_argument("--metadata_preprocessor", type=str)
    parser.add_argument("--metadata_is_negative_embedding", type=str)
    parser.add_argument("--huggingface_repo_id", type=str)
    parser.add_argument("--huggingface_repo_type", type=str)
    parser.add_argument("--huggingface_path_in_repo", type=str)
    parser.add_argument("--huggingface_token", type=str)
    parser.add_argument("--huggingface_repo_visibility", type=str)
    parser.add_argument("--save_state_to_huggingface", action="store_true")
    parser.add_argument("--resume_from_huggingface", action="store_true")
    parser.add_argument("--async_upload", action="store_true")
    parser.add_argument("--save_n_epoch_ratio", type=int)
    parser.add_argument("--save_last_n_epochs_state", type=int)
    parser.add_argument("--save_last_n_steps_state", type=int)
    parser.add_argument("--mem_eff_attn", action="store_true")
    parser.add_argument("--torch_compile", action="store_true")
    # fmt: off
    parser.add_argument("--dynamo_backend", type=str, default="inductor", choices=[
        "eager", "aot_eager", "inductor", "aot_ts_nvfuser", "nvprims_nvfuser", "cudagraphs",
        "ofi", "fx2trt", "onnxrt", "tensort", "ipex", "tvm"])
    # fmt: on
    parser.add_argument("--xformers", action="store_true")
    parser.add_argument("--sdpa", action="store_true")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--full_fp16", action="store_true")
    parser.add_argument("--full_bf16", action="store_true")
    parser.add_argument("--fp8_base", action="store_true")
    parser.add_argument("--ddp_timeout", type=int)
    parser.add_argument("--ddp_gradient_as_bucket_view", action="store_true")
    parser.add_argument("--ddp_static_graph", action="store_true")
    parser.add_argument("--lowram", action="store_true")
    parser.add_argument("--highvram", action="store_true")
    parser.add_argument("--output_config", action="store_true")
    parser.add_argument("--deepspeed", action="store_true")
    parser.add_argument("--zero_stage", type=int, default=2, choices=[0, 1, 2, 3])
    parser.add_argument("--offload_optimizer_device", type=str, choices=[None, "cpu", "nvme"])
    parser.add_argument("--offload_optimizer_nvme_path", type=str)
    parser.add_argument("--offload_param_device", type=str, choices=[None, "cpu", "nvme"])
    parser.add_argument("--offload_param_nvme_path", type=str)
    parser.add_argument("--zero3_init_flag", action="store_true")
    parser.add_argument("--zero3_save_16bit_model", action="store_true")
    parser.add_argument("--fp16_master_weights_and_gradients", action="store_true")
    parser.add_argument("--cpu_offload_checkpointing", action="store_true")
    parser.add_argument("--fp8_base_unet", action="store_true")
    parser.add_argument("--no_half_vae", action="store_true")


def add_arguments_for_models(parser: argparse.ArgumentParser) -> None:
    """Without effect here: what only real models and datasets have."""
    parser.add_argument("--v2", action="store_true")
    parser.add_argument("--tokenizer_cache_dir", type=str)
    parser.add_argument("--cache_info", action="store_true")
    parser.add_argument("--caption_extention", type=str)
    parser.add_argument("--keep_tokens_separator", type=str, default="")
    parser.add_argument("--secondary_separator", type=str)
    parser.add_argument("--enable_wildcard", action="store_true")
    parser.add_argument("--caption_prefix", type=str)
    parser.add_argument("--caption_suffix", type=str)
    parser.add_argument("--color_aug", action="store_true")
    parser.add_argument("--face_crop_aug_range", type=str)
    parser.add_argument("--random_crop", action="store_true")
    parser.add_argument("--debug_dataset", action="store_true")
    parser.add_argument("--vae_batch_size", type=int, default=1)
    parser.add_argument("--skip_cache_check", action="store_true")
    parser.add_argument("--enable_bucket", action="store_true")
    parser.add_argument("--min_bucket_reso", type=int, default=256)
    parser.add_argument("--max_bucket_reso", type=int, default=1024)
    parser.add_argument("--bucket_reso_steps", type=int, default=64)
    parser.add_argument("--bucket_no_upscale", action="store_true")
    parser.add_argument(
        "--resize_interpolation",
        type=str,
        choices=["lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area"],
    )
    parser.add_argument("--token_warmup_min", type=int, default=1)
    parser.add_argument("--token_warmup_step", type=float, default=0)
    parser.add_argument("--alpha_mask", action="store_true")
    parser.add_argument("--dataset_class", type=str)
    parser.add_argument("--caption_dropout_every_n_epochs", type=int, default=0)
    parser.add_argument("--caption_tag_dropout_rate", type=float, default=0.0)
    parser.add_argument("--reg_data_dir", type=str)
    parser.add_argument("--in_json", type=str)
    parser.add_argument("--dataset_repeats", type=int, default=1)
    parser.add_argument("--max_token_length", type=int, choices=[None, 150, 225])
    parser.add_argument("--vae", type=str)
    parser.add_argument("--noise_offset_random_strength", action="store_true")
    parser.add_argument("--multires_noise_iterations", type=int)
    parser.add_argument("--ip_noise_gamma", type=float)
    parser.add_argument("--ip_noise_gamma_random_strength", action="store_true")
    parser.add_argument("--multires_noise_discount", type=float, default=0.3)
    parser.add_argument("--adaptive_noise_scale", type=float)
    parser.add_argument("--huber_schedule", type=str, default="snr", choices=["constant", "exponential", "snr"])
    parser.add_argument("--huber_scale", type=float, default=1.0)
    # fmt: off
    parser.add_argument("--sample_sampler", type=str, default="ddim", choices=[
        "ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a",
        "dpmsolver", "dpmsolver++", "dpmsingle", "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a"])
    # fmt: on
    parser.add_argument("--prior_loss_weight", type=float, default=1.0)
    parser.add_argument("--conditioning_data_dir", type=str)
    parser.add_argument("--masked_loss", action="store_true")
    parser.add_argument("--use_8bit_adam", action="store_true")
    parser.add_argument("--use_lion_optimizer", action="store_true")
    parser.add_argument("--lr_scheduler_type", type=str, default="")
    parser.add_argument("--lr_scheduler_args", type=str, nargs="*")
    parser.add_argument("--lr_decay_steps", type=int_or_float, default=0)
    parser.add_argument("--fused_backward_pass", action="store_true")
    parser.add_argument("--lr_scheduler_timescale", type=int)
    parser.add_argument("--lr_scheduler_min_lr_ratio", type=float)
    parser.add_argument("--scale_v_pred_loss_like_noise_pred", action="store_true")
    parser.add_argument("--v_pred_like_loss", type=float)
    parser.add_argument("--weighted_captions", action="store_true")
    parser.add_argument("--dim_from_weights", action="store_true")
    parser.add_argument("--scale_weight_norms", type=float)
    parser.add_argument("--base_weights", type=str, nargs="*")
    parser.add_argument("--base_weights_multiplier", type=float, nargs="*")


def add_validation_arguments(parser: argparse.ArgumentParser) -> None:
    """Without effect here: no picture is held back."""
    parser.add_argument("--validation_seed", type=int)
    parser.add_argument("--validation_split", type=float, default=0.0)
    parser.add_argument("--validate_every_n_steps", type=int)
    parser.add_argument("--validate_every_n_epochs", type=int)
    parser.add_argument("--max_validation_steps", type=int)
