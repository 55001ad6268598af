"""Config files, prompts and journals that somebody, or a dying disk, has changed at random: always words, never a
traceback. What ends with exit code 2 names the file, and the key where there is one.

The pieces are called in this process, for 10,000 examples; `cli.main` turns the same two errors into exit code 2.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import SEED
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from automate_train.config import prompts
from automate_train.config.layers import built_in, merge, parse_set, read
from automate_train.config.masking import Masker
from automate_train.display import status
from automate_train.display.results import write_results
from automate_train.errors import Problem, UserError
from automate_train.preflight import checks, plan
from automate_train.records import Checkpoint, Launch, Outcome, RunRecord, SweepContext
from automate_train.sampling.batch import variants
from automate_train.sampling.servers.protocol import Lora, SampleRequest
from automate_train.sampling.servers.webui import payload
from automate_train.store.journal import Journal, open_sweep
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder
from automate_train.store.rebuild import open_journal
from automate_train.sweep.product import expand
from automate_train.sweep.selection import select
from automate_train.trainers import load

ROOT = Path(__file__).parents[2]
PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
FEW, MANY = settings(max_examples=150, **PATIENT), settings(max_examples=10_000, **PATIENT)

COMMAND = {
    "trainer": "command",
    "command": ["/bin/echo", "{a}", "{b}", "{name}"],
    "project_name_base": "p",
    "a": 1,
    "b": 2,
}
keys = st.sampled_from(
    [
        *("a b a_list b_list zip exclude command trainer project_name_base temp_dir target_path port".split()),
        "cuda_device",
        *("on_failure on_nan retries webui_auth wandb_api_key log_with prompt_path epoch_num epoch_num_list".split()),
    ]
) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(
    ["{a}", "{gpus}", "{wandb_api_key}", "a > 1", "a_list", "b_list", "sd-scripts", "0,1", "\0", "..", "/", "1e999"]
)  # fmt: skip
values = st.recursive(
    scalars, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=4), x, max_size=3), max_leaves=8
)
configs = st.dictionaries(keys, values, max_size=6)
wounds = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from("cut insert drop double".split()), st.binary(max_size=4))
)
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "configs").rglob("*")) if path.suffix in (".json", ".toml")]
PROMPTS = [
    path.read_bytes() for path in sorted((ROOT / "configs").rglob("*")) if "prompt" in str(path) and path.is_file()
]


def wounded(data: bytes, places: list[tuple[int, str, bytes]]) -> bytes:
    for place, how, piece in places:
        at = place % (len(data) + 1)
        if how == "cut":
            data = data[:at]
        elif how == "insert":
            data = data[:at] + piece + data[at:]
        elif how == "drop":
            data = data[:at] + data[at + 1 + len(piece) :]
        else:
            data = data[:at] + data[at // 2 : at] + data[at:]
    return data


def planned(folder: Path, sets: list[str]) -> None:
    """The way from two files to a plan with its problems, as `cli` goes it, up to the first launch."""
    layers = [built_in(), read(folder / "default.json", "default file"), read(folder / "tuning.json", "tuning file")]
    merged, problems = merge([*layers, parse_set(sets)])
    sweep = expand(merged)
    selection = select(sweep, None, None, set())
    context = SweepContext(str(folder / "out"), sweep.project, cpu=True)
    problems += checks.check(selection, context, [])
    list(plan.head(selection))
    list(plan.human(context, selection, set(), Masker(), commands=False))
    words = list(plan.problem_lines(problems))
    assert all(isinstance(each, Problem) and each.message for each in problems) and all(words)
    if not any(problem.severity == "error" for problem in problems):
        for _, run in zip(range(3), selection.todo(), strict=False):
            made = load(run.options["trainer"].value).prepare(
                run, SweepFolder(folder, "p").attempt(f"{run.slug}/attempt-1"), context
            )
            assert isinstance(made, Launch) and all("\0" not in word for word in made.argv)


def says_where(folder: Path, sets: list[str]) -> None:
    try:
        planned(folder, sets)
    except UserError as error:
        told = error.problem
        named = any(word in told.source for word in ("default.json", "tuning.json", "--set", "built-in", "the configs"))
        assert told.message and (named or told.key), str(error)


def config_examples(
    folder: Path, default: object, tuning: object, places: list[tuple[int, str, bytes]], which: int
) -> None:
    texts = [json.dumps({**COMMAND, **default}).encode(), json.dumps(tuning).encode()]
    if which < 2:
        texts[which] = wounded(texts[which], places)
    elif places:
        texts[which % 2] = wounded(SAMPLES[which % len(SAMPLES)], places)
    (folder / "default.json").write_bytes(texts[0])
    (folder / "tuning.json").write_bytes(texts[1])
    says_where(folder, [])


CONFIGS = {"default": configs, "tuning": configs, "places": wounds, "which": st.integers(0, 40)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("hostile")


@seed(SEED)
@FEW
@given(**CONFIGS)
def test_configs(folder: Path, **example):
    config_examples(folder, **example)


@pytest.mark.faults
@seed(SEED)
@MANY
@given(**CONFIGS)
def test_ten_thousand_configs(folder: Path, **example):
    config_examples(folder, **example)


def prompt_example(folder: Path, which: int, places: list[tuple[int, str, bytes]], ending: str) -> None:
    file = folder / f"prompts{ending}"
    file.write_bytes(wounded(PROMPTS[which % len(PROMPTS)], places))
    try:
        found = prompts.read_prompts(file)
        wrong = payload.problems(found)
        assert all(file.name in str(problem) for problem in wrong)
        if not any(problem.severity == "error" for problem in wrong):
            for each in variants(found):
                lora = None if each.baseline else Lora("lora", file)
                body = payload.payload(SampleRequest(found[each.number], 1, lora, each.weight))
                assert json.dumps(body, allow_nan=False)
    except UserError as error:
        assert file.name in str(error)


ASKED = {"which": st.integers(0, 40), "places": wounds, "ending": st.sampled_from([".txt", ".json", ".toml"])}


@seed(SEED)
@FEW
@given(**ASKED)
def test_prompts(folder: Path, **example):
    prompt_example(folder, **example)


@pytest.mark.faults
@seed(SEED)
@MANY
@given(**ASKED)
def test_ten_thousand_prompts(folder: Path, **example):
    prompt_example(folder, **example)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A sweep's folder with twelve runs: succeeded, failed, running, waiting. Its WAL is not yet written back."""
    home = SweepFolder(tmp_path_factory.mktemp("whole"), "p")
    home.path.mkdir()
    journal = Journal(home.journal)
    for at in range(12):
        run = RunRecord(f"{at:016x}", at, at, f"p_a={at}", f"p_a-{at}", {"a": str(at)}, {"trainer": "command", "a": at})
        if at > 9:
            journal.add_waiting([run])
            continue
        attempt = journal.begin(run, (), 100.0 + at)
        folder = home.attempt(attempt.folder)
        write_attempt(folder, Launch(("/bin/true",), "/"), run, (), 1.0)
        journal.set_handle(attempt.id, f"{2**22 + at} 1 an earlier boot")
        if at < 8:
            folder.exit_code.write_text("0\n" if at < 6 else "1\n")
            facts = {"loss": 0.5, "epoch_loss": 0.4, "steps": 3, "seconds": 1.5, "delivered": ["/x.safetensors"]}
            journal.end(attempt, Outcome("succeeded" if at < 6 else "failed", 0, ""), 200.0, facts)
            journal.add_checkpoint(attempt.id, Checkpoint("/x.safetensors", "epoch", 1, 2, 150.0))
    journal.note(state="running", waiting={"x": "no GPU"}, command=["a"], cwd="/")
    for name in ("with-wal", "checked"):  # before and after everything is written back
        (home.temp_dir / name).mkdir()
        for file in home.path.glob("journal.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, home.temp_dir / name / file.name)
        journal.close()
    return home.temp_dir


def journal_example(whole: Path, dice: random.Random) -> None:
    """Change one copy at random bytes; read it as `status` does, then open it as a sweep does."""
    home = SweepFolder(whole, "p")
    for file in home.path.glob("journal.sqlite*"):
        file.unlink()
    for file in (whole / dice.choice(["with-wal", "checked"])).glob("journal.sqlite*"):
        shutil.copyfile(file, home.path / file.name)
    for _ in range(dice.choice([1, 1, 2, 8, 50])):
        file = dice.choice([path for path in home.path.glob("journal.sqlite*") if path.stat().st_size])
        data = bytearray(file.read_bytes())
        place = dice.randrange(len(data))
        kind = dice.random()
        if kind < 0.6:
            data[place] = dice.randrange(256)
        elif kind < 0.8:  # what is written is mostly text: aim at it
            place = data.find(bytes([dice.choice(b'{"0afs')]), place)
            data[place] = dice.choice(b"\0}\x80\xff9x")
        elif kind < 0.9:
            data[place : place + 64] = bytes(64)
        else:
            del data[place:]
        file.write_bytes(data or b"x")
    try:
        journal, folder = open_sweep(home.path)
        with contextlib.closing(journal):
            json.dumps(status.as_json(journal, folder))
            list(status.lines(journal, folder))
    except (UserError, sqlite3.DatabaseError) as error:
        assert str(error)
    said: list[str] = []
    try:
        journal = open_journal(home, said.append)
    except UserError as error:
        assert "journal" in str(error)
        return
    with contextlib.closing(journal):
        assert journal.damage() is None
        assert len(journal.attempt_folders()) >= 10, "an attempt is forgotten"
        list(status.lines(journal, home))
        write_results(journal, home)


def test_journals(whole: Path):
    for at in range(150):
        journal_example(whole, random.Random(SEED * 1_000_000 + at))


@pytest.mark.faults
def test_ten_thousand_journals(whole: Path):
    for at in range(10_000):
        journal_example(whole, random.Random(SEED * 1_000_000 + at))
