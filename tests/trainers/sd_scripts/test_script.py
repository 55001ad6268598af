"""Which script of a repository trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.trainers.sd_scripts.script import TINY, find_script


def test_the_script_by_family(tmp_path):
    for name in ("train_network", "sdxl_train_network", "flux_train_network", "hunyuan_image_train_network"):
        (tmp_path / f"{name}.py").touch()

    def found(train_script: str | None = None, model_type: str | None = None, sdxl: bool = False) -> str:
        path = find_script(tmp_path, train_script, model_type, sdxl)
        assert path.is_absolute()
        return path.name

    assert found() == found(model_type="") == found(model_type="sd15") == "train_network.py"
    assert (
        found(sdxl=True) == found(model_type="sdxl") == found(model_type="SDXL", sdxl=True) == "sdxl_train_network.py"
    )
    assert found(model_type="flux") == "flux_train_network.py"
    assert found(model_type="hunyuan-image") == "hunyuan_image_train_network.py"
    assert found(train_script="flux_train_network.py", model_type="sd3", sdxl=True) == "flux_train_network.py"


def test_the_script_in_a_gui(tmp_path):
    (tmp_path / "sd-scripts").mkdir()
    with pytest.raises(UserError, match="git submodule update --init"):
        find_script(tmp_path, None, None, False)
    (tmp_path / "sd-scripts" / "train_network.py").touch()
    assert find_script(tmp_path, None, None, False) == tmp_path / "sd-scripts" / "train_network.py"


def test_a_missing_script_names_those_that_exist(tmp_path):
    (tmp_path / "train_network.py").touch()
    (tmp_path / "train_db.py").touch()
    for given, says in [
        (("train_netwrok.py", None, False), r"train_script: .*mean train_network\.py.*\? it has train_db\.py,"),
        ((None, "flux", False), r"model_type: .*flux_train_network\.py.*it has train_db\.py"),
        ((None, "../up", False), "is not a model type"),
        ((None, "flux", True), "two different models"),
        (("a\0b", None, False), "has no script"),
        (("x" * 5000, None, False), "repo_dir"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=says):
            find_script(tmp_path, *given)
    for repo, says in [
        (tmp_path / "none", "there is no folder"),
        (tmp_path / "train_db.py", "there is no folder"),
        (Path("~nobody-at-all/x"), "repo_dir"),
        (Path("a\0b"), "repo_dir"),
        (tmp_path, "is it a folder of kohya-ss/sd-scripts"),
    ]:
        for script in tmp_path.glob("*.py"):
            if repo == tmp_path:
                script.unlink()
        with pytest.raises(UserError, match=says):
            find_script(repo, None, None, False)


def test_the_built_in_trainer_needs_no_import():
    assert find_script(Path("tiny"), None, None, False) == TINY / "train_network.py"
