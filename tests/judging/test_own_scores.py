"""A program of the command trainer that writes its own scores, through a whole sweep."""

from __future__ import annotations

import sys
from pathlib import Path

from automate_train.store.layout import SweepFolder
from automate_train.store.scores import read_scores

PROGRAM = """
import json, os, sys
path = os.path.join(sys.argv[1], "x-000002.pt")
open(path, "w").close()
with open(os.environ["AUTOMATE_TRAIN_SCORES"], "a") as file:
    for item, score in {"prompt 1": 0.25, "prompt 2": float(sys.argv[2])}.items():
        file.write(json.dumps({"checkpoint": path, "item": item, "score": score}) + "\\n")
"""


def test_a_programs_scores_are_read_with_run_and_epoch(automate_train, sweep_files, tmp_path: Path):
    (tmp_path / "train.py").write_text(PROGRAM)
    flags = sweep_files([sys.executable, str(tmp_path / "train.py"), "{output_dir}", "{lr}"], {"lr_list": [0.5, 0.75]})
    done = automate_train(*flags)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = read_scores(SweepFolder(tmp_path / "out", "p"))
    assert [(each.epoch, each.item, each.score, each.measure) for each in scores] == [
        (2, "prompt 1", 0.25, "reported"),
        (2, "prompt 2", 0.5, "reported"),
        (2, "prompt 1", 0.25, "reported"),
        (2, "prompt 2", 0.75, "reported"),
    ]
    assert len({each.run_key for each in scores}) == 2
    assert all(each.checkpoint.endswith("/attempt-1/output/x-000002.pt") for each in scores)
