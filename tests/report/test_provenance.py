"""Where a sweep comes from, without its secrets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from automate_train.records import Setting, Source, SweepContext
from automate_train.report.provenance import collect, commit, masked_text, package_versions


def test_provenance_masks_secrets_and_reads_the_trainers_commit(tmp_path: Path):
    config = tmp_path / "d.json"
    config.write_text('{"unet_lr": 1e-4, // "x"\n "wandb_api_key": "abc\\"def", "huggingface_token": "t0",\n'
                      ' "webui_auth_list": ["u:p1", "u:p2"], "webui_url": "http://me:hidden@host:7860"}')  # fmt: skip
    git = tmp_path / "repo" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\n" + "a" * 40 + " refs/heads/main\n")
    options = {"repo_dir": str(tmp_path / "repo"), "venv_path": None}
    context = SweepContext(str(tmp_path), "boats", command=("--cpu",), config_files={"default file": str(config)})
    settings = {key: Setting(value, Source("default file"), key) for key, value in options.items()}
    found = collect(context, settings, ["a GPU"])
    assert (
        found["command"] == ["--cpu"]
        and found["trainer"]["commit"] == "a" * 40
        and found["packages"]["torch"]
        and found["gpus"] == ["a GPU"]
    )
    (file,) = found["files"]
    assert not [secret for secret in ("abc", "def", "t0", "p1", "p2", "hidden") if secret in file["text"]]
    assert file["text"].startswith('{"unet_lr": 1e-4, // "x"\n') and file["text"].count("***") == 4
    assert masked_text("wandb_api_key = 'x' # why\nport = 1", "d.toml") == 'wandb_api_key = "***" # why\nport = 1'
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert commit(tmp_path / "repo") == "b" * 40 and commit(tmp_path) == ""
    assert package_versions(tmp_path / "no") == {}


def test_versions_come_from_the_folders_of_a_virtual_environment(tmp_path: Path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("torch-2.1.0+cu118.dist-info", "lycoris_lora-3.0.0.dist-info", "numpy-1.26-py3.11.egg-info", "torch"):
        (packages / name).mkdir(parents=True)
    assert package_versions(tmp_path) == {"torch": "2.1.0+cu118", "lycoris-lora": "3.0.0", "numpy": "1.26"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("d.json", '{"wandb_api\\u005fkey": "Secret-1"}'),
        ("d.json", '{"wandb_api_key": "\\u0053ecret-1", "a": 1}'),
        ("d.json", '{"webui_auth": {"a": ["bob:Secret-1"]}}'),
        ("d.json", '{"webui_url": "http://bob:Secret-1@host", "webui_urls": ["bob:Secret-1@b:7860"]}'),
        ("d.json", '{"a": 1, // "wandb_api_key": "Secret-1"\n "b": 2}'),
        ("d.toml", 'wandb_api_key = """\nSecret-1"""\n'),
        ("d.toml", "[a]\nwandb_api_key = '''Secret-1'''\n"),
    ],
)
def test_a_secret_is_hidden_however_it_is_spelled(path: str, text: str):
    shown = masked_text(text, path)
    assert "ecret-1" not in shown and "***" in shown, shown


def test_a_long_word_does_not_keep_the_sweep_from_ending():
    text = f'{{"x": "{"y" * 300_000}", "webui_url": "http://me:hidden@host:7860"}}'
    began = time.monotonic()
    assert masked_text(text, "d.json") == text.replace("me:hidden", "***")
    assert time.monotonic() - began < 60, "it took minutes: a login was looked for at each letter"
