"""The tab "Vote" in a real browser: voters of known taste find the best setting, and nothing tells which picture is of
which setting. `-s` shows the figures of docs/judging.md.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser_kit import Browser
from PIL import Image
from report_kit import Sweep

from automate_train.judging.votes import Result, agreement, results_of, taste
from automate_train.report.page import _module
from automate_train.report.vote_server import VoteServer
from automate_train.store.votes import read_votes

RATES = [f"{at}e-5" for at in range(1, 13)]
STEP = 16
"""Of the red of two neighbouring settings' pictures, by which the simulated voter knows them."""


def made(home: Path, rates: list[str] = RATES, seeds: list[str] | None = None) -> Sweep:
    """Settings whose pictures are of one colour each; the voter's eye in the tests."""
    sweep = Sweep(home, unet_lr=rates, **({"seed": seeds} if seeds else {}))
    for run in sweep.runs():
        attempt = sweep.begin(run, epochs=2, prompts=["a boat", "a cat"])
        for png in attempt.glob("output/sample/*.png"):
            png.unlink()  # it is a link
            Image.new("RGB", (64, 64), (STEP * rates.index(run.varied["unet_lr"]) + 8, 90, 90)).save(png)
    return sweep


@contextmanager
def served(sweep: Sweep) -> Iterator[str]:
    sweep.build()
    with VoteServer(sweep.folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def eyes(browser: Browser) -> list[int]:
    """Which settings are shown, by the colours; needs a served page, because a browser lets nobody read a picture from
    a disk."""
    script = (
        "return [...document.querySelectorAll('#vote canvas')]"
        ".map(canvas => {const copy = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
        "copy.drawImage(canvas, 0, 0); return copy.getImageData(0, 0, 1, 1).data[0]})"
    )
    return [red // STEP for red in browser.js(script)]


def count(browser: Browser) -> int:
    return int(browser.texts("#vote > p.quiet")[0].split()[0])


def shown(browser: Browser) -> bool:
    return len(browser.attributes("#vote [aria-busy=false] .pair canvas", "aria-label")) == 2


SIMULATED = """
const modules = {};
MODEL
const { nextPair, taste, agreement } = modules.vote_model;
const dice = (state) => () => {  // mulberry32, by Tommy Ettinger
  state = (state + 0x6D2B79F5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};
const play = (strengths, votes, seed) => {
  const [random, names, results] = [dice(seed), strengths.map((_, at) => `s${at}`), []];
  while (results.length < votes) {
    const [a, b] = nextPair(names, results, () => true, random);
    const half = Math.exp((strengths[names.indexOf(a)] - strengths[names.indexOf(b)]) / 2);
    const told = random() * (half + 1 / half + 0.5);
    results.push({ a, b, preferred: told < half ? a : told < half + 0.5 ? "" : b });
  }
  return results;
};
"""


def in_browser(browser: Browser, script: str, *arguments: object) -> object:
    return browser.js(SIMULATED.replace("MODEL", _module("vote_model")) + script, *arguments)


@pytest.mark.parametrize(
    "name, strengths",
    [
        ("0.55 apart (the best is preferred to the second in 63 %)", [0.55 * at for at in range(12)]),
        ("0.8 apart (69 %)", [0.8 * at for at in range(12)]),
        ("one ahead by 1.5 (82 %), the others equal", [0.0] * 11 + [1.5]),
    ],
)
def test_the_best_of_twelve_is_found_within_80_votes(browser: Browser, name: str, strengths: list[float]):
    browser.driver.get("about:blank")
    script = (
        "return [...Array(50).keys()]"
        ".filter(n => taste(play(arguments[0], 80, n + 1)).settings[0].setting === 's11').length"
    )
    found = in_browser(browser, script, strengths)
    print(f"\n{name}: found in {found} of 50 plays")
    assert found >= 45


def test_page_and_python_say_the_same(browser: Browser):
    browser.driver.get("about:blank")
    for strengths, votes in (
        ([0.0, 1.0, 2.0, 0.5], 40),
        ([0.3 * at for at in range(12)], 80),
        ([0.0, 9.0], 12),
        ([0.0, 0.0], 1),
    ):
        played, page = in_browser(
            browser, "const r = play(arguments[0], arguments[1], 7); return [r, taste(r)]", strengths, votes
        )  # type: ignore[misc]
        ours = taste([Result(**each) for each in played])
        assert list(ours.best) == page["best"]
        assert [each.setting for each in ours.settings] == [each["setting"] for each in page["settings"]]
        for mine, its in zip(ours.settings, page["settings"], strict=True):
            assert mine._asdict() == pytest.approx(its, abs=1e-8)
    results = [("a", "b", "a"), ("a", "c", "c"), ("a", "b", ""), ("a", "x", "a")]
    script = (
        "return agreement(arguments[0].map(([a, b, preferred]) => ({a, b, preferred})),"
        " setting => arguments[1][setting] ?? null)"
    )
    errors = {"a": 1, "b": 2, "c": 3}
    assert tuple(in_browser(browser, script, results, errors)) == (1, 2)  # type: ignore[arg-type]
    assert agreement([Result(*each) for each in results], errors) == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("play", range(3))
def test_a_voter_at_the_keys_finds_the_best(browser: Browser, tmp_path: Path, play: int):
    """80 presses of real keys, the pictures told apart by eye; one vote in twenty is taken back and given again."""
    dice = random.Random(play)
    strengths = [0.8 * at for at in range(12)]
    dice.shuffle(strengths)
    sweep, left = made(tmp_path), 0
    with served(sweep) as url:
        browser.visit(url)
        for votes in range(80):
            browser.until(lambda: shown(browser))
            one, other = eyes(browser)
            assert one != other
            half = 2.718281828 ** ((strengths[one] - strengths[other]) / 2)
            told = dice.random() * (half + 1 / half + 0.5)
            browser.key("1" if told < half else "0" if told < half + 0.5 else "2")
            left += one < other
            browser.until(lambda votes=votes: count(browser) == votes + 1)
            if votes % 20 == 19:
                browser.key("u")
                browser.until(lambda votes=votes: count(browser) == votes)
                browser.until(lambda: shown(browser))
                browser.until(lambda seen=[one, other]: eyes(browser) == seen)
                browser.key("0")
                browser.until(lambda votes=votes: count(browser) == votes + 1)
        best = RATES[strengths.index(max(strengths))]
        assert browser.texts(".strengths tbody th")[0] == f"unet_lr={best}"
        browser.until(lambda: browser.texts("#vote > p.quiet")[0] == "80 votes, saved in votes.jsonl.")
    votes_kept = read_votes(sweep.folder.votes)
    assert len(votes_kept) == 80 and 20 <= left <= 60
    assert taste(results_of(votes_kept, list(sweep.runs()))).settings[0].setting == f"unet_lr={best}"


def test_nothing_tells_which_is_which(browser: Browser, tmp_path: Path):
    sweep = made(tmp_path, seeds=["1", "2"])
    page = sweep.build().path
    browser.open(page, "#tab=vote")
    browser.until(lambda: shown(browser))
    there = str(
        browser.js("return document.getElementById('vote').outerHTML + document.getElementById('top').outerHTML")
    )
    told = [text for run in sweep.runs() for text in (run.key, run.key[:8], run.name, run.slug, run.setting_name)]
    assert [
        text for text in [*told, "unet_lr", ".png", ".jpg", "epoch", "x-0000"] if text in there.replace(">epoch<", "")
    ] == []
    assert browser.js("return [...document.images].filter(i => i.closest('#vote')).length") == 0
    assert browser.hash() == "#tab=vote"


def test_votes_stay_in_the_browser_and_are_exported(browser: Browser, tmp_path: Path, downloads: Path):
    sweep = made(tmp_path, RATES[:3])
    page = sweep.build().path
    browser.open(page, "#tab=vote")
    for number in range(3):
        browser.until(lambda: shown(browser))
        browser.key(["1", "0", "2"][number])
        browser.until(lambda number=number: count(browser) == number + 1)
    assert browser.texts(".strengths") == [], "nothing is shown before it is asked for"
    browser.press("Show the result")
    assert len(browser.texts(".strengths tbody tr")) >= 2
    browser.open(page, "#tab=vote")
    assert count(browser) == 3
    browser.press("Export")
    file = downloads / "votes.jsonl"
    browser.until(file.exists)
    assert [vote.choice for vote in read_votes(file)] == ["left", "same", "right"]
    sweep.folder.votes.write_bytes(file.read_bytes())
    file.unlink()
    sweep.build()
    browser.js("localStorage.clear()")
    browser.open(page, "#tab=vote")
    assert count(browser) == 3, "the page brings the votes of the sweep's folder"


def test_letters_are_keys_by_their_place(browser: Browser, tmp_path: Path):
    """On a Korean keyboard the key U gives ㅕ."""
    browser.open(made(tmp_path, RATES[:3]).build().path, "#tab=vote")
    browser.until(lambda: shown(browser))
    press = (
        "document.body.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: arguments[0], code: arguments[1], repeat: arguments[2], bubbles: true}))"
    )
    browser.js(press, "1", "Numpad1", False)
    browser.until(lambda: count(browser) == 1)
    browser.until(lambda: shown(browser))
    browser.js(press, "1", "Digit1", True)  # a key that is held is one vote
    assert count(browser) == 1
    browser.js(press, "ㅕ", "KeyU", False)
    browser.until(lambda: count(browser) == 0)


def test_two_tabs_have_the_same_votes(browser: Browser, tmp_path: Path):
    sweep = made(tmp_path, RATES[:3])
    with served(sweep) as url:
        browser.visit(url)
        first = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")
        browser.visit(url)
        browser.until(lambda: shown(browser))
        browser.key("1")
        browser.until(lambda: count(browser) == 1)
        browser.driver.close()
        browser.driver.switch_to.window(first)
        browser.until(lambda: count(browser) == 1)
        browser.until(lambda: shown(browser))
        browser.key("2")
        browser.until(lambda: browser.texts("#vote > p.quiet")[0] == "2 votes, saved in votes.jsonl.")
        browser.driver.get("about:blank")  # before the server ends: the next pair's pictures may still be on their way
    assert [vote.choice for vote in read_votes(sweep.folder.votes)] == ["left", "right"]


@pytest.mark.parametrize("rates, why", [(RATES[:1], "all runs have the same setting"), (["1e-5", "2e-5"], "")])
def test_what_cannot_be_compared_is_not_asked(browser: Browser, tmp_path: Path, rates: list[str], why: str):
    sweep = made(tmp_path, rates)
    for png in sweep.path.glob(
        "*/attempt-1/output/sample/*_01.json" if why else "001-*/attempt-1/output/sample/*.json"
    ):
        png.write_text(png.read_text().replace('"seed": 7', '"seed": 8'))
    browser.open(sweep.build().path, "#tab=vote")
    browser.until(lambda: browser.texts("#vote .empty"))
    assert (why or "No two settings have a picture of the same prompt and seed") in browser.text("#vote .empty")
