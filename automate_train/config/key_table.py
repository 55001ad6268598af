"""Every key of the two config files that automate-train itself understands, as one table.

Covers: name, type, limits, who reads it, what it means, an example. The checks before a sweep, the command line's
flags, `automate-train keys`, docs/keys.md and configs/schema.json are made from this table.
Not: the trainer's own options, which are read from its source (`automate-train args`); sets of keys (`key_sets`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Type = Literal["text", "texts", "int", "float", "bool", "numbers", "devices", "resolution", "range", "table", "groups",
               "amount", "any"]  # fmt: skip
Reader = Literal["sweep", "trainer", "launcher", "trackers", "sampling", "options", "dataset"]
"""Who reads a key: see `READERS`."""
Scope = Literal["run", "sweep", "expansion"]

READERS: dict[Reader, str] = {
    "sweep": "The sweep",
    "trainer": "Which program trains",
    "launcher": "How a run is started",
    "trackers": "Trackers",
    "sampling": "Sample pictures",
    "options": "Training options that automate-train translates or gives a default",
    "dataset": "The dataset",
}
TYPES: dict[Type, str] = {
    "text": "text",
    "texts": "list of texts",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "numbers": "number, or list of numbers",
    "devices": 'GPU numbers, like 0 or "1,2"',
    "resolution": "one or two whole numbers",
    "range": "two numbers",
    "table": "object",
    "groups": "list of lists of keys",
    "amount": "number, share below 1, or folder",
    "any": "number, or true or false",
}
"""What a value of each type is. Numbers and switches may be texts, as old files have them."""
MOST = 2**31


class Key(NamedTuple):
    name: str
    type: Type
    reader: Reader
    meaning: str
    """One sentence."""
    example: object
    default: object = None
    """Its value where nobody gives one; None: it is not set."""
    choices: tuple[str, ...] = ()
    """The only values; `"None"` among them says that null and "" mean something too."""
    range: tuple[int, int] | None = None
    """The smallest and the largest value."""
    scope: Scope = "run"
    """run: each run may have its own value, so KEY_list makes an axis. sweep: one value for all runs. expansion: it
    shapes the sweep, or nothing at all, and is not an option of a run."""
    alias: str = ""
    """Another name that means the same."""
    old_spelling: str = ""
    """A name that is accepted with a warning, because it means something else elsewhere."""
    becomes: str = ""
    """The options of the trainer that an old name is translated into, where the trainer does not know the name."""
    environment: str = ""
    """The variable that carries a secret to the process that needs it. Its value is never shown or written."""
    flag: bool = False
    """The command line has a flag of the same name."""

    @property
    def secret(self) -> bool:
        return bool(self.environment)

    @property
    def ours(self) -> bool:
        """It steers the sweep and never reaches the trainer."""
        return self.reader not in ("options", "dataset")

    @property
    def changes_model(self) -> bool:
        """Another value makes another model: it is part of a run's key."""
        return self.reader in ("trainer", "options", "dataset")


