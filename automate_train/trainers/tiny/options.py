"""All options of sd-scripts' train_network.py, so that one config serves both trainers.

Covers: names, types, defaults and choices as there. The first four functions hold the options that the tiny trainer
uses, with help; the last one those that it accepts and ignores, so that a real config can be tried on a laptop. Names
and values are literal, because automate-train reads them from this source without running it.
Not: what the options do (`train_network`, `image_dataset`, `model`).
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
    parser.add_argument("--flip_aug", action="store_true", help="mirror images at random")
    parser.add_argument("--cache_latents", action="store_true", help="read all images before training")
    parser.add_argument("--cache_latents_to_disk", action="store_true", help="keep them as .npz next to the images")
    parser.add_argument("--train_batch_size", type=int, default=1, help="images a step")
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


def add_ignored_arguments(parser: argparse.ArgumentParser) -> None:
    """Without effect here: hardware, hub, logs, the model card, and what only real models and datasets have."""
    for name in (
        "console_log_file metadata_title metadata_author metadata_description metadata_license metadata_tags "
        "metadata_usage_hint metadata_thumbnail metadata_merged_from metadata_trigger_phrase metadata_preprocessor "
        "metadata_is_negative_embedding huggingface_repo_id huggingface_repo_type huggingface_path_in_repo "
        "huggingface_token huggingface_repo_visibility offload_optimizer_nvme_path offload_param_nvme_path "
        "tokenizer_cache_dir caption_extention secondary_separator caption_prefix caption_suffix "
        "face_crop_aug_range dataset_class reg_data_dir in_json vae conditioning_data_dir"
    ).split():
        parser.add_argument(f"--{name}", type=str)
    for name in (
        "console_log_simple save_state_to_huggingface resume_from_huggingface async_upload mem_eff_attn "
        "torch_compile xformers sdpa gradient_checkpointing full_fp16 full_bf16 fp8_base "
        "ddp_gradient_as_bucket_view ddp_static_graph lowram highvram output_config deepspeed zero3_init_flag "
        "zero3_save_16bit_model fp16_master_weights_and_gradients cpu_offload_checkpointing fp8_base_unet "
        "no_half_vae v2 cache_info enable_wildcard color_aug random_crop debug_dataset skip_cache_check "
        "enable_bucket bucket_no_upscale alpha_mask noise_offset_random_strength ip_noise_gamma_random_strength "
        "masked_loss use_8bit_adam use_lion_optimizer fused_backward_pass scale_v_pred_loss_like_noise_pred "
        "weighted_captions dim_from_weights"
    ).split():
        parser.add_argument(f"--{name}", action="store_true")
    for name in (
        "save_n_epoch_ratio save_last_n_epochs_state save_last_n_steps_state ddp_timeout multires_noise_iterations "
        "lr_scheduler_timescale validation_seed validate_every_n_steps validate_every_n_epochs "
        "max_validation_steps"
    ).split():
        parser.add_argument(f"--{name}", type=int)
    for name in (
        "ip_noise_gamma adaptive_noise_scale lr_scheduler_min_lr_ratio v_pred_like_loss scale_weight_norms"
    ).split():
        parser.add_argument(f"--{name}", type=float)
    for name, number in (("vae_batch_size", 1), ("min_bucket_reso", 256), ("max_bucket_reso", 1024),
                         ("bucket_reso_steps", 64), ("token_warmup_min", 1), ("dataset_repeats", 1),
                         ("caption_dropout_every_n_epochs", 0)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=number)
    for name, share in (("token_warmup_step", 0), ("caption_tag_dropout_rate", 0.0), ("multires_noise_discount", 0.3),
                        ("huber_scale", 1.0), ("prior_loss_weight", 1.0), ("validation_split", 0.0)):  # fmt: skip
        parser.add_argument(f"--{name}", type=float, default=share)
    parser.add_argument("--keep_tokens_separator", type=str, default="")
    parser.add_argument("--lr_scheduler_type", type=str, default="")
    parser.add_argument("--lr_scheduler_args", type=str, nargs="*")
    parser.add_argument("--lr_decay_steps", type=int_or_float, default=0)
    parser.add_argument("--base_weights", type=str, nargs="*")
    parser.add_argument("--base_weights_multiplier", type=float, nargs="*")
    parser.add_argument("--max_token_length", type=int, choices=[None, 150, 225])
    parser.add_argument("--zero_stage", type=int, default=2, choices=[0, 1, 2, 3])
    parser.add_argument("--offload_optimizer_device", type=str, choices=[None, "cpu", "nvme"])
    parser.add_argument("--offload_param_device", type=str, choices=[None, "cpu", "nvme"])
    parser.add_argument("--huber_schedule", type=str, default="snr", choices=["constant", "exponential", "snr"])
    levels, sizes = "DEBUG INFO WARNING ERROR CRITICAL", "lanczos nearest bilinear linear bicubic cubic area"
    parser.add_argument("--console_log_level", type=str, choices=levels.split())
    parser.add_argument("--resize_interpolation", type=str, choices=sizes.split())
    backends = "eager aot_eager inductor aot_ts_nvfuser nvprims_nvfuser cudagraphs ofi fx2trt onnxrt tensort ipex tvm"
    parser.add_argument("--dynamo_backend", type=str, default="inductor", choices=backends.split())
    samplers = "ddim pndm lms euler euler_a heun dpm_2 dpm_2_a dpmsolver dpmsolver++ dpmsingle"
    samplers += " k_lms k_euler k_euler_a k_dpm_2 k_dpm_2_a"
    parser.add_argument("--sample_sampler", type=str, default="ddim", choices=samplers.split())
