"""Sweeps of another program: what it reports as docs/command.md says becomes results, curves, samples and pictures."""

from __future__ import annotations

import base64
import csv
import json
import re
import sys
from pathlib import Path

import pytest
import webui_kit
from sd_scripts_kit import safetensors

from automate_train.report.sweep_data import read_sweep
from automate_train.store.layout import SweepFolder

DOCS = Path(__file__).parents[2] / "docs" / "command.md"
PROGRAM = """
import base64, os, sys
{report}
out, loss = sys.argv[1], float(sys.argv[2])
events = open(os.environ["AUTOMATE_TRAIN_EVENTS"], "ab", buffering=0)
report("training", total_steps=20, epochs=2)
for epoch in (1, 2):
    report("metrics", step=10 * epoch, epoch=epoch, loss=loss / epoch, lr={{"unet": 1e-4}})
    for hostile in (b'{{"at": 1, "kind": "metrics", "step": 1e999, "loss": "x"}}\\n', b"\\xff\\n", b"[[[[\\n",
                    b'{{"at": 1, "kind": "picture", "path": "/etc/hostname.png"}}\\n',
                    b'{{"at": 1, "kind": "picture", "path": "a\\\\u0000.png", "prompt": 3, "step": "x"}}\\n',
                    b'{{"at": 1, "kind": "picture", "path": {{}}}}\\n'):
        events.write(hostile)
    file = os.path.join(out, "my-" + ("last" if epoch == 2 else "1") + ".safetensors")
    with open(file, "wb") as saved:
        saved.write(base64.b64decode("{lora}"))
    report("checkpoint", path=file, which="last" if epoch == 2 else "epoch", epoch=epoch, step=10 * epoch)
    with open(os.path.join(out, f"{{epoch}}.png"), "wb") as drawn:
        drawn.write(base64.b64decode("{picture}"))
    report("picture", path=drawn.name, prompt="a red boat", epoch=epoch, step=10 * epoch)
events.write(b'{{"at": 1, "kind": "metr')
"""
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def flags(tmp_path, sweep_files):
    """Writes the program and the configs of a sweep of two runs that starts it in another folder."""
    (report,) = re.findall(r"```python\n(import .*?)\nreport\(", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    weights = safetensors({"lora_unet.lora_down.weight": ("F32", b"\0\0\x80\x3f")})
    lora = base64.b64encode(weights).decode()
    (tmp_path / "repo").mkdir()
    program = PROGRAM.format(report=report, lora=lora, picture=PICTURE)
    (tmp_path / "repo" / "train.py").write_text(program, encoding="utf-8")
    (tmp_path / "prompts.txt").write_text("a blue boat --d 1 --s 2\n")

    def write(**more: object) -> list[str]:
        command = [sys.executable, "train.py", "{output_dir}", "{loss.start}"]
        return sweep_files(command, {"loss.start_list": [0.5, 0.25]}, cwd="repo", target_path="loras", **more)

    return write


def test_what_a_program_reports_is_what_people_see(automate_train, flags, tmp_path):
    done = automate_train(*flags())
    assert done.returncode == 0, done.stdout + done.stderr
    loras = sorted(path.name for path in (tmp_path / "loras").iterdir() if path.is_file())
    assert loras == [f"p_loss.start-{loss}.{end}" for loss in ("0.25", "0.5") for end in ("json", "safetensors")]
    with (tmp_path / "out/p/results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["final_loss"], row["steps"]) for row in rows] == [("0.25", "20"), ("0.125", "20")]
    assert [Path(row["checkpoint"]).name for row in rows] == ["my-last.safetensors"] * 2
    assert [Path(row["lora"]).name for row in rows] == [loras[3], loras[1]]
    data = read_sweep(SweepFolder(tmp_path / "out", "p"))
    first = data.run_data[0]
    assert first.curves["loss"][0] == [10, 20] and first.curves["loss"][2] == [0.5, 0.25]
    assert (first.step, first.total) == (20, 20) and set(first.curves) == {"loss", "lr/unet"}
    pictures = [(each.words, each.epoch, each.step, each.state) for each in first.pictures]
    assert pictures == [("a red boat", 1, 10, "done"), ("a red boat", 2, 20, "done")]
    assert all((data.root / each.file).is_file() for each in first.pictures)
    assert "1.png" in (tmp_path / "out/p/report.html").read_text(encoding="utf-8") or first.packed_details
    assert not (tmp_path / "repo/loras").exists(), "relative paths begin where the command was typed"


@pytest.mark.slow
def test_its_checkpoints_are_drawn_by_a_webui(automate_train, flags, tmp_path):
    with webui_kit.running(tmp_path / "server", seconds=0.05) as double:
        keys = {"use_external_webui": True, "webui_url": double.url, "prompt_path": "prompts.txt"}
        done = automate_train(*flags(**keys))
        assert done.returncode == 0, done.stdout + done.stderr
        left = double.log()["files"]
    made = [json.loads(file.read_text()) for file in tmp_path.glob("out/p/*/attempt-1/output/sample/*.json")]
    assert [each["state"] for each in made] == ["done"] * 4, done.stdout + done.stderr
    assert left == [] and {each["epoch"] for each in made} == {1, 2}
