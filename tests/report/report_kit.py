"""Sweeps for the tests of the report, made through the journal and the files that the other rooms write.

sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"], network_dim=["4", "16"])
for run in sweep.runs():
    sweep.begin(run, epochs=3, prompts=["a cat", "a dog"])
sweep.build()
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from automate_train.records import Outcome, RunRecord, Score
from automate_train.report.assemble import WrittenPage, write_page
from automate_train.store.journal import Journal
from automate_train.store.layout import SweepFolder, run_folder
from automate_train.store.scores import append_score

EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'> \u2028 \"'&amp; ${1}"
CJK = "한국어 프롬프트, 日本語のプロンプト, 中文提示词"


class Sweep:
    def __init__(self, home: Path, name: str = "boats", **axes: Sequence[str]) -> None:
        self.folder = SweepFolder(home, name)
        self.path: Path = self.folder.path
        self.path.mkdir(parents=True)
        self.journal = Journal(self.folder.journal)
        self.axes = axes
        self.options: dict[str, Any] = {
            "project_name_base": name,
            "max_train_epochs": 3,
            "target_path": str(home / "loras"),
        }
        self.pictures = home / "pictures"
        self.pictures.mkdir()
        self.kinds: dict[tuple[int, int], list[Path]] = {}

    def runs(self) -> Iterator[RunRecord]:
        for index, values in enumerate(product(*self.axes.values())):
            varied = dict(zip(self.axes, values, strict=True))
            name = "_".join([self.path.name, *(f"{key}={value}" for key, value in varied.items())])
            options = {**self.options, **{key: _value(value) for key, value in varied.items()}}
            slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:60]
            yield RunRecord(f"{index:08x}{'0' * 8}", index, index, name, slug, varied, options)

    def wait(self, *runs: RunRecord) -> None:
        self.journal.add_waiting(runs)

    def begin(
        self, run: RunRecord, *, epochs: int = 2, prompts: Sequence[str] = ("a boat",),
        weights: Sequence[float | None] = (None,), end: str | None = "succeeded", reason: str = "", steps: int = 100,
        size: tuple[int, int] = (64, 64), loss: float = 0.5, resumed_at: int = 0, reached: int | None = None,
    ) -> Path:  # fmt: skip
        """Make an attempt that was trained and sampled; its folder. `resumed_at`: the step that it goes on from;
        `reached`: its last step."""
        reached = steps if reached is None else reached
        begun = self.journal.begin(run, ("0",), 1_700_000_000.0 + run.index)
        attempt = self.path / begun.folder
        (attempt / "output" / "sample").mkdir(parents=True)
        (attempt / "console.log").write_text("the log\n")
        launch = {"argv": ["python", "train.py"], "cwd": str(self.path), "env": {"A": "b c"}}
        (attempt / "launch.json").write_text(json.dumps(launch))
        (attempt / "hook.json").write_text("{}")  # the trainer's events are the hook's
        if resumed_at:
            resume = {"state": "somewhere", "step": resumed_at, "not_counted": resumed_at}
            (attempt / "resume.json").write_text(json.dumps(resume))
        self.events(attempt, steps, epochs, run.index, resumed_at, reached)
        for epoch in range(1, epochs + 1):
            step = epoch * steps // epochs
            for no, text in enumerate(prompts) if resumed_at < step <= reached else ():
                for weight in weights:
                    self.picture(attempt, run.index, epoch, no, text, weight=weight, step=step, size=size)
        if end is not None:
            loss -= 0.03 * run.index
            facts = {
                "loss": loss,
                "epoch_loss": loss + 0.1,
                "steps": reached,
                "seconds": 60.0 + run.index,
                "checkpoint": str(attempt / "output" / "x.safetensors"),
            }
            self.journal.end(begun, Outcome(end, 0 if end == "succeeded" else 1, reason), 1_700_000_100.0, facts)  # type: ignore[arg-type]
        return attempt

    def events(self, attempt: Path, steps: int, epochs: int, seed: int, resumed_at: int, reached: int) -> None:
        lines = [{"at": 100.0, "kind": "training", "total_steps": steps, "epochs": epochs}]
        for step in range(resumed_at + 1, reached + 1):
            loss = 1 / (1 + step / steps * (1 + seed)) + 0.02 * ((step * 7919 + seed * 31) % 13) / 13
            rate = 1e-4 * (1 - step / steps)
            values = {"loss": loss, "average": loss + 0.01, "lr": {"unet": rate}}
            event = {"at": 100.0 + step / 2, "kind": "metrics", "step": step - resumed_at, "epoch": 1, **values}
            lines.append(event)  # type: ignore[arg-type]
            if epochs and step % (steps // epochs) == 0:
                lines.append(
                    {"at": event["at"], "kind": "metrics", "step": step - resumed_at, "epoch_loss": loss + 0.02}
                )
        with (attempt / "events.jsonl").open("w") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)

    def picture(
        self, attempt: Path, run: int, epoch: int, no: int, text: str, *, weight: float | None = None,
        state: str = "done", reason: str = "", step: int = 0, size: tuple[int, int] = (64, 64),
    ) -> Path:  # fmt: skip
        """Write a picture as the sampler does: the PNG, then its JSON."""
        lora = f"at-0-{run}-e{epoch:06d}"
        mark = "" if weight is None else f"_w{weight:g}"
        png = attempt / "output" / "sample" / f"x-{epoch:06d}_{no:02d}{mark}.png"
        if state != "failed":
            if png.exists():
                png.unlink()
            os.link(self._drawn(run * 7 + epoch * 3 + no, size), png)
        about = {
            "prompt": no, "words": text, "text": f"{text} <lora:{lora}:1>", "negative": "blurry", "seed": 7,
            "infotext": f"{text}\nSteps: 20, Seed: 7", "parameters": {"prompt": text, "steps": 20},
            "server": "http://127.0.0.1:7860", "checkpoint": f"x-{epoch:06d}.safetensors",
            "epoch": epoch, "step": step, "weight": weight, "lora": lora, "state": state, "reason": reason,
            "png": None if state == "failed" else png.name, "at": 1.0,
        }  # fmt: skip
        png.with_suffix(".json").write_text(json.dumps(about))
        return png

    def score(self, run: RunRecord, epochs: int, error: Callable[[int, int], float], items: int = 4) -> None:
        """Judge each epoch of a run that has been trained once. `error`: of (epoch, item)."""
        for epoch in range(1, epochs + 1):
            name = "x.safetensors" if epoch == epochs else f"x-{epoch:06d}.safetensors"
            checkpoint = f"{run_folder(run.number, run.slug)}/attempt-1/output/{name}"
            for item in range(items):
                score = Score(run.key, checkpoint, epoch, None, "held-out-0a1b2c3d", f"{item}.png", error(epoch, item))
                append_score(self.folder, score)

    def baseline(self, no: int, text: str) -> None:
        folder = self.path / "baseline"
        folder.mkdir(exist_ok=True)
        png = folder / f"{no:02d}_abcdef01.png"
        Image.new("RGB", (64, 64), (200, 200, 200)).save(png)
        about = {"prompt": no, "text": text, "seed": 7, "state": "done", "png": png.name, "lora": None, "weight": None}
        png.with_suffix(".json").write_text(json.dumps(about))

    def _drawn(self, kind: int, size: tuple[int, int]) -> Path:
        """One of a few pictures, which are linked as often as needed: a large sweep needs no large disk."""
        made = self.kinds.setdefault(size, [])
        if not made:
            for hue in range(24):
                noise = Image.effect_noise((48, 48), 60).convert("RGB").resize(size, Image.Resampling.BICUBIC)
                tint = Image.new("RGB", size, ((hue * 53) % 256, (hue * 101) % 256, (hue * 29) % 256))
                file = self.pictures / f"{size[0]}-{hue}.png"
                Image.blend(noise, tint, 0.5).save(file)
                made.append(file)
        return made[kind % len(made)]

    def build(self, **options: Any) -> WrittenPage:
        return write_page(self.folder, **options)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def data_of(page: Path) -> dict[str, Any]:
    """The data in a page."""
    text = page.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    return dict(json.loads(text[start : text.index("</script>", start)]))


def unpacked(page: Path, name: str) -> Any:
    """A part that the page unpacks on request: `curves`, `commands`, `details-0`."""
    text = page.read_text(encoding="utf-8").split(f'id="packed-{name}">')[1].split("<")[0]
    return json.loads(zlib.decompress(base64.b64decode(text)))
