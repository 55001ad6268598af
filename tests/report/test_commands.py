"""`report`, `grid` and `best` as commands, and the strips that a report writes into target_path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_kit import CJK, EVIL, Sweep, data_of

from automate_train.cli.main import main
from automate_train.config.layers import read as read_config
from automate_train.report import thumbs
from automate_train.report.canvas import draw_table, load_font, wrap
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


def test_report_prints_where_the_page_is_and_puts_marks_into_it(sweep: Sweep, tmp_path: Path):
    mark = {"id": "00000001", "run": "00000001" + "0" * 8, "star": True, "note": EVIL, "at": 5}
    out = tmp_path / "else where" / "a b.html"
    done = command("report", sweep.path, "--out", out, "--marks", marks_file(sweep, mark))
    assert done.returncode == 0 and done.stdout.startswith(f"{out}   4 runs, 24 pictures"), done.stderr
    data = data_of(out)
    assert data["marks"] == [mark] and data["thumbs"] == "a%20b_files/thumbs/"
    assert len(list((out.parent / "a b_files" / "thumbs").glob("*.jpg"))) == 24
    assert data["runs"][0]["log"].startswith("../boats/") and (out.parent / data["runs"][0]["log"]).exists()


def test_inline_needs_no_file_beside_it(sweep: Sweep, tmp_path: Path):
    out = tmp_path / "one" / "report.html"
    assert command("report", sweep.path, "--inline", "--out", out).returncode == 0
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    shown = data_of(out)["runs"][0]["pictures"]["thumb"][0]
    assert f'id="{shown[1:]}">data:image/jpeg;base64,' in out.read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["report", "{}", "--marks", "missing.json"], "missing.json: --marks: cannot be read"),
        (["report", "{}", "--seconds", "many"], "--seconds"),
        (["report", "nowhere"], "there is no sweep here"),
        (["grid", "{}", "--x", "unet_rl", "--y", "epoch", "-o", "/tmp/never.png"], "did you mean unet_lr"),
        (["grid", "{}", "--x", "epoch", "--y", "epoch", "-o", "/tmp/never.png"], "same axis"),
        (
            ["grid", "{}", "--x", "unet_lr", "--y", "epoch", "--prompt", "9", "-o", "/tmp/never.png"],
            "its values are 0, 1",
        ),
        (["grid", "{}", "--x", "unet_lr", "--y", "epoch", "-o", "/tmp/never.xyz"], "-o: cannot be written"),
        (["best", "{}"], "--marks marks.json"),
        (["best", "{}", "--by", "held_out"], "no picture was held out"),
        (["best", "{}", "--by", "votes"], "no votes on two settings"),
        (["best", "{}", "--run", "2", "--epoch", "9"], "--epoch: run 2 has no checkpoint of epoch 9"),
        (["best", "{}", "--by", "mean_loss"], "--by"),
        (["best", "{}", "--by", "epoch_loss", "--run", "2"], "not allowed with"),
        (["best", "{}", "--run", "77"], "no run has the index or id 77"),
    ],
)
def test_mistakes_are_reported_in_one_line(sweep: Sweep, argv: list[str], message: str):
    done = command(*(word.format(sweep.path) for word in argv))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_grid_of_a_sweep_without_pictures(tmp_path: Path):
    made = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"], network_dim=["4", "16"])
    for run in made.runs():
        made.begin(run, epochs=0)
    done = command("grid", made.path, "--x", "unet_lr", "--y", "network_dim", "-o", tmp_path / "never.png")
    assert done.returncode == 2 and "this sweep has no sample pictures" in done.stderr, done.stderr


@pytest.mark.parametrize("argv", ["grid {} --x unet_lr --y epoch -o x.png", "report {} --inline", "report {}"])
def test_without_pillow_the_hint_works_as_it_is(sweep: Sweep, capsys, monkeypatch, argv: str):
    """automate-train is in no package index, so its extras cannot be installed by name."""
    monkeypatch.setattr(thumbs, "find_spec", lambda name: None)
    main(argv.format(sweep.path).split())
    hint = f"{sys.executable} -m pip install Pillow"
    assert hint in capsys.readouterr().err


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
        left, top = 150 + 6, image.height - 6 - 3 * 70
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


def test_best_names_the_lora_of_an_epoch(sweep: Sweep):
    run = next(each for each in sweep.journal.records() if each.index == 2)
    attempt = sweep.path / run.folder
    saved = attempt / "output" / "x-000002.safetensors"
    saved.write_bytes(b"")
    with (attempt / "events.jsonl").open("a") as out:
        out.write(json.dumps({"at": 1, "kind": "checkpoint", "path": str(saved), "epoch": 2, "step": 66}) + "\n")
    done = command("best", sweep.path, "--run", "2", "--epoch", "2")
    assert done.returncode == 0, done.stderr
    assert f"// LoRA of epoch 2: {saved}" in done.stdout and str(saved) in done.stderr
    saved.unlink()  # the trainer keeps the newest ones only
    done = command("best", sweep.path, "--run", "2", "--epoch", "2")
    assert done.returncode == 2 and "no checkpoint of it is there" in done.stderr


def test_best_by_the_training_loss_says_what_that_is_worth(sweep: Sweep):
    done = command("best", sweep.path, "--by", "epoch_loss")
    assert done.returncode == 0 and json.loads("".join(
        line for line in done.stdout.splitlines() if not line.lstrip().startswith("//")
    ))["unet_lr"] == 2e-4  # fmt: skip
    assert "does not say which LoRA is better" in done.stderr and '"replicates": 3' in done.stderr


def test_best_refuses_when_two_runs_have_equally_many_stars(sweep: Sweep):
    marks = [{"id": f"{index:08x}", "run": f"{index:08x}" + "0" * 8, "star": True} for index in (1, 2)]
    done = command("best", sweep.path, "--marks", marks_file(sweep, *marks))
    assert (
        done.returncode == 2
        and "2 runs have equally many stars: run 1 (id 0000000100000000) " in done.stderr
        and "--run 0000000100000000" in done.stderr
    )
    assert command("best", sweep.path, "--marks", marks_file(sweep, *marks), "--run", "2").returncode == 0


def test_secrets_are_not_in_the_next_config(sweep: Sweep):
    sweep.options["wandb_api_key"] = "topsecret"
    run = next(iter(sweep.runs()))
    sweep.begin(run._replace(index=9, number=9, key="e" * 16))
    done = command("best", sweep.path, "--run", "9")
    assert done.returncode == 0 and "topsecret" not in done.stdout


def test_strips_of_finished_runs_are_in_target_path(sweep: Sweep, tmp_path: Path):
    assert write_or_explain(sweep.folder) is not None
    strips = sorted(path.name for path in (tmp_path / "loras" / "grid_samples").iterdir())
    assert len(strips) == 6 and not any(name.startswith("000-") for name in strips)  # run 0 failed; 2 prompts each
    with Image.open(tmp_path / "loras" / "grid_samples" / strips[0]) as image:
        assert image.width == 3 * (96 + 6) + 6


def test_a_grid_of_a_sweep_without_pictures(tmp_path: Path):
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"])
    for run in sweep.runs():
        sweep.begin(run, prompts=[])
    done = command("grid", sweep.path, "--x", "unet_lr", "--y", "prompt", "-o", tmp_path / "never.png")
    assert done.returncode == 2 and "this sweep has no sample pictures" in done.stderr


def test_labels_are_never_cut(tmp_path: Path):
    """Each label's whole text is on the picture: its lines joined are the label again, and each fits its room."""
    font = load_font(16)
    path = "/data/models/" + "stable-diffusion-" * 12 + "v1-5.safetensors"
    for label, width in ((f"pretrained_model_name_or_path = {path}", 96), (CJK * 3, 150), ("a boat", 10), (path, 1)):
        lines = wrap(label, width, font).splitlines()
        assert "".join("".join(lines).split()) == "".join(label.split())
        assert all(font.getlength(line) <= width or len(line) == 1 for line in lines)
    file = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(file)
    short, long = (draw_table("t", ["x"], [label], [[file]], 64) for label in ("y", path))
    assert long.height > short.height and long.width == short.width
