"""Every row of KEYS.md, the vocabulary of the two config files, has a test: those of other files are listed, the rest
is here. `test_the_table_*` read this list: a key without a row, and a row whose test is gone, fail.

Table 1
project_name_base: here::test_project_name_base_refuses test_product::test_what_makes_no_sweep_is_said_in_words
repo_dir train_script model_type sdxl: test_sd_scripts_keys::test_the_family_decides_the_script
repo_dir: test_sd_scripts_keys::test_a_gui_that_holds_sd_scripts_is_a_repo_too here::test_every_family_has_its_script
repo_dir train_script: test_sd_scripts_keys::test_a_repo_without_the_script_is_one_sentence
venv_path: test_sd_scripts_keys::test_venv_path_then_the_repos_venv_then_ours
cuda_device: test_sd_scripts_launch::test_gpus_are_counted_never_named
cuda_device: test_cli_gpus::test_without_the_flag_one_run_at_a_time_on_the_configured_devices
cuda_device: test_cli_gpus::test_runs_of_two_devices_share_four_of_them
port: test_sd_scripts_launch::test_only_runs_with_several_processes_look_for_a_port
port: test_sd_scripts_launch::test_one_run_at_a_time_takes_the_first_free_port
port: test_sd_scripts_launch::test_a_port_that_is_none_names_file_and_key
target_path: test_sd_scripts_results::test_finished_files_are_kept_under_the_runs_name
temp_dir: here::test_temp_dir_is_the_root_of_attempts_and_trackers
prompt_path sample_opt sample_num: test_sd_scripts_legacy_keys::test_prompts_for_the_trainers_own_samples
use_external_webui webui_url: test_sd_scripts_legacy_keys::test_the_trainer_samples_nothing_beside_a_webui
webui_urls webui_auth webui_uploader_auth webui_lora_dir: here::test_what_steers_the_sweep_never_reaches_the_trainer
should_wait_webui_process: here::test_what_steers_the_sweep_never_reaches_the_trainer
webui_outage_limit webui_wait_limit webui_stuck_limit: here::test_what_steers_the_sweep_never_reaches_the_trainer
webui_resume_queue webui_nudge: here::test_what_steers_the_sweep_never_reaches_the_trainer
webui_auth webui_uploader_auth: here::test_secrets_are_written_nowhere
log_with: here::test_log_with test_sd_scripts_problems::test_packages_are_looked_for_in_the_trainers_python
log_tracker_config: test_sd_scripts_results::test_a_trackers_config_as_a_file here::test_a_trackers_config_is_looked_at
log_tracker_config_template entity_name: test_sd_scripts_results::test_a_trackers_config_from_a_template
log_tracker_name: test_sd_scripts_results::test_each_attempt_logs_into_a_folder_of_its_own
wandb_api_key huggingface_token: test_sd_scripts_results::test_secrets_travel_in_the_environment_alone
process_title: test_sd_scripts_launch::test_the_hooks_sources_travel_with_the_attempt
trainer command: test_command::test_places_are_filled_in test_command::test_unknown_places_and_unused_keys
cwd env: test_command::test_a_folder_and_variables_of_the_program
lora_file: test_command::test_a_lora_that_is_missing_or_broken_is_a_failure
launcher: test_sd_scripts_launch::test_plain_python_gets_accelerates_environment
launcher hook: test_sd_scripts_launch::test_on_the_cpu_by_plain_python_without_the_hook
replicates: test_replicates::test_the_first_seed_has_the_key_that_it_had_without_replicates
replicates: test_cli_replicates::test_replicates_of_a_finished_sweep_train_only_the_seeds_that_are_new
held_out: test_trainer_contract::test_a_held_out_picture_is_in_nothing_that_a_run_is_started_on
held_out judge judge_device executor slurm max_queued: here::test_what_steers_the_sweep_never_reaches_the_trainer
on_failure: test_cli_sweep::test_the_first_failure_stops_new_starts_and_running_ones_finish
on_nan retries: test_cli_nan::test_wrong_policies_and_retries_are_said here::test_policies_are_flags_too
on_nan: test_cli_nan::test_on_nan_ignore_lets_it_go_on
zip: test_product::test_zip_moves_lists_together_where_the_first_stands
exclude: test_product::test_exclude_drops_points_that_keep_their_index
$schema: test_layers::test_a_schema_for_editors_is_no_option
CUDA_VISIBLE_DEVICES PORT: test_layers::test_old_spellings_get_a_note here::test_one_name_for_one_option

Table 2
model_file: test_sd_scripts_problems::test_models here::test_one_name_for_one_option
optimizer epoch_num unet_lr text_encoder_lr: test_sd_scripts_legacy_keys::test_model_optimizer_epochs_and_rates
adamw_betas adamw_eps adamw_weight_decay: test_sd_scripts_legacy_keys::test_adamw_keys_go_to_the_adamw_family_alone
unet_lr: test_sd_scripts_legacy_keys::test_learning_rate_stays_where_it_is_given
text_encoder_lr: test_sd_scripts_legacy_keys::test_a_text_encoder_without_a_rate_is_not_trained
lr_scheduler_number: test_sd_scripts_legacy_keys::test_lr_scheduler_number
lr_warmup_ratio: test_sd_scripts_legacy_keys::test_lr_warmup_ratio_is_a_share_where_the_script_reads_shares
lr_warmup_ratio: test_sd_scripts_legacy_keys::test_lr_warmup_ratio_is_counted_out_for_an_old_script
min_snr_gamma_value: test_sd_scripts_legacy_keys::test_min_snr_gamma
precision_type: here::test_precision_type
lora_type conv_dim conv_alpha lycoris_preset train_network_norm: test_sd_scripts_network::test_lora_type
lbw_weights: test_sd_scripts_network::test_lbw_weights_stand_for_blocks
lbw_weights: test_sd_scripts_network::test_the_first_of_17_multiplies_whatever_rate_the_text_encoder_has
down_lr_weight mid_lr_weight up_lr_weight: test_sd_scripts_network::test_block_weights_as_given
mask_loss mask_threshold mask_dir: here::test_masks_upstream here::test_masks_of_a_fork

Table 3
images_folder image_dir num_repeats class_tokens: test_sd_scripts_dataset::test_the_folder_itself_may_be_called_15_boy
images_folder: test_sd_scripts_dataset::test_sub_folders_are_read_as_sd_scripts_reads_them
resolution: test_sd_scripts_dataset::test_resolutions
min_bucket_reso max_bucket_reso: test_sd_scripts_dataset::test_buckets_that_upstream_accepts_at_every_resolution
enable_bucket bucket_reso_steps: test_sd_scripts_dataset::test_bucket_options_win_over_the_defaults
caption_extension: test_sd_scripts_dataset::test_captions_decide_their_extension
keep_tokens shuffle_caption: here::test_dataset_options_go_to_the_dataset_toml
flip_aug color_aug random_crop: here::test_dataset_options_go_to_the_dataset_toml
face_crop_aug_range bucket_no_upscale: here::test_dataset_options_go_to_the_dataset_toml
keep_tokens_separator secondary_separator enable_wildcard: here::test_dataset_options_go_to_the_dataset_toml
caption_separator caption_prefix caption_suffix: here::test_dataset_options_go_to_the_dataset_toml
token_warmup_min token_warmup_step: here::test_dataset_options_go_to_the_dataset_toml
caption_dropout_rate caption_dropout_every_n_epochs: here::test_dataset_options_go_to_the_dataset_toml
caption_tag_dropout_rate alpha_mask is_reg cache_info: here::test_dataset_options_go_to_the_dataset_toml
conditioning_data_dir metadata_file custom_attributes: here::test_dataset_options_go_to_the_dataset_toml
resize_interpolation validation_split validation_seed: here::test_dataset_options_go_to_the_dataset_toml
custom_dataset: test_sd_scripts_custom::test_the_seeds_dataset_is_copied_with_absolute_paths
custom_dataset: test_sd_scripts_custom::test_a_dataset_option_over_the_file_is_an_error
custom_dataset: test_sd_scripts_custom::test_a_sweep_over_datasets

Sections 4 and 5, and what is written for every run unless given: `test_sd_scripts_keys` has them whole, but for
here::test_written_unless_given and here::test_every_key_makes_an_axis.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
import toml
from sd_scripts_kit import Bench, attempt_of, make_pictures, make_repo, make_runs

from automate_train.config.key_sets import (
    ALIASES,
    BUILT_IN,
    DATASET,
    MASKED,
    OLD_SPELLINGS,
    OURS,
    SECRETS,
    SWEEP_ONLY,
    TRANSLATED,
    WHOLE_SWEEP,
)
from automate_train.config.layers import Layer, built_in, merge
from automate_train.errors import UserError
from automate_train.records import Dropped, Run, Source
from automate_train.sweep.product import expand
from automate_train.trainers import sd_scripts

TESTS = Path(__file__).parents[2]
ROWS = [
    (set(keys.split()), tests.split())
    for keys, tests in re.findall(r"^([\w$ ]+): ((?:\w+::\w+ ?)+)$", __doc__ or "", re.MULTILINE)
]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# the table above


@cache
def sources(stem: str) -> tuple[str, set[str]]:
    """A test file's text without its docstring, and its tests' names."""
    (path,) = TESTS.rglob(f"{Path(__file__).stem if stem == 'here' else stem}.py")
    text = path.read_text(encoding="utf-8")
    body = ast.parse(text).body
    after = "\n".join(text.splitlines()[body[0].end_lineno or 0 :])
    return after, {node.name for node in body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("key", sorted({*OURS, *ALIASES, *DATASET, *TRANSLATED, *SECRETS, *SWEEP_ONLY}))
def test_the_table_has_a_row_and_a_test_that_names_the_key(key):
    where = [test.split("::") for keys, tests in ROWS if key in keys for test in tests]
    assert where, f"{key} has no row"
    named = re.compile(rf"(?<!\w){re.escape(key)}(_list)?(?!\w)")
    for stem, name in where:
        text, tests = sources(stem)
        assert name in tests, f"{stem} has no {name}"
        assert named.search(text), f"{stem} does not name {key}"


def test_the_table_names_no_key_that_there_is_not():
    known = {
        *OURS,
        *ALIASES,
        *DATASET,
        *TRANSLATED,
        *SECRETS,
        *SWEEP_ONLY,
        "custom_dataset",
        "unet_lr",
        "text_encoder_lr",
    }
    assert set().union(*(keys for keys, _ in ROWS)) == known


# table 1


@pytest.mark.parametrize("letter", '{}[]/\\:*?"<>|.')
def test_project_name_base_refuses(letter):
    with pytest.raises(UserError, match="project_name_base") as caught:
        make_runs({"project_name_base": f"a{letter}b"})
    assert "t.json" in str(caught.value)


@pytest.mark.parametrize("family", ["sd3", "flux", "lumina", "hunyuan_image", "anima"])
def test_every_family_has_its_script(bench, family):
    for name in (f"{family}_train_network.py", f"networks/lora_{family}.py"):
        (bench.repo / name).write_bytes((bench.repo / "train_network.py").read_bytes())
    launch = bench.prepare({"model_type": family})
    assert str(bench.repo / f"{family}_train_network.py") in launch.argv
    assert toml.loads(launch.files["training.toml"])["network_module"] == f"networks.lora_{family}"


def test_temp_dir_is_the_root_of_attempts_and_trackers(automate_train, sweep_files, tmp_path):
    flags = sweep_files(["/bin/true", "{n}"], {"n_list": [1]}, temp_dir="some/where")
    assert automate_train(*flags).returncode == 0
    assert (tmp_path / "some/where/p/000-p/attempt-1/console.log").exists()
    assert automate_train(*flags, "--set", "temp_dir=~/home", HOME=str(tmp_path)).returncode == 0
    assert (tmp_path / "home/p/000-p/attempt-1/console.log").exists()
    plan = json.loads(automate_train(*flags, "--set", "temp_dir=null", "--dry-run", "--json").stdout)
    assert plan["temp_dir"] == str(tmp_path / BUILT_IN["temp_dir"])
    bench = Bench(tmp_path / "bench")
    options = bench.training({"log_with": "tensorboard"})
    assert options["logging_dir"].startswith(f"{bench.context.temp_dir}/_logs/")


WORDS = (
    "project_name_base target_path temp_dir webui_url webui_lora_dir log_tracker_config log_tracker_name entity_name"
)
STEERING = {
    **dict.fromkeys(
        [
            *WORDS.split(),
            "entity_name",
            "process_title",
            "wandb_api_key",
            "huggingface_token",
            "webui_auth",
            "webui_uploader_auth",
        ],
        "x",
    ),
    **dict.fromkeys(["webui_outage_limit", "webui_wait_limit", "webui_stuck_limit"], 60),
    **dict.fromkeys(["sdxl", "use_external_webui", "should_wait_webui_process"], False),
    **dict.fromkeys(["webui_resume_queue", "webui_nudge"], False),
    **dict.fromkeys(["venv_path", "prompt_path", "log_tracker_config_template"], None),
    "repo_dir": "the fork's",
    "train_script": "train_network.py",
    "model_type": "sd15",
    "cuda_device": "0",
    "port": 2000,
    "sample_opt": "epoch",
    "sample_num": 2,
    "webui_urls": ["http://127.0.0.1:1"],
    "log_with": "tensorboard",
    "trainer": "sd-scripts",
    "command": ["x"],
    "cwd": "/tmp",
    "env": {"A": "b"},
    "lora_file": "*.safetensors",
    "launcher": "accelerate",
    "hook": True,
    "on_failure": "continue",
    "on_nan": "ignore",
    "retries": 0,
    "replicates": 2,
    "held_out": 2,
    "judge": "beside",
    "judge_device": 0,
    "executor": "local",
    "slurm": {"partition": "gpu"},
    "max_queued": 3,
}
"""A value for each key of ours; those that a script is found by fit the bench."""


@pytest.mark.parametrize("key", sorted(OURS))
def test_what_steers_the_sweep_never_reaches_the_trainer(bench, tmp_path, key):
    """Not even a fork's script that knows an option of that name."""
    knows = (bench.repo / "train_network.py").read_text(encoding="utf-8")
    extra = "".join(f'    parser.add_argument("--{each}")\n' for each in OURS if f'"--{each}"' not in knows)
    fork = make_repo(tmp_path / "fork", extra)
    launch = bench.prepare({"repo_dir": str(fork), **({key: STEERING[key]} if key != "repo_dir" else {})})
    training = toml.loads(launch.files["training.toml"])
    passed_on = {"log_with", "log_tracker_name", "log_tracker_config"} if key == "log_with" else set()
    assert training.keys() & OURS <= passed_on
    assert not [part for part in launch.argv if part.startswith(f"--{key}")]
    assert f"{key} =" not in launch.files["dataset.toml"]


