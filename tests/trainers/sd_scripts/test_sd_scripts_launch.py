"""The command, its environment and the attempt's files: golden files, GPUs, ports, the hook."""

from __future__ import annotations

import json
import socket
import sys

import golden
import pytest
import toml
from sd_scripts_kit import Bench, attempt_of, make_pictures

from automate_train.errors import UserError
from automate_train.preflight import checks
from automate_train.trainers import sd_scripts
from automate_train.trainers.sd_scripts import accelerate


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


DEFAULT = {
    "optimizer": "AdamW8bit",
    "network_dim": 64,
    "network_alpha": 8,
    "zero_terminal_snr": False,
    "gor_regularization": False,
    "gor_regularization_type": "inter",
    "face_crop_aug_range": "2.0,3.0",
    "gor_ortho_decay": 0.99,
    "conv_dim": 8,
    "conv_alpha": 1,
    "num_repeats": 15,
    "clip_skip": 1,
    "epoch_num": 15,
    "train_batch_size": 2,
    "unet_lr": 3e-05,
    "text_encoder_lr": 6e-05,
    "resolution": "768,768",
    "cuda_device": "0",
    "port": 20067,
    "v_parameterization": False,
    "log_with": "tensorboard",
    "wandb_api_key": "",
    "log_tracker_config": "",
    "webui_url": "",
    "use_external_webui": False,
    "should_wait_webui_process": False,
    "random_crop": False,
    "mask_loss": False,
    "mask_threshold": 1,
    "process_title": "character_name_lora",
    "webui_auth": "<Id>:<Password>",
}
"""The seed's default config, but for its paths."""

TUNING = {
    "project_name_base": "character_name-test-debiased-loss",
    "epoch_num": 10,
    "sample_opt": "epoch",
    "sample_num": 1,
    "seed_list": [42],
    "num_repeats_list": [15],
    "keep_tokens_list": [1],
    "unet_lr_list": [0.0001, 0.00025, 0.0004],
    "clip_skip_list": [1, 2],
    "text_encoder_lr_list": [5e-05],
    "resolution_list": [768],
    "lr_scheduler": "cosine_with_restarts",
    "lora_type": "LoRA",
    "port": 20100,
    "cuda_device": "1",
    "lbw_weights_list": ["[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"],
    "face_crop_aug_range_list": ["1.0,1.0"],
    "random_crop_list": [False],
    "debiased_estimation_loss_list": [False, True],
    "process_title": "character_name_lora_debiased_loss_sh",
}
"""The seed's tuning config, but for its paths and its WebUI."""


def pairwise(argv):
    return zip(["", *argv], argv, strict=False)


def check_golden(name, launch, bench):
    places = {"tmp": str(bench.folder), "python": sys.executable, "cwd": launch.cwd}
    golden.compare(f"{name}.training.toml", launch.files["training.toml"], **places)
    golden.compare(f"{name}.dataset.toml", launch.files["dataset.toml"], **places)
    told = {
        "argv": ["{port}" if before == "--main_process_port" else part for before, part in pairwise(launch.argv)],
        "env": dict(launch.env),
        "secrets": sorted(launch.secrets),
        "files": sorted(name for name in launch.files if not name.startswith("hook/hook_")),
        "gpus": launch.gpus,
        "keep": dict(launch.keep),
    }
    golden.compare(f"{name}.launch.json", json.dumps(told, indent=1) + "\n", **places)


def test_the_seeds_two_files(bench):
    folder = make_pictures(bench.folder / "character_name_dataset" / "15_boy")
    runs = bench.runs({**TUNING, "images_folder": str(folder)}, DEFAULT)
    assert len(runs) == 12
    context = bench.context._replace(project="character_name-test-debiased-loss")
    run = runs[7]._replace() if hasattr(runs[7], "__dataclass_fields__") else runs[7]
    launch = sd_scripts.prepare(run, attempt_of(run, context), context)
    training = launch.files["training.toml"]
    assert "clip_skip = 2" in training and "unet_lr = 0.00025" in training
    check_golden("seed", replace_key(launch, run.key), bench)


def replace_key(launch, key):
    """The run's key is the sweep's business: any change of its hash is none of the trainer's files."""
    files = {name: text.replace(key, "{key}") for name, text in launch.files.items()}
    return launch._replace(files=files)


