"""A command that follows a sweep: what becomes of it when it ends by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

from automate_train.machine.following_process import Following, FollowingProcess


def wait_for_its_end(process: FollowingProcess) -> None:
    while process.running():
        time.sleep(0.02)


def test_one_that_refuses_is_not_started_again_before_the_end(tmp_path: Path):
    said: list[str] = []
    process = FollowingProcess(Following("judge", str(tmp_path), "judge", "judge"), os.environ, said.append)
    process.update(news=False)
    wait_for_its_end(process)
    refusals = [line for line in said if "no sweep here" in line]
    assert len(refusals) == 1 and f"exit code 2); later: automate-train judge {tmp_path}" in said[-1], said
    process.update(news=True)
    assert not process.running()
    process.finish()
    wait_for_its_end(process)
    assert len([line for line in said if "no sweep here" in line]) == 2 and "started again" not in "".join(said)
    assert not process.all_made