SWEEP = (
    Key("project_name_base", "text", "sweep", "Name of the sweep, its folder and its project in the trackers.",
        "boy-lr", scope="sweep", flag=True),
    Key("temp_dir", "text", "sweep", "Folder of all sweeps: attempts, logs, reports.",
        "/data/sweeps", default="automate-train-output", scope="sweep"),
    Key("target_path", "text", "sweep", "Folder that each finished LoRA and its training.toml are copied to.",
        "/data/loras"),
    Key("zip", "groups", "sweep", "Lists that move together instead of making all their combinations.",
        [["network_dim_list", "network_alpha_list"]], scope="expansion"),
    Key("exclude", "texts", "sweep", "Expressions; a combination for which one of them is true is not run.",
        ["network_alpha > network_dim"], scope="expansion"),
    Key("replicates", "int", "sweep", "How many seeds each setting is trained with: seed (1 where it is not given), "
        "seed + 1 and so on.", 3, range=(1, 100), scope="expansion"),
    Key("on_failure", "text", "sweep", "After a failed run: finish what runs and start nothing more, or continue.",
        "continue", default="stop", choices=("stop", "continue"), scope="sweep", flag=True),
    Key("on_nan", "text", "sweep", "When the loss was NaN at three logged steps in a row: stop that run, or ignore it.",
        "ignore", default="stop", choices=("stop", "ignore"), flag=True),
    Key("retries", "int", "sweep", "How often a run is tried again after a failure that may pass: a port, a lost GPU.",
        2, default=0, range=(0, MOST), scope="sweep", flag=True),
    Key("judge", "text", "sweep", "When checkpoints are measured on the held-out pictures: after the last run, beside "
        "the runs on judge_device, or off.", "beside", default="after", choices=("after", "beside", "off"),
        scope="sweep"),
    Key("judge_device", "text", "sweep", "The GPU on which checkpoints are measured, by number or UUID; unless given, "
        "any that is free.", "1", scope="sweep"),
    Key("held_out", "amount", "sweep", "Pictures that no run sees, to measure LoRAs on: how many, their share, or a "
        "folder of others.", 4, scope="sweep"),
    Key("executor", "text", "sweep", "Where the runs run: on this machine, or each as a job of Slurm.",
        "slurm", choices=("local", "slurm"), scope="sweep", flag=True),
    Key("slurm", "table", "sweep", "Options of a run's job, any of sbatch by its long name; extra: a list of others.",
        {"partition": "gpu", "account": "lab", "gres": "gpu:1", "time": "8:00:00", "extra": ["--constraint=a100"]}),
    Key("max_queued", "int", "sweep", "How many jobs wait in Slurm's queue at most; unless given, 20.", 5,
        range=(1, 1000), scope="sweep"),
    Key("$schema", "text", "sweep", "Ignored: it tells an editor where the schema of config files is.",
        "configs/schema.json", scope="expansion"),
)  # fmt: skip

TRAINER = (
    Key("trainer", "text", "trainer", "Which trainer module starts the runs: sd-scripts, or command for any program.",
        "command", default="sd-scripts"),
    Key("repo_dir", "text", "trainer", "Folder of kohya-ss/sd-scripts or of a GUI that holds it; tiny: built in.",
        "/data/sd-scripts"),
    Key("train_script", "text", "trainer", "Script in repo_dir; unless given, the model's family decides.",
        "sdxl_train_network.py"),
    Key("model_type", "text", "trainer", "The model's family, which decides the script: sdxl, sd3, flux, lumina ...",
        "flux"),
    Key("sdxl", "bool", "trainer", "The same as model_type sdxl.", True),
    Key("command", "texts", "trainer", "The command trainer's program and arguments; {KEY} stands for a value.",
        ["prog", "--lr", "{unet_lr}", "--out", "{output_dir}"]),
    Key("cwd", "text", "trainer", "The folder in which that program starts; unless given, where you type the command.",
        "/data/HCP-Diffusion"),
    Key("env", "table", "trainer", "Environment variables of that program; {KEY} stands for a value.",
        {"OMP_NUM_THREADS": 4, "OUT": "{output_dir}"}),
)  # fmt: skip

LAUNCHER = (
    Key("venv_path", "text", "launcher", "The trainer's virtual environment; else repo_dir/venv, repo_dir/.venv or "
        "the Python that runs automate-train.", "/data/sd-scripts/venv", flag=True),
    Key("lora_file", "text", "launcher", "The file below that program's output_dir to copy to target_path; of several "
        "the newest. Unless given, **/*.safetensors.", "ckpts/unet-*.safetensors"),
    Key("launcher", "text", "launcher", "Start a run by accelerate launch, or (one process) by Python alone.",
        "python", default="accelerate", choices=("accelerate", "python")),
    Key("hook", "bool", "launcher", "Report events and metrics from inside the trainer; false starts it as it is.",
        False, default=True),
    Key("cuda_device", "devices", "launcher", "GPUs of one run; with --cuda_devices_distributed only their number "
        "counts.", "0,1", old_spelling="CUDA_VISIBLE_DEVICES", flag=True),
    Key("port", "int", "launcher", "First port for accelerate, or for {port}; the first free one from here on is used.",
        29600, default=29500, range=(1, 65535), old_spelling="PORT", flag=True),
    Key("process_title", "text", "launcher", "Title of the trainer's process, as ps shows it after python/.",
        "boy_lora"),
    Key("huggingface_token", "text", "launcher", "Token for models on the Hugging Face hub.",
        "hf_...", environment="HF_TOKEN"),
)  # fmt: skip

