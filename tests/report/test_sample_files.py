"""Sample pictures as they are in an attempt's folder."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from report_kit import Sweep, data_of


def test_the_trainers_own_pictures_have_their_step_seed_and_prompt(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (tmp_path / "prompts.txt").write_text("# none\na cat --w 64 --d 7\na dog\n", encoding="utf-8")
    sweep.options["prompt_path"] = "../prompts.txt"
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=0)
    samples = attempt / "output" / "sample"
    for name in (
        "boats_e000002_00_20260101120000_7",
        "boats_e000002_01_20260101120000",
        "boats_000150_00_20260101120000_7",
    ):
        Image.new("RGB", (8, 8)).save(samples / f"{name}.png")
    (samples / "boats_e000002_01_20260101120001.png").write_bytes(b"half")
    with (attempt / "events.jsonl").open("a") as out:
        out.write('{"at": 200, "kind": "checkpoint", "path": "x", "which": "epoch", "epoch": 2, "step": 99}\n')
    data = data_of(sweep.build().path)
    assert [prompt["text"] for prompt in data["prompts"]] == ["a cat", "a dog"]
    assert (data["unit"], data["checkpoints"]) == ("step", [99, 150])
    assert len(data["runs"][0]["pictures"]["checkpoint"]) == 3


def test_pictures_of_the_first_edition_are_of_one_prompt_whatever_their_lora_is_called(tmp_path: Path):
    """Their JSON has the text that was sent, with the tag of the checkpoint, and not the words alone."""
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2, prompts=["a boat"])
    for file in (attempt / "output" / "sample").glob("*.json"):
        fields = json.loads(file.read_text())
        del fields["words"]
        file.write_text(json.dumps(fields))
    assert [prompt["text"] for prompt in data_of(sweep.build().path)["prompts"]] == ["a boat"]
