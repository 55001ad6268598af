"""A whole sweep with a WebUI beside it: real trainings, a real server, the sampler as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import webui_kit
from webui_kit import until

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart"


@pytest.fixture
def files(tmp_path):
    """Writes the two configs of a sweep of two runs; returns the flags."""

    def write(url: str, **more: object) -> list[str]:
        (tmp_path / "prompts.txt").write_text("a red boat --d 1 --s 2\na blue boat --d 2 --s 2\n")
        default = {
            "project_name_base": "p", "repo_dir": "tiny", "images_folder": str(QUICKSTART / "images"),
            "caption_extension": ".txt", "resolution": 64, "num_repeats": 1, "epoch_num": 2, "train_batch_size": 4,
            "mixed_precision": "no", "launcher": "python", "temp_dir": "out", "target_path": "loras", "seed": 1,
            "prompt_path": "prompts.txt", "use_external_webui": True, "webui_url": url, **more,
        }  # fmt: skip
        (tmp_path / "default.json").write_text(json.dumps(default))
        (tmp_path / "tuning.json").write_text(json.dumps({"network_dim_list": [2, 4]}))
        return ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json", "--cpu", "2"]

    return write


def pictures(folder: Path) -> dict[str, dict[str, object]]:
    """Run's folder / picture -> what its .json says."""
    found = folder.glob("out/p/*/attempt-1/output/sample/*.json")
    return {f"{file.parts[-5]}/{file.stem}": json.loads(file.read_text()) for file in found}


@pytest.mark.slow
def test_each_checkpoint_is_sampled_and_nothing_is_left_on_the_server(automate_train, files, tmp_path):
    with webui_kit.running(tmp_path / "server", seconds=0.1, auth="bob:sesame") as double:
        done = automate_train(*files(double.url, webui_auth="bob:sesame"))
        assert done.returncode == 0, done.stdout + done.stderr
        made = pictures(tmp_path)
        log = double.log()
    assert len(made) == 2 * 2 * 2, done.stdout  # runs x epochs x prompts
    assert {each["state"] for each in made.values()} == {"done"}
    assert all((tmp_path / "out/p").glob(f"{name.split('/')[0]}/attempt-1/output/sample/{each['png']}")
               for name, each in made.items())  # fmt: skip
    assert log["files"] == [] and "8 samples" in done.stdout
    written = [
        *(tmp_path / "out").rglob("*.json*"),
        *(tmp_path / "out").rglob("*.sqlite*"),
        *(tmp_path / "out").rglob("*.log"),
    ]
    assert written and not any(b"sesame" in file.read_bytes() for file in written)
    assert "sesame" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_killed_sampler_is_started_again(automate_train, files, tmp_path):
    with webui_kit.running(tmp_path / "server", seconds=0.5) as double:
        command = [sys.executable, "-m", "automate_train", *files(double.url)]
        sweep = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            until(lambda: len(pictures(tmp_path)) >= 2, 60)
            holder = json.loads((tmp_path / "out/p/sampler.lock").read_text())
            os.kill(holder["pid"], signal.SIGKILL)
            said = sweep.communicate(timeout=90)[0]
        finally:
            sweep.kill()
        left = double.log()["files"]
    assert left == [], said
    assert sweep.returncode == 0 and "it is started again" in said, said
    assert len(pictures(tmp_path)) == 8, said


def test_without_a_server_nothing_starts(automate_train, files, tmp_path):
    done = automate_train(*files("http://127.0.0.1:1"))
    assert done.returncode == 2 and "http://127.0.0.1:1" in done.stderr and "webui_url" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--samples-must",), 1)])
def test_a_sample_that_fails_counts_where_that_is_wished(automate_train, files, tmp_path, flags, code):
    with webui_kit.running(tmp_path / "server", seconds=0.01) as double:
        double.fault({"on": "POST /upload_lora_model", "what": "early", "status": 413, "times": -1})
        done = automate_train(*files(double.url), *flags)
        assert done.returncode == code and "samples: 8 failed" in done.stdout, done.stdout + done.stderr


def test_the_help_of_sample_needs_no_network_library():
    code = "import sys; from automate_train.cli.sample import parser; parser(); sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_new_prompts_for_a_sweep_that_is_over(automate_train, files, tmp_path):
    with webui_kit.running(tmp_path / "server", seconds=0.05) as double:
        assert automate_train(*files("", use_external_webui=False, prompt_path=None)).returncode == 0
        assert pictures(tmp_path) == {}
        (tmp_path / "new.txt").write_text("a green boat\n")
        flags = ["--prompt_path", "new.txt", "--webui_url", double.url, "--only", "1"]
        done = automate_train("sample", "out/p", *flags)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {name[:3] for name in pictures(tmp_path)} == {"001"} and len(pictures(tmp_path)) == 2