@pytest.mark.parametrize("key", ["wandb_api_key", "huggingface_token", "webui_auth", "webui_uploader_auth"])
def test_secrets_are_written_nowhere(bench, key):
    keys = {key: "user:hush5c1e", "log_with": "wandb"}
    launch = bench.prepare(keys)
    told = [repr(launch), json.dumps([dict(launch.files), list(launch.argv), dict(launch.env)])]
    assert not [text for text in [*told, *bench.problems(keys)] if "hush5c1e" in text]
    assert set(launch.secrets) == ({SECRETS[key]} if key in SECRETS else set())


@pytest.mark.parametrize("value", ["tensorboard", "wandb", "aim", "all", "None", None, ""])
def test_log_with(bench, value):
    options = bench.training({"log_with": value})
    if value in ("None", None, ""):
        assert not options.keys() & {"log_with", "logging_dir", "log_tracker_name"}
        return
    assert (options["log_with"], options["log_tracker_name"]) == (value, "p")
    assert [text for text in bench.errors({"log_with": value}) if "is not one of" in text] == []


def test_a_trackers_config_is_looked_at(bench):
    file = bench.folder / "log.toml"
    keys = {"log_with": "tensorboard", "log_tracker_config": str(file)}
    assert f"error log_tracker_config: {file} cannot be read" in str(bench.errors(keys))
    file.write_text("[wandb\n", encoding="utf-8")
    assert f"error log_tracker_config: {file} is not valid TOML" in str(bench.errors(keys))
    file.write_text('[wandb]\nname = "a"\n', encoding="utf-8")
    assert bench.errors(keys) == []


