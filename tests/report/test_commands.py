"""`report`, `grid`, `best` as they are typed, provenance, strips, and what a wheel holds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_kit import CJK, EVIL, Sweep, data_of

from automate_train.config.layers import read as read_config
from automate_train.records import Setting, Source, SweepContext
from automate_train.report.provenance import collect, commit, masked_text, package_versions
from automate_train.report.worker import write_or_explain

ROOT = Path(__file__).parents[2]


def command(*argv: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "automate_train", *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds, cwd=ROOT)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"], network_dim=["4", "16"])
    for run in made.runs():
        made.begin(
            run,
            epochs=3,
            prompts=["a boat", CJK],
            end="succeeded" if run.index else "failed",
            reason="" if run.index else "no memory",
        )
    return made


def marks_file(sweep: Sweep, *marks: dict[str, Any]) -> Path:
    file = sweep.path / "marks.json"
    file.write_text(json.dumps({"kind": "automate-train marks", "marks": marks}))
    return file


def test_report_says_where_the_page_is_and_puts_marks_back(sweep: Sweep, tmp_path: Path):
    mark = {"id": "00000001", "run": "00000001" + "0" * 8, "star": True, "note": EVIL, "at": 5}
    out = tmp_path / "else where" / "a b.html"
    done = command("report", sweep.path, "--out", out, "--marks", marks_file(sweep, mark))
    assert done.returncode == 0 and done.stdout.startswith(f"{out}   4 runs, 24 pictures"), done.stderr
    data = data_of(out)
    assert data["marks"] == [mark] and data["thumbs"] == "a%20b_files/thumbs/"
    assert (out.parent / "a b_files" / "thumbs" / data["runs"][0]["pictures"]["thumb"][0]).exists()
    assert data["runs"][0]["log"].startswith("../boats/") and (out.parent / data["runs"][0]["log"]).exists()


def test_inline_needs_no_file_beside_it(sweep: Sweep, tmp_path: Path):
    out = tmp_path / "one" / "report.html"
    assert command("report", sweep.path, "--inline", "--out", out).returncode == 0
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    shown = data_of(out)["runs"][0]["pictures"]["thumb"][0]
    assert f'id="{shown[1:]}">data:image/jpeg;base64,' in out.read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["report", "{}", "--marks", "missing.json"], "missing.json: --marks: cannot be read"),
        (["report", "{}", "--seconds", "many"], "--seconds"),
        (["report", "nowhere"], "no sweep's journal"),
        (["grid", "{}", "--x", "unet_rl", "--y", "epoch", "-o", "/tmp/never.png"], "did you mean unet_lr"),
        (["grid", "{}", "--x", "epoch", "--y", "epoch", "-o", "/tmp/never.png"], "same axis"),
        (
            ["grid", "{}", "--x", "unet_lr", "--y", "epoch", "--prompt", "9", "-o", "/tmp/never.png"],
            "its values are 0, 1",
        ),
        (["grid", "{}", "--x", "unet_lr", "--y", "epoch", "-o", "/tmp/never.xyz"], "-o: cannot be written"),
        (["best", "{}"], "--marks marks.json"),
        (["best", "{}", "--run", "77"], "no run has the index 77"),
    ],
)
def test_mistakes_are_said_in_one_line(sweep: Sweep, argv: list[str], said: str):
    done = command(*(word.format(sweep.path) for word in argv))
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_grid_draws_each_picture_in_its_place(sweep: Sweep, tmp_path: Path):
    out = tmp_path / "grid.png"
    done = command(
        "grid",
        sweep.path,
        "--x",
        "unet_lr",
        "--y",
        "epoch",
        "--prompt",
        "1",
        "--at",
        "network_dim=16",
        "--side",
        "64",
        "-o",
        out,
    )
    assert done.returncode == 0 and "2 x 3, boats · prompt" not in done.stderr, done.stderr
    assert "network_dim = 16" in done.stdout and "2 x 3" in done.stdout
    with Image.open(out) as image:
        left, top = 150 + 6, 64
        for column, run in enumerate((1, 3)):
            for row, epoch in enumerate((1, 2, 3)):
                kind = sweep.kinds[(64, 64)][(run * 7 + epoch * 3 + 1) % 24]
                with Image.open(kind) as want:
                    x, y = left + column * 70 + 32, top + row * 70 + 32
                    here, there = image.getpixel((x, y)), want.convert("RGB").getpixel((32, 32))
                assert max(abs(a - b) for a, b in zip(here, there, strict=True)) < 40, (column, row)  # type: ignore[arg-type]


def test_best_writes_a_config_that_is_the_chosen_run(sweep: Sweep, automate_train: Any, tmp_path: Path):
    cells = [
        {
            "id": f"00000003/{epoch}/0/-",
            "run": "00000003" + "0" * 8,
            "star": True,
            "epoch": epoch,
            "note": "crisp\nlines */",
        }
        for epoch in (2, 3)
    ]
    other = {"id": "00000001/1/0/-", "run": "00000001" + "0" * 8, "star": True}
    done = command("best", sweep.path, "--marks", marks_file(sweep, other, *cells))
    assert done.returncode == 0, done.stderr
    (tmp_path / "next.json").write_text(done.stdout, encoding="utf-8")
    values = read_config(tmp_path / "next.json", "default file").values
    assert (values["unet_lr"], values["network_dim"], values["epoch_num"]) == (2e-4, 16, 3)
    assert "crisp lines" in done.stdout and "(epoch 2)" in done.stdout


def test_best_asks_when_two_runs_are_starred_alike(sweep: Sweep):
    marks = [{"id": f"{index:08x}", "run": f"{index:08x}" + "0" * 8, "star": True} for index in (1, 2)]
    done = command("best", sweep.path, "--marks", marks_file(sweep, *marks))
    assert done.returncode == 2 and "2 runs have equally many stars: 1 (" in done.stderr and "--run 1" in done.stderr
    assert command("best", sweep.path, "--marks", marks_file(sweep, *marks), "--run", "2").returncode == 0


def test_secrets_are_not_in_the_next_config(sweep: Sweep):
    sweep.options["wandb_api_key"] = "topsecret"
    run = next(iter(sweep.runs()))
    sweep.begin(type(run)(**{**vars(run), "index": 9, "number": 9, "key": "e" * 16}))
    done = command("best", sweep.path, "--run", "9")
    assert done.returncode == 0 and "topsecret" not in done.stdout


def test_strips_of_finished_runs_lie_with_the_loras(sweep: Sweep, tmp_path: Path):
    assert write_or_explain(sweep.folder) is not None
    strips = sorted(path.name for path in (tmp_path / "loras" / "grid_samples").iterdir())
    assert len(strips) == 6 and not any(name.startswith("000-") for name in strips)  # run 0 failed; 2 prompts each
    with Image.open(tmp_path / "loras" / "grid_samples" / strips[0]) as image:
        assert image.width == 3 * (96 + 6) + 6


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
    assert masked_text("wandb_api_key = 'x' # why\nport = 1") == 'wandb_api_key = "***" # why\nport = 1'
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert commit(tmp_path / "repo") == "b" * 40 and commit(tmp_path) == ""
    assert package_versions(tmp_path / "no") == {}


def test_a_wheel_holds_the_page(tmp_path: Path):
    pytest.importorskip("setuptools")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "automate_train", tmp_path / "src" / "automate_train", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "src")
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(tmp_path / "src"),
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if "/web/" in name}
    package = ROOT / "automate_train"
    assert inside == {
        f"automate_train/{path.relative_to(package)}"
        for path in (package / "report" / "web").rglob("*")
        if path.is_file()
    }
    assert any(re.search(r"vendor/uPlot\.LICENSE$", name) for name in inside)


def test_versions_come_from_the_folders_of_a_virtual_environment(tmp_path: Path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("torch-2.1.0+cu118.dist-info", "lycoris_lora-3.0.0.dist-info", "numpy-1.26-py3.11.egg-info", "torch"):
        (packages / name).mkdir(parents=True)
    assert package_versions(tmp_path) == {"torch": "2.1.0+cu118", "lycoris-lora": "3.0.0", "numpy": "1.26"}
