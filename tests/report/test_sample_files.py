"""Sample pictures as they are in an attempt's folder."""

from __future__ import annotations

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