def test_policies_are_flags_too(automate_train, sweep_files):
    flags = sweep_files(["/bin/true"], on_failure="stop", on_nan="stop")
    given = ["--on_failure", "continue", "--on_nan", "ignore", "--retries", "2"]
    plan = json.loads(automate_train(*flags, *given, "--dry-run", "--json").stdout)
    told = {key: plan["runs"][0]["options"][key] for key in ("on_failure", "on_nan", "retries")}
    assert told == {"on_failure": "continue", "on_nan": "ignore", "retries": "2"}
    assert automate_train(*flags, *given, "--dry-run").stdout.count("command line") == 3
    assert automate_train(*flags, "--on_nan", "perhaps", "--dry-run").returncode == 2


# tables 1 and 2: one name for another

NEW_NAMES = {
    "model_file": ("org/name", "org/name"),
    "optimizer": ("Lion", "Lion"),
    "epoch_num": (7, 7),
    "lr_warmup_ratio": (0.25, 0.25),
}
"""Old name -> the value given, the value in training.toml."""


@pytest.mark.parametrize("key", sorted(ALIASES))
def test_one_name_for_one_option(bench, key):
    if key in OLD_SPELLINGS:
        launch = bench.prepare({key: {"CUDA_VISIBLE_DEVICES": "0,1", "PORT": 31000}[key]})
        assert launch.gpus == 2 if key == "CUDA_VISIBLE_DEVICES" else "31000" in launch.argv
    elif key in DATASET or ALIASES[key] in DATASET:
        other = make_pictures(bench.folder / "other")
        assert bench.dataset({key: str(other)})["datasets"][0]["subsets"][0][ALIASES[key]] == str(other)
    else:
        given, written = NEW_NAMES[key]
        options = bench.training({key: given, "lr_scheduler": "cosine"})
        assert options[ALIASES[key]] == written and key not in options