TRACKERS = (
    Key("log_with", "text", "trackers", "Where curves, options and sample pictures are logged.",
        "tensorboard", choices=("tensorboard", "wandb", "aim", "all", "None")),
    Key("log_tracker_name", "text", "trackers", "Project in the trackers; unless given, project_name_base.",
        "my-loras"),
    Key("log_tracker_config", "text", "trackers", "TOML file that is handed to the trackers as it is.",
        "/data/log_config.toml"),
    Key("log_tracker_config_template", "text", "trackers", "The same, with {0} for the run's name and {entity}.",
        "/data/log_config.toml"),
    Key("entity_name", "text", "trackers", "W&B entity, for {entity} in log_tracker_config_template.",
        "my-team", flag=True),
    Key("wandb_api_key", "text", "trackers", "W&B key; it goes into the trainer's environment, nowhere else.",
        "0123abcd...", environment="WANDB_API_KEY"),
)  # fmt: skip

SAMPLING = (
    Key("prompt_path", "text", "sampling", "File of prompts for sample pictures: text lines, JSON or TOML.",
        "prompts.txt"),
    Key("sample_opt", "text", "sampling", "Sample by epoch or by step; None: no samples.",
        "epoch", choices=("epoch", "step", "None")),
    Key("sample_num", "int", "sampling", "Sample every so many epochs or steps, and the last checkpoint.",
        2, range=(1, MOST)),
    Key("use_external_webui", "bool", "sampling", "A Stable Diffusion WebUI draws the samples, not the trainer.", True),
    Key("webui_url", "text", "sampling", "Address of the WebUI.", "http://127.0.0.1:7860"),
    Key("webui_urls", "texts", "sampling", "Addresses of several WebUIs, which share the work.",
        ["http://a:7860", "http://b:7860"]),
    Key("webui_auth", "text", "sampling", "The WebUI's user and password, as given to --api-auth.",
        "user:password", environment="AUTOMATE_TRAIN_WEBUI_AUTH"),
    Key("webui_uploader_auth", "text", "sampling", "User and password of the model uploader, where they differ.",
        "user:password", environment="AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH"),
    Key("webui_lora_dir", "text", "sampling", "The WebUI's LoRA folder, where this machine can write to it; then no "
        "uploader is needed.", "/mnt/webui/models/Lora"),
    Key("webui_outage_limit", "float", "sampling", "Seconds after which a WebUI that does not answer is given up.",
        300, range=(0, MOST), scope="sweep"),
    Key("webui_wait_limit", "float", "sampling", "Seconds that samples may wait in a queue that stands still; after "
        "the last run webui_outage_limit, where that is less.", 3600, range=(0, MOST), scope="sweep"),
    Key("webui_stuck_limit", "float", "sampling", "Seconds after which a task that still runs counts as stuck.",
        600, range=(0, MOST), scope="sweep"),
    Key("webui_resume_queue", "bool", "sampling", "Resume a WebUI's queue that a person or lack of memory has paused.",
        True, scope="sweep"),
    Key("webui_nudge", "bool", "sampling", "Free a stuck queue by drawing a small picture.", True, scope="sweep"),
    Key("should_wait_webui_process", "bool", "sampling", "Training pauses at a checkpoint until its samples are made.",
        True),
)  # fmt: skip

