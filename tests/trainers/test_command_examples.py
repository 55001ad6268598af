"""The command trainer's examples: configs/hcp-diffusion and configs/euge-trainer plan and run, with a small stand-in
for each program that takes the same arguments and no others; the program of docs/command.md, and its events."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from webui_kit import running

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
LAUNCH = ["launch", "--num_machines", "1", "--num_processes", "1", "--main_process_port"]
STAND_IN = f"""#!{sys.executable}
import json, os, struct, sys
def save(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    header = json.dumps({{"w": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + bytes(4))
launch, port, rest = sys.argv[1:7], sys.argv[7], sys.argv[8:]
assert launch == {LAUNCH} and 1024 < int(port) < 65536, sys.argv
assert os.environ["VIRTUAL_ENV"] == os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
"""
HCP = """
assert rest[:3] == ["-m", "hcpdiff.train_ac", "--cfg"] and os.path.isfile(rest[3]), rest
given = dict(text.split("=", 1) for text in rest[4:])
known = {"exp_dir", "seed", "model.pretrained_model_name_or_path", "data.dataset1.batch_size", "train.train_steps",
         "data.dataset1.source.data_source1.img_root", "train.scheduler.num_training_steps", "train.save_step",
         "lora_unet", "lora_text_encoder", "logger"}
assert set(given) == known, given
assert given["lora_unet"].startswith("[{lr: ") and given["lora_unet"].endswith(r"'re:.*\\.attn.?$', 're:.*\\.ff$']}]")
assert int(given["data.dataset1.batch_size"]) in (2, 4) and given["lora_text_encoder"] == "null"
total = int(given["train.train_steps"])
assert given["logger"] == f"[{{_target_: events_logger.EventsLogger, _partial_: true, total_steps: {total}}}]", given
sys.path.append(os.environ["PYTHONPATH"])
from events_logger import EventsLogger
for folder in (given["exp_dir"], None):  # of the first process, of another one
    logger = EventsLogger(exp_dir=folder, total_steps=total)
    logger.info("***** Running training *****")
    for step in (100, total):
        logger.log({"LR_model": {"data": [1e-4]}, "Loss": {"format": "{:.5f}", "data": [0.5]}}, step=step)
        if logger.folder:
            save(f"{given['exp_dir']}/ckpts/unet-{step}.safetensors")
        logger.info(f"Saved state, step: {step}")
"""
EUGE = """
script, config, *rest = rest
assert os.path.isfile(script) and os.path.isfile(config.removeprefix("--config=")), (script, config)
given = dict(text.removeprefix("--config.").split("=", 1) for text in rest)
known = {"output_dir", "pretrained_model_name_or_path", "learning_rate", "optimizer_type", "batch_size",
         "num_train_epochs", "save_on_exception"}
import runpy
given_config = runpy.run_path(config.removeprefix("--config="))["get_config"]()
assert given_config.image_dirs == ["/data/character"] and given["save_on_exception"] == "False"
assert set(given) == known and float(given["learning_rate"]) < 1e-3, given
save(f"{given['output_dir']}/models/output_ep1_step10.safetensors")
"""
CASES = {
    "hcp-diffusion": (HCP, ["cfgs/train/examples/lora_conventional.yaml"], 3),
    "euge-trainer": (EUGE, ["sdxl_train.py", "configs/train_config.py"], 4),
}


@pytest.fixture(params=CASES)
def example(request, tmp_path: Path) -> tuple[list[str], int]:
    """(the flags of an example's sweep with a stand-in for its program, how many runs it has)."""
    stand_in, files, runs = CASES[request.param]
    for name in files:
        (tmp_path / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repo" / name).write_text("import types\nget_config = types.SimpleNamespace\n")
    accelerate = tmp_path / "venv" / "bin" / "accelerate"
    accelerate.parent.mkdir(parents=True)
    accelerate.write_text(STAND_IN + stand_in)
    accelerate.chmod(0o755)
    configs = tmp_path / "automate-train" / "configs" / request.param
    shutil.copytree(ROOT / "configs" / request.param, configs)
    file = configs / "default.json"
    file.write_text(file.read_text().replace("/data/automate-train", str(tmp_path / "automate-train")))
    flags = [
        "--default_config_path",
        str(configs / "default.json"),
        "--tuning_config_path",
        str(configs / "tuning.json"),
    ]
    for key, value in {"cwd": "repo", "venv_path": "venv", "temp_dir": "out", "target_path": "loras"}.items():
        flags += ["--set", f"{key}={tmp_path / value}"]
    return [*flags, "--cpu", "2"], runs


def test_an_example_plans_and_runs(automate_train, example, tmp_path):
    flags, runs = example
    plan = json.loads(automate_train(*flags, "--dry-run", "--json").stdout)
    assert len(plan["runs"]) == runs and plan["problems"] == []
    done = automate_train(*flags)
    assert done.returncode == 0, done.stdout + done.stderr
    loras = sorted(path.name for path in (tmp_path / "loras").iterdir())
    assert [name.endswith(".json") for name in loras] == [True, False] * runs
    [project] = [path for path in (tmp_path / "out").iterdir() if (path / "results.csv").exists()]
    rows = list(csv.DictReader((project / "results.csv").open(encoding="utf-8")))
    assert [row["state"] for row in rows] == ["succeeded"] * runs
    if project.name == "hcp-lora":
        assert {(row["steps"], row["final_loss"]) for row in rows} == {("1000", "0.5")}
        assert all(row["checkpoint"].endswith("/output/ckpts/unet-1000.safetensors") for row in rows)


def documented_program() -> str:
    """Both programs one after the other: what reports events, and what reports scores."""
    events, scores = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    return f"{events}\n{scores}"


def test_the_documented_program_has_a_curve_and_a_row(automate_train, sweep_files, tmp_path):
    (tmp_path / "train.py").write_text(documented_program())
    done = automate_train(*sweep_files([sys.executable, "train.py"]))
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = csv.DictReader((tmp_path / "out/p/results.csv").open(encoding="utf-8"))
    assert (
        row["steps"] == "20"
        and float(row["final_loss"]) == 0.05
        and float(row["epoch_loss"]) == pytest.approx(sum(1 / step for step in range(11, 21)) / 10)
    )
    assert "0.05" in (tmp_path / "out/p/report.html").read_text(encoding="utf-8")


def test_the_documented_example_plans(automate_train, tmp_path):
    [example] = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "sweep.json").write_text(example)
    plan = json.loads(automate_train("--tuning_config_path", "sweep.json", "--dry-run", "--json", "--cpu").stdout)
    assert [run["argv"][3] for run in plan["runs"]] == ["1e-4", "2e-4"] and plan["problems"] == []


HOSTILE = """
import os
with open(os.environ["AUTOMATE_TRAIN_EVENTS"], "ab") as file:
    file.write(b'{"at": 1, "kind": "metrics", "step": 1e999, "loss": "x"}\\nnot json\\n\\xff\\xfe\\n[]\\n{"at": 2}\\n')
    file.write(b'{"at": 1e999, "kind": "metrics", "step": 3}\\n{"at": 3, "kind": "checkpoint", "path": 7}\\n')
    file.write(b'{"at": 4, "kind": "metrics", "step": 5, "loss": NaN, "lr": [1]}\\n')
    file.write(b'{"at": 5, "kind": "metrics", "step": 6, "loss": 0.5}\\n{"at": 6, "kind": "metr')
"""


def test_hostile_and_half_lines_never_fail_a_run_or_its_page(automate_train, sweep_files, tmp_path):
    (tmp_path / "train.py").write_text(HOSTILE)
    done = automate_train(*sweep_files([sys.executable, "train.py"]))
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = csv.DictReader((tmp_path / "out/p/results.csv").open(encoding="utf-8"))
    assert (row["steps"], row["final_loss"]) == ("6", "0.5")
    assert (tmp_path / "out/p/report.html").exists() and not (tmp_path / "out/p/report-error.txt").exists()


CHECKPOINT = f"""{STAND_IN.split("launch, port")[0]}
import time
path = os.environ["OUT"] + "/lora.safetensors"
save(path)
with open(os.environ["AUTOMATE_TRAIN_EVENTS"], "a") as file:
    file.write(json.dumps({{"at": time.time(), "kind": "checkpoint", "path": path, "epoch": 1, "step": 10}}) + "\\n")
"""


def test_a_reported_checkpoint_is_sampled_on_a_webui(automate_train, sweep_files, tmp_path):
    (tmp_path / "train.py").write_text(CHECKPOINT)
    (tmp_path / "prompts.txt").write_text("a boat --w 64 --h 64 --s 1 --d 1\n")
    with running(tmp_path / "server") as double:
        keys = {"prompt_path": "prompts.txt", "use_external_webui": True, "webui_url": double.url}
        done = automate_train(*sweep_files([sys.executable, "train.py"], {"env": {"OUT": "{output_dir}"}, **keys}))
    assert done.returncode == 0, done.stdout + done.stderr
    made = [path.name for path in (tmp_path / "out/p").rglob("output/sample/*.png")]
    assert len(made) == 1 and made[0].startswith("lora_")
    [row] = csv.DictReader((tmp_path / "out/p/results.csv").open(encoding="utf-8"))
    assert os.path.basename(row["checkpoint"]) == "lora.safetensors" and row["steps"] == "10"