def test_a_small_run(bench):
    run = bench.run({"unet_lr": 1e-4, "epoch_num": 2})
    launch = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context)
    check_golden("small", replace_key(launch, run.key), bench)


def test_two_gpus(bench):
    run = bench.run({"cuda_device": "1,2", "precision_type": "bf16", "target_path": str(bench.folder / "results")})
    launch = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context)
    assert launch.gpus == 2
    check_golden("two-gpus", replace_key(launch, run.key), bench)


def test_on_the_cpu_by_plain_python_without_the_hook(bench):
    run = bench.run({"launcher": "python", "hook": False, "cuda_device": "1,2"})
    context = bench.context._replace(cpu=True)
    launch = sd_scripts.prepare(run, attempt_of(run, context), context)
    assert launch.gpus == 0 and launch.argv[1:] == (
        str(bench.repo / "train_network.py"),
        "--config_file",
        str(attempt_of(run, context).path / "training.toml"),
    )
    check_golden("python-cpu", replace_key(launch, run.key), bench)


def test_preparing_twice_gives_the_same(bench):
    assert bench.prepare(TUNING, DEFAULT) == bench.prepare(TUNING, DEFAULT)


@pytest.mark.parametrize(("device", "count"), [(None, 1), (0, 1), ("1", 1), ("1,2", 2), ("0, 1,2", 3), ("", 1)])
def test_gpus_are_counted_never_named(bench, device, count):
    launch = bench.prepare({"cuda_device": device})
    assert launch.gpus == count
    assert ("--multi_gpu" in launch.argv) == (count > 1)
    assert launch.argv[launch.argv.index("--num_processes") + 1] == str(count)
    assert "CUDA_VISIBLE_DEVICES" not in launch.env


def test_threads_and_workers_share_the_cores(bench):
    cases = [(1, 16, "0", 16), (4, 16, "0", 4), (1, 16, "0,1", 8), (4, 2, "0", 1), (4, 16, "0,1", 4)]
    for slots, cores, gpus, each in cases:
        bench.context = bench.context._replace(slots=slots, cores=cores)
        launch = bench.prepare({"cuda_device": gpus})
        assert launch.argv[launch.argv.index("--num_cpu_threads_per_process") + 1] == str(each)
        workers = toml.loads(launch.files["training.toml"])["max_data_loader_n_workers"]
        assert workers == min(each, 8)


def test_plain_python_gets_accelerates_environment(bench):
    launch = bench.prepare({"launcher": "python", "precision_type": "bf16"})
    assert launch.argv[1].endswith("attempt-1/hook/run.py") and "accelerate" not in launch.argv
    assert launch.env["ACCELERATE_MIXED_PRECISION"] == "bf16" and launch.env["OMP_NUM_THREADS"] == "4"
    with pytest.raises(UserError, match="starts one process"):
        bench.prepare({"launcher": "python", "cuda_device": "0,1"})
    assert "starts one process" in str(bench.errors({"launcher": "python", "cuda_device": "0,1"}))


def test_the_users_saved_accelerate_config_is_shut_out(bench):
    launch = bench.prepare({"cuda_device": "0,1"})
    path = next(part.partition("=")[2] for part in launch.argv if part.startswith("--config_file="))
    assert path.endswith("attempt-1/accelerate.json")
    config = json.loads(launch.files["accelerate.json"])
    assert (config["distributed_type"], config["gpu_ids"], config["num_processes"]) == ("MULTI_GPU", "all", 2)


def test_only_runs_with_several_processes_look_for_a_port(bench):
    assert bench.prepare({"port": 20067}).argv.count("20067") == 1
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = busy.getsockname()[1]
        argv = bench.prepare({"port": port, "cuda_device": "0,1"}).argv
        assert int(argv[argv.index("--main_process_port") + 1]) > port
    runs = bench.runs({"seed_list": [1, 2], "port": 20100, "cuda_device": "0,1"})
    ports = []
    for run in runs:
        argv = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context).argv
        ports.append(int(argv[argv.index("--main_process_port") + 1]))
    assert ports[0] < ports[1]


