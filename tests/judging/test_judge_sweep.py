"""A sweep with held-out pictures judges by itself, with the tiny trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automate_train.store.layout import SweepFolder
from automate_train.store.scores import read_scores

PICTURES = Path(__file__).parents[2] / "configs/quickstart/images"
KEYS = {
    "project_name_base": "p", "repo_dir": "tiny", "images_folder": "pictures", "caption_extension": ".txt",
    "num_repeats": 1, "resolution": 32, "network_dim": 2, "network_alpha": 2, "epoch_num": 2, "train_batch_size": 4,
    "optimizer": "AdamW", "unet_lr": 1e-3, "mixed_precision": "no", "temp_dir": "out", "launcher": "python",
    "held_out": 2,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("judge", ["after", "beside", "off"])
def test_a_sweep_judges_by_itself(automate_train, tmp_path: Path, judge: str):
    (tmp_path / "pictures").symlink_to(PICTURES)
    (tmp_path / "default.json").write_text(json.dumps({**KEYS, "judge": judge, "seed_list": [1, 2]}))
    done = automate_train("--default_config_path", "default.json", "--cpu", "1", seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = read_scores(SweepFolder(tmp_path / "out", "p"))
    if judge == "off":
        assert scores == [] and "judged" not in done.stdout
        return
    assert "judge: judged 4 of 4 checkpoints" in done.stdout and "\njudged 4 of 4 checkpoints" in done.stdout
    assert len(scores) == 5 * 2 and len({each.measure for each in scores}) == 1
    assert sorted((each.epoch or 0) for each in scores if each.item == scores[0].item) == [0, 1, 1, 2, 2]
    assert "judged 4 of 4 checkpoints" in automate_train("status", "out").stdout