@pytest.mark.parametrize(
    ("value", "mixed", "saved"),
    [("fp16", "fp16", "fp16"), ("bf16", "bf16", "bf16"), ("fp32", "no", "float"), ("no", "no", "float")],
)
def test_precision_type(bench, value, mixed, saved):
    launch = bench.prepare({"precision_type": value})
    options = toml.loads(launch.files["training.toml"])
    assert (options["mixed_precision"], options["save_precision"]) == (mixed, saved) and "precision_type" not in options
    assert launch.argv[launch.argv.index("--mixed_precision") + 1] == mixed
    assert "precision_type: 'fp8' is not a precision" in str(bench.errors({"precision_type": "fp8"}))


def test_masks_upstream(bench, tmp_path):
    masks = make_pictures(tmp_path / "masks", captions=0)
    keys = {"mask_loss": True, "mask_dir": str(masks)}
    options = bench.training(keys)
    assert options["masked_loss"] is True and not options.keys() & {"mask_loss", "mask_threshold", "mask_dir"}
    (subset,) = bench.dataset(keys)["datasets"][0]["subsets"]
    assert subset["conditioning_data_dir"] == str(masks) and "mask_dir" not in subset
    for neutral in (0, 1, "1", 1.0):
        assert bench.errors({**keys, "mask_threshold": neutral}) == []
    assert "mask_threshold: this trainer's masked loss has no threshold" in str(
        bench.errors({**keys, "mask_threshold": 0.5})
    )
    off = {**keys, "mask_loss": False, "mask_threshold": 0.5}
    assert bench.errors(off) == [] and "masked_loss" not in bench.training(off)
    assert "mask_dir is dropped: mask_loss is off" in str(bench.problems(off))
    assert "mask_loss is on and" in str(bench.errors({"mask_loss": True}))