OPTIONS = (
    Key("pretrained_model_name_or_path", "text", "options", "Base model: a file, a diffusers folder or a hub name.",
        "/data/base_model.safetensors", alias="model_file", flag=True),
    Key("optimizer_type", "text", "options", "The optimizer.", "AdamW8bit", alias="optimizer"),
    Key("adamw_betas", "numbers", "options", "Betas of the AdamW family.", "0.9,0.99", becomes="optimizer_args"),
    Key("adamw_eps", "float", "options", "Epsilon of the AdamW family.", 1e-8, becomes="optimizer_args"),
    Key("adamw_weight_decay", "float", "options", "Weight decay of the AdamW family.", 0.01, becomes="optimizer_args"),
    Key("max_train_epochs", "int", "options", "Epochs of a run.", 10, alias="epoch_num", range=(1, MOST)),
    Key("unet_lr", "float", "options", "Learning rate of the U-Net; also learning_rate where that is not given.", 1e-4,
        range=(0, MOST)),
    Key("text_encoder_lr", "numbers", "options", "Learning rate of the text encoder; 0 trains the U-Net only.", 5e-5,
        range=(0, MOST)),
    Key("lr_scheduler_number", "float", "options", "Cycles of cosine_with_restarts, or the power of polynomial.",
        3, becomes="lr_scheduler_num_cycles or lr_scheduler_power"),
    Key("lr_warmup_steps", "float", "options", "Steps of the warm-up, or (below 1) its share of all steps.",
        0.1, alias="lr_warmup_ratio", range=(0, MOST)),
    Key("min_snr_gamma", "any", "options", "Min-SNR weighting: its gamma, or true with min_snr_gamma_value.", 5),
    Key("min_snr_gamma_value", "float", "options", "Gamma where min_snr_gamma is true.", 5, becomes="min_snr_gamma"),
    Key("precision_type", "text", "options", "Precision of the training and of the saved LoRA.",
        "bf16", choices=("fp16", "bf16", "fp32", "float", "no"), becomes="mixed_precision, save_precision"),
    Key("lora_type", "text", "options", "LoRA, LoCon, or `<algorithm> Lycoris`.",
        "LoCon", becomes="network_module, network_args"),
    Key("lycoris_preset", "text", "options", "Preset of a LyCORIS network.", "attn-mlp", becomes="network_args"),
    Key("train_network_norm", "bool", "options", "A LyCORIS network trains norm layers too.",
        True, becomes="network_args"),
    Key("conv_dim", "int", "options", "Rank of convolution layers, where lora_type has them.",
        8, becomes="network_args"),
    Key("conv_alpha", "float", "options", "Alpha of convolution layers, where lora_type has them.",
        1, becomes="network_args"),
    Key("lbw_weights", "numbers", "options", "LoRA block weights: 17, the text encoder's first, or 16 without it.",
        [1] * 17, becomes="network_args, text_encoder_lr"),
    Key("down_lr_weight", "numbers", "options", "Weights of the learning rate of the down blocks, or like sine+.5.",
        [1] * 12, becomes="network_args"),
    Key("mid_lr_weight", "numbers", "options", "Weight of the learning rate of the mid block.",
        1, becomes="network_args"),
    Key("up_lr_weight", "numbers", "options", "Weights of the learning rate of the up blocks, or like sine+.5.",
        [1] * 12, becomes="network_args"),
    Key("mask_loss", "bool", "options", "The loss counts only where mask_dir has a mask.", True, becomes="masked_loss"),
    Key("mask_threshold", "float", "options", "Threshold of masks in forks that have one; elsewhere 0 or 1.",
        1, becomes="masked_loss"),
    Key("save_every_n_epochs", "int", "options", "A checkpoint every so many epochs.", 2, default=1, range=(1, MOST)),
    Key("save_model_as", "text", "options", "Format of checkpoints.", "safetensors", default="safetensors"),
    Key("max_token_length", "int", "options", "Longest caption, in tokens.", 150, default=225),
)  # fmt: skip

