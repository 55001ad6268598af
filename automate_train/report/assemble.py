"""A sweep's folder -> `report.html`, its thumbnails and the finished runs' strips.

Covers: the steps and their order, the URLs in the page. Not: each step (`sweep_data`, `thumbs`, `page_data`, `page`,
`strips`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ..errors import UserError, pip_install
from ..records import RunRecord
from ..store.files import write
from ..store.launch import read_launch
from ..store.layout import SweepFolder
from ..store.scores import read_scores
from . import thumbs
from .cache import pack, pack_details
from .marks import Mark
from .page import render
from .page_data import Link, page_data
from .sample_files import SamplePicture
from .strips import write_strips
from .sweep_data import SweepData, read_sweep

MOST_ALARM_SECONDS = 10.0
"""How long one report looks at new pictures and weights; the next one goes on."""


class WrittenPage(NamedTuple):
    path: Path
    runs: int
    pictures: int
    thumbs: int
    """How many of the pictures have a thumbnail, or are inside the page."""


def write_page(
    folder: SweepFolder, *, out: Path | None = None, inline: bool = False, marks: Sequence[Mark] = (),
    seconds: float = 45.0,
) -> WrittenPage:  # fmt: skip
    """Write the page: to `out`, else into the sweep's folder, and then the strips too. `inline`: the pictures are put
    into the page. About `seconds` go into new thumbnails; the pictures that the page shows first come first. `OSError`
    when the disk refuses; `UserError` when the journal cannot be read."""
    began = time.monotonic()
    sweep = read_sweep(folder)
    path = (out or folder.report).absolute()
    files = path.with_name(f"{path.stem}_files")
    home = os.path.relpath(sweep.root, path.parent).replace(os.sep, "/")
    wanted = {thumbs.name_of(each.file, each.stamp): each.file for each in _by_importance(sweep) if each.file}
    packed = _packed_parts(folder, sweep)
    made: set[str] = set()
    if inline:
        if not thumbs.have_pillow():
            raise UserError("needs Pillow", key="--inline", hint=pip_install("Pillow"))
        inside = thumbs.data_urls(sweep.root, wanted)
    else:
        left = seconds - (time.monotonic() - began)
        made = thumbs.make_missing(sweep.root, wanted, files / "thumbs", left)
        inside = thumbs.inside_urls(files / "thumbs", (name for name in wanted if name in made))
    ids = {name: f"picture-{at}" for at, name in enumerate(inside)}
    packed |= {ids[name]: data for name, data in inside.items()}
    urls = {name: name for name in made} | {name: f"#{id_}" for name, id_ in ids.items()}
    """Thumbnail's name -> its URL in the page."""

    def link(to: str) -> str:
        if os.path.isabs(to):
            return quote(os.path.relpath(to, path.parent).replace(os.sep, "/"))
        return quote(to if home == "." else f"{home}/{to}")

    def thumb(file: str, stamp: str) -> str:
        return urls.get(thumbs.name_of(file, stamp), "" if inline else link(file))

    data = page_data(sweep, thumb, link, marks) | {
        "thumbs": quote(f"{files.name}/thumbs/"),
        "root": quote(home) + "/",
        "at": round(time.time(), 3),
        "ratio": _cell_ratio(sweep),
        "alone": inline,
        "answer": _answer(folder, sweep),
    }
    data |= _alarms(folder, sweep, min(MOST_ALARM_SECONDS, max(0.0, seconds - (time.monotonic() - began))), link)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, render(data, packed))
    if out is None:
        with contextlib.suppress(OSError):  # the disk of target_path may not be mounted any more
            write_strips(folder, sweep)
    return WrittenPage(path, len(sweep.runs), len(wanted), len(urls))


def _answer(folder: SweepFolder, sweep: SweepData) -> dict[str, object]:
    try:
        from .answer_data import answer_data  # numpy and scipy: 300 ms, and an extra
    except ImportError as error:
        hint = f"{error.name} is not installed: {pip_install('numpy', 'scipy')}"
        return {
            "sentences": [f"No setting can be called better here: {hint}."],
            "effects": [],
            "score": "score",
            "next": [],
            "runs": {},
            "settings": [],
        }
    return answer_data(sweep.runs, read_scores(folder))


def _alarms(folder: SweepFolder, sweep: SweepData, seconds: float, link: Link) -> dict[str, object]:
    """What looks wrong; nothing where numpy (extra `judge`) or Pillow is not installed."""
    if find_spec("numpy") is None or not thumbs.have_pillow():
        return {"alarms": [], "alarms_left": 0}
    from .alarms import find_alarms  # numpy: 100 ms, which the first start of a run does not wait for

    found, left = find_alarms(folder, sweep, seconds)
    alarms = [
        {
            "run": run,
            "checkpoint": checkpoint,
            "kind": alarm.kind,
            "text": alarm.text,
            "picture": int(alarm.picture) if alarm.picture.isdecimal() else None,
            "link": link(alarm.other) if alarm.kind == "copy" else "",
        }
        for run, checkpoint, alarm in found
    ]
    return {"alarms": alarms, "alarms_left": left}


def _by_importance(sweep: SweepData) -> list[SamplePicture]:
    """All pictures: baselines, then the last checkpoints' before the others', of each the first prompt first."""
    pictures = [each for data in sweep.run_data for each in data.pictures]
    pictures.sort(key=lambda each: (-(each.epoch or each.step or 0), each.prompt))
    return [*sweep.baselines, *pictures]


def _packed_parts(folder: SweepFolder, sweep: SweepData) -> dict[str, str]:
    """What the page unpacks on request: element id -> packed text."""
    details = {
        f"packed-details-{at}": data.packed_details for at, data in enumerate(sweep.run_data) if data.packed_details
    }
    return details | {
        "packed-details-baseline": pack_details(sweep.baselines),
        "packed-curves": pack([data.curves for data in sweep.run_data]),
        "packed-commands": pack([_command(folder, run) for run in sweep.runs]),
    }


def _cell_ratio(sweep: SweepData) -> float:
    """The cells' width by their height: that of most runs' first picture."""
    ratios = Counter(filter(None, (_png_ratio(file) for file in _first_pictures(sweep))))
    return min(2.5, max(0.4, ratios.most_common(1)[0][0])) if ratios else 1.0


def _first_pictures(sweep: SweepData) -> Iterator[Path]:
    for data in sweep.run_data:
        files = [each.file for each in data.pictures if each.file]
        yield from (sweep.root / file for file in files[:1])


def _png_ratio(file: Path) -> float:
    """From the PNG's header; 0 when it has none."""
    try:
        with open(file, "rb") as opened:
            header = opened.read(24)
        width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
        return round(width / height, 3) if header.startswith(b"\x89PNG") else 0.0
    except (OSError, ZeroDivisionError):
        return 0.0


def _command(folder: SweepFolder, run: RunRecord) -> str:
    """What a person types to train this run by hand; "" before it has begun."""
    launch = read_launch(folder.attempt(run.folder)) if run.folder else None
    if launch is None or not launch.argv:
        return ""
    env = [f"{name}={value}" for name, value in launch.env.items()]
    words = [*(["env", *env] if env else []), *launch.argv]
    return f"cd {shlex.quote(launch.cwd)} && {shlex.join(words)}"