def test_masks_of_a_fork(bench, tmp_path):
    masks = make_pictures(tmp_path / "masks", captions=0)
    extra = '    parser.add_argument("--mask_loss", action="store_true")\n'
    extra += '    parser.add_argument("--mask_threshold", type=float, default=1.0)\n'
    fork = {"repo_dir": str(make_repo(tmp_path / "fork", extra)), "mask_dir": str(masks)}
    options = bench.training({**fork, "mask_loss": True, "mask_threshold": 0.5})
    assert (options["mask_loss"], options["mask_threshold"]) == (True, 0.5) and "masked_loss" not in options
    assert bench.dataset({**fork, "mask_loss": True})["datasets"][0]["subsets"][0]["mask_dir"] == str(masks)


# table 3

PLACES = {
    "image_dir",
    "metadata_file",
    "conditioning_data_dir",
    "mask_dir",
    "num_repeats",
    "class_tokens",
    "is_reg",
    "alpha_mask",
}
"""Written with the subset."""
GIVEN = {
    **dict.fromkeys("enable_wildcard shuffle_caption flip_aug color_aug random_crop alpha_mask is_reg".split(), True),
    **dict.fromkeys("bucket_no_upscale cache_info".split(), True),
    **dict.fromkeys("num_repeats keep_tokens token_warmup_min caption_dropout_every_n_epochs".split(), 3),
    **dict.fromkeys("caption_dropout_rate caption_tag_dropout_rate token_warmup_step validation_split".split(), 0.25),
    **dict.fromkeys("keep_tokens_separator secondary_separator caption_separator".split(), ";;"),
    **dict.fromkeys("caption_prefix caption_suffix class_tokens".split(), "a word"),
    "resolution": 640,
    "min_bucket_reso": 128,
    "max_bucket_reso": 2048,
    "bucket_reso_steps": 32,
    "enable_bucket": False,
    "caption_extension": ".tags",
    "validation_seed": 5,
    "resize_interpolation": "area",
    "face_crop_aug_range": [1.0, 3.0],
    "custom_attributes": {"a": 1},
}