DATASET = (
    Key("image_dir", "text", "dataset", "Folder of training pictures, or of sub-folders like 10_name.",
        "/data/character/15_boy", alias="images_folder", flag=True),
    Key("custom_dataset", "text", "dataset", "Your own dataset TOML; then no other key of this group may be given.",
        "/data/dataset.toml", becomes="the run's dataset TOML"),
    Key("num_repeats", "int", "dataset", "How often each picture is seen in an epoch.", 10, range=(1, MOST)),
    Key("class_tokens", "text", "dataset", "Caption of pictures that have no caption file.", "1boy"),
    Key("resolution", "resolution", "dataset", "Size of training pictures: a side, or width and height.", "768,768"),
    Key("enable_bucket", "bool", "dataset", "Group pictures by their shape; unless given, true.", False),
    Key("min_bucket_reso", "int", "dataset", "Smallest bucket; unless given, 320 above resolution 640, else 256.", 256,
        range=(1, MOST)),
    Key("max_bucket_reso", "int", "dataset", "Largest bucket; unless given, 1280 above resolution 640, else 1024.",
        1024, range=(1, MOST)),
    Key("bucket_reso_steps", "int", "dataset", "Steps between buckets; unless given, 64.", 32, range=(1, MOST)),
    Key("bucket_no_upscale", "bool", "dataset", "Never enlarge a picture to fill its bucket.", True),
    Key("resize_interpolation", "text", "dataset", "How pictures are resized.", "lanczos"),
    Key("caption_extension", "text", "dataset", "Ending of caption files; unless given, .txt or .caption if there "
        "are any.", ".txt"),
    Key("caption_separator", "text", "dataset", "Text between the tags of a caption.", ","),
    Key("caption_prefix", "text", "dataset", "Text put before every caption.", "a photo, "),
    Key("caption_suffix", "text", "dataset", "Text put after every caption.", ", best quality"),
    Key("shuffle_caption", "bool", "dataset", "Shuffle the tags of a caption.", True),
    Key("keep_tokens", "int", "dataset", "How many tags at the front are never shuffled.", 1, range=(0, MOST)),
    Key("keep_tokens_separator", "text", "dataset", "Text in a caption; the tags before it are never shuffled.",
        "|||"),
    Key("secondary_separator", "text", "dataset", "Text that ties tags together when they are shuffled.", ";;;"),
    Key("enable_wildcard", "bool", "dataset", "Read {a|b} in captions as a choice.", True),
    Key("caption_dropout_rate", "float", "dataset", "Share of captions that are left out.", 0.05, range=(0, 1)),
    Key("caption_dropout_every_n_epochs", "int", "dataset", "Leave all captions out every so many epochs.", 5,
        range=(0, MOST)),
    Key("caption_tag_dropout_rate", "float", "dataset", "Share of tags that are left out.", 0.1, range=(0, 1)),
    Key("token_warmup_min", "int", "dataset", "Tags used at the beginning, when their number grows.", 1,
        range=(0, MOST)),
    Key("token_warmup_step", "float", "dataset", "Step, or share of all steps, from which all tags are used.", 0.5,
        range=(0, MOST)),
    Key("flip_aug", "bool", "dataset", "Mirror pictures at random.", True),
    Key("color_aug", "bool", "dataset", "Change colours at random.", True),
    Key("random_crop", "bool", "dataset", "Crop at random instead of in the middle.", True),
    Key("face_crop_aug_range", "range", "dataset", "Smallest and largest crop around a face.", "1.0,3.0"),
    Key("mask_dir", "text", "dataset", "Folder of masks, for mask_loss.", "/data/character/masks"),
    Key("conditioning_data_dir", "text", "dataset", "Folder of masks or control pictures, as upstream calls it.",
        "/data/character/masks"),
    Key("alpha_mask", "bool", "dataset", "The pictures' alpha channel is their mask.", True),
    Key("is_reg", "bool", "dataset", "These are regularization pictures.", True),
    Key("cache_info", "bool", "dataset", "Keep captions and sizes of pictures in a file in their folder.", True),
    Key("metadata_file", "text", "dataset", "JSON with the pictures' captions and sizes, instead of caption files.",
        "/data/character/meta.json"),
    Key("custom_attributes", "table", "dataset", "Values for scripts that read them from the dataset.", {"a": 1}),
    Key("validation_split", "float", "dataset", "Share of pictures that are kept for validation.", 0.1, range=(0, 1)),
    Key("validation_seed", "int", "dataset", "Seed that chooses them.", 42),
)  # fmt: skip

KEYS = (*SWEEP, *TRAINER, *LAUNCHER, *TRACKERS, *SAMPLING, *OPTIONS, *DATASET)