@pytest.mark.parametrize("value", [0, -1, 65536, 10**9, "99999", "high", 1.5, True])
@pytest.mark.parametrize("devices", ["0", "0,1"])
def test_a_port_that_is_none_names_file_and_key(bench, value, devices):
    found = checks.of_run(bench.run({"cuda_device": devices}, {"port": value}), bench.context)
    (problem,) = found
    assert (problem.severity, problem.source, problem.key) == ("error", "default file d.json", "port")
    assert "1 to 65535" in problem.message or "whole number" in problem.message
    written = checks.of_run(bench.run({"cuda_device": devices, "PORT": value}), bench.context)
    assert [(each.source, each.key) for each in written] == [("tuning file t.json", "PORT")]


def test_fewer_ports_than_runs_at_a_time(bench):
    bench.context = bench.context._replace(slots=8)
    keys = {"cuda_device": "0,1", "port": 65530}
    assert bench.errors(keys) == [
        "error port: 8 runs at a time need a port each, and from 65530 to 65535 there are 6 (choose one up to 65528)"
    ]
    assert bench.errors({**keys, "cuda_device": "0"}) == [], "one process a run opens no port"
    assert bench.errors({**keys, "port": 65528}) == []
    with pytest.raises(UserError, match="port: 8 runs at a time"):
        bench.prepare(keys)
    bench.context = bench.context._replace(slots=1)
    assert bench.errors({**keys, "port": 65535}) == []


def test_one_run_at_a_time_takes_the_first_free_port(bench):
    bench.context = bench.context._replace(slots=1)
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = busy.getsockname()[1]
        runs = bench.runs({"seed_list": [1, 2], "port": port, "cuda_device": "0,1"})
        for run in runs:
            argv = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context).argv
            assert port < int(argv[argv.index("--main_process_port") + 1]) < port + 200


@pytest.mark.parametrize("first", [1024, 29500, 65400, 65528])
def test_runs_at_one_time_do_not_try_each_others_ports(first):
    tried = [accelerate.ports(first, index, 8) for index in range(8)]
    assert all(first <= port <= 65535 for each in tried for port in each)
    assert len({each[0] for each in tried}) == 8
    for place in range(2):  # also when somebody else has taken them
        assert len({each[place] for each in tried}) == 8
    assert set(accelerate.ports(65400, 3, 8)) == set(range(65400, 65536)), "all that there are"
    assert accelerate.ports(65530, 0, 1) == list(range(65530, 65536))


def test_a_range_without_a_free_port_is_a_problem(bench):
    bench.context = bench.context._replace(slots=1)
    with socket.socket() as busy:
        busy.bind(("", 65535))
        (problem,) = sd_scripts.problems(bench.run({"cuda_device": "0,1", "port": 65535}), bench.context)
        assert (problem.source, problem.key) == ("tuning file t.json", "port")
        assert problem.message == "none of 1 ports from 65535 on is free"
        assert accelerate.free_port([65535]) is None
    assert accelerate.free_port([65535, 65534]) == 65535


def test_the_hooks_sources_travel_with_the_attempt(bench):
    launch = bench.prepare({"process_title": "my lora", "log_with": "tensorboard"})
    assert {"hook/run.py", "hook.json"} <= launch.files.keys()
    assert not any("__init__" in name for name in launch.files)
    told = json.loads(launch.files["hook.json"])
    training = toml.loads(launch.files["training.toml"])
    assert told["process_title"] == "python/my lora" and told["run_name"] == "p"
    assert (told["output_dir"], told["output_name"]) == (training["output_dir"], training["output_name"])
    assert told["tracker_home"] == f"{bench.context.temp_dir}/_logs"
    assert launch.env["AUTOMATE_TRAIN_ATTEMPT"] == str(attempt_of(bench.run({}), bench.context).path)
    assert launch.env["PYTHONUNBUFFERED"] == "1" and launch.env["COLUMNS"] == "300"
    plain = bench.prepare({"hook": False, "process_title": "x"})
    assert not any("hook" in name for name in plain.files) and "AUTOMATE_TRAIN_ATTEMPT" not in plain.env
    assert "process_title: has no effect without the hook" in str(bench.problems({"hook": False, "process_title": "x"}))