@pytest.mark.parametrize("key", sorted(DATASET - {"image_dir", "mask_dir"}))
def test_dataset_options_go_to_the_dataset_toml(bench, tmp_path, key):
    masks = make_pictures(tmp_path / "masks", captions=0)
    (tmp_path / "meta.json").write_text("{}", encoding="utf-8")
    paths = {"conditioning_data_dir": str(masks), "metadata_file": str(tmp_path / "meta.json")}
    value = paths.get(key, GIVEN.get(key))
    keys = {key: "1.0,3.0" if key == "face_crop_aug_range" else value}
    document = bench.dataset(keys)
    where = document["datasets"][0]["subsets"][0] if key in PLACES else document["general"]
    assert where[key] == value and type(where[key]) is type(value)
    assert key not in bench.training(keys) and key not in " ".join(bench.prepare(keys).argv)


# sections 4 and 5, every run


@pytest.mark.parametrize(
    ("key", "value", "given"),
    [
        ("save_every_n_epochs", 1, 4),
        ("save_model_as", "safetensors", "ckpt"),
        ("max_token_length", 225, 150),
        ("max_data_loader_n_workers", 4, 1),
        ("persistent_data_loader_workers", True, False),
        ("cache_latents", True, False),
    ],
)
def test_written_unless_given(bench, key, value, given):
    assert bench.training({})[key] == value
    assert bench.training({key: given})[key] == given == bench.training({}, {key: given})[key]


@pytest.mark.parametrize("key", ["output_dir", "output_name", "logging_dir", "dataset_config", "training_comment"])
def test_each_run_has_its_own(bench, key):
    runs = bench.runs({"unet_lr_list": [1e-4, 2e-4], "log_with": "tensorboard"})
    launches = [sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context) for run in runs]
    assert len({toml.loads(launch.files["training.toml"])[key] for launch in launches}) == 2


AXES = sorted(
    ({*OURS, *ALIASES, *DATASET, *TRANSLATED, "learning_rate", "custom_dataset", "gor_ortho_decay"})
    - WHOLE_SWEEP
    - MASKED
)


@pytest.mark.parametrize("key", sorted(AXES))
def test_every_key_makes_an_axis(key):
    """Values that the trained model does not depend on are the same settings: listed, and run once."""
    points = list(expand(settings({f"{key}_list": ["a", "b"]})).points())
    assert [point.index for point in points] == [0, 1]
    assert isinstance(points[0], Run) and points[0].varied == {key: "a"}
    assert isinstance(points[1], Run) or (isinstance(points[1], Dropped) and "same settings" in points[1].reason)
    one = list(expand(settings({f"{key}_list": ["a"]})).points())
    assert len(one) == 1 and one[0].varied == {} and one[0].options[ALIASES.get(key, key)].value == "a"


@pytest.mark.parametrize("key", sorted(WHOLE_SWEEP))
def test_what_the_whole_sweep_shares_is_no_axis(key):
    with pytest.raises(UserError, match=key):
        expand(settings({f"{key}_list": ["a", "b"]}))


def settings(keys):
    return merge([built_in(), Layer(Source("tuning file", "t.json"), {"project_name_base": "p", **keys})])[0]
