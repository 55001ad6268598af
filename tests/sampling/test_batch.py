"""Which pictures a prompt file means."""

from __future__ import annotations

import json
from pathlib import Path

from automate_train.config.prompts import Prompt, read_prompts
from automate_train.sampling.batch import Variant, prompt_key, variants


def test_the_pictures_of_a_file_in_order(tmp_path: Path):
    entries = [
        {"prompt": "a"},
        {"prompt": "b", "lora_weights": [0.6, 0.85, 1], "baseline": True},
        {"prompt": "c", "baseline": True},
    ]
    (tmp_path / "p.json").write_text(json.dumps(entries), encoding="utf-8")
    found = variants(read_prompts(tmp_path / "p.json"))
    assert found[:2] == [Variant(0), Variant(1, 0.6)]
    assert [each.mark for each in found] == ["00", "01_w0.6", "01_w0.85", "01_w1", "01_baseline", "02", "02_baseline"]
    assert [each.baseline for each in found] == [False] * 4 + [True, False, True]


def test_a_seed_belongs_to_a_place_and_its_words():
    """The first edition's journals have seeds under these keys."""
    assert prompt_key(3, Prompt("a cat", "ugly")) == "3:0524bb1e55110f72"
