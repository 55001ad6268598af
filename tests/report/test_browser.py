"""The page in a real browser, used by mouse and keys. A console error fails the test (conftest)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser_kit import Browser
from report_kit import CJK, EVIL, Sweep

from automate_train.report import thumbs
from automate_train.report.assemble import write_page
from automate_train.report.best import config_text
from automate_train.report.marks import read_marks
from automate_train.report.sweep_data import read_runs
from automate_train.store.layout import find_sweep

pytestmark = pytest.mark.slow
NOTE = "the training losses of these runs cannot be compared: min_snr_gamma changes what they mean"
SHOWN = "#grid .cell img"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """2 x 2 runs, 3 epochs, 2 prompts, 2 weights; one failed early, one waits; with a baseline."""
    made = Sweep(tmp_path_factory.mktemp("page"), unet_lr=["1e-4", "2e-4"], network_dim=["4", "16"])
    first, second, third, fourth = made.runs()
    for run in (first, second):
        attempt = made.begin(run, epochs=3, prompts=["a boat", CJK], weights=[0.6, 1.0])
    made.picture(attempt, 1, 3, 0, "a boat", weight=0.6, state="failed", reason="the server said 500").unlink()
    made.begin(
        third, epochs=1, prompts=["a boat", CJK], weights=[0.6, 1.0], end="failed", reason=f"out of memory {EVIL}"
    )
    made.wait(fourth)
    made.baseline(0, "a boat")
    made.build()
    return made


@pytest.fixture
def page(sweep: Sweep, browser: Browser) -> Browser:
    browser.open(sweep.path / "report.html")
    browser.js("localStorage.clear()")
    browser.open(sweep.path / "report.html")
    return browser


def sources(page: Browser) -> list[str | None]:
    return page.attributes(SHOWN, "src")


def loaded(page: Browser) -> bool:
    seen = "[...document.querySelectorAll(arguments[0])].filter(i => i.src && !i.hidden && i.checkVisibility())"
    return bool(page.js(f"return {seen}.every(i => i.complete && i.naturalWidth > 0)", SHOWN))


def test_settings_are_rows_and_columns_and_gaps_say_why(page: Browser):
    assert page.texts(".pictures thead th") == ["without the LoRA", "4", "16"]
    assert page.texts(".pictures tbody th") == ["1e-4", "2e-4"]
    assert len(page.texts(".pictures td.base img")) == 2, "the same prompt's picture in each row"
    states = page.attributes(".cell", "data-state")
    assert states == ["done", "failed", "run failed", "run waiting"]
    assert "out of memory" in str(page.attributes(".cell", "aria-label")[2])
    page.until(lambda: loaded(page))
    assert page.js("return window.evil") is None


def test_keys_flip_epochs_and_the_other_axis_in_place(page: Browser):
    first = sources(page)
    assert page.text("[data-axis=epoch] .value") == "3"
    page.key("ARROW_LEFT")
    second = sources(page)
    assert page.text("[data-axis=epoch] .value") == "2" and second[0] != first[0] and "at.epoch=2" in page.hash()
    page.key("ARROW_DOWN")
    assert "at.prompt=1" in page.hash() and sources(page)[0] not in (first[0], second[0])
    page.key("ARROW_UP")
    page.key("ARROW_RIGHT")
    assert sources(page) == first
    page.click("[data-axis=weight] button")  # now the up and down keys step through the weights
    page.key("ARROW_DOWN")
    assert "at.weight=1" in page.hash()
    page.until(lambda: loaded(page))


def test_axes_are_chosen_and_the_hash_brings_the_view_back(page: Browser, sweep: Sweep):
    page.choose("#x", "epoch")
    page.choose("#y", "prompt")
    assert page.texts(".pictures thead th") == ["without the LoRA", "epoch 1", "epoch 2", "epoch 3"]
    assert page.texts(".pictures tbody th") == ["a boat", CJK]
    assert page.texts(".pictures td.base") == ["", "no picture"], "the second prompt has no baseline"
    page.key("b")
    assert page.texts(".pictures thead th") == ["epoch 1", "epoch 2", "epoch 3"]
    page.choose("[id='at-network_dim']", "16")
    there, seen = page.hash(), sources(page)
    page.open(sweep.path / "report.html", there)
    assert sources(page) == seen and page.texts(".pictures thead th")[0] == "epoch 1"
    page.js("location.hash = '#x=run&y=epoch'")
    page.until(lambda: page.texts(".pictures thead th")[1].startswith("unet_lr\xa01e-4,"))
    page.js("location.hash = '#x=nothing&y=run&tab=evil&at.epoch=99'")  # of another sweep, or mistyped
    page.until(lambda: page.texts(".pictures thead th")[1:] == ["4", "16"])
    assert page.attributes(".cell", "data-state")[:4] == ["done", "not in the sweep", "not in the sweep", "failed"]


def test_full_size_shows_facts_and_steps_and_the_focus_comes_back(page: Browser):
    page.key("TAB")
    page.js("document.querySelector('.cell').focus()")
    page.key("ENTER")
    page.until(lambda: page.texts("#viewer h3"))
    assert "network_dim\xa0=\xa04, epoch 3" in page.text("#viewer h2")
    facts = "\n".join(page.texts("#viewer pre"))
    assert "a boat" in facts and "Steps: 20" in facts and "env 'A=b c' python train.py" in facts
    assert re.search(r"--only 0+ --epochs 3", facts), "by its id"
    assert page.text("#viewer figcaption").startswith("Baseline")
    full = page.js("return document.querySelector('#viewer img').src")
    assert full.endswith("/output/sample/x-000003_00_w0.6.png")
    page.key("ARROW_LEFT")
    assert "epoch 2" in page.text("#viewer h2")
    page.key("ARROW_RIGHT")
    page.key("b")
    assert page.texts("#viewer figcaption") == []
    page.key("ESCAPE")
    page.until(lambda: "open=" not in page.hash())  # the dialog's close event comes a moment after it has closed
    assert page.js("return document.activeElement.className").startswith("cell")


def test_two_pinned_pictures_are_compared_under_a_slider(page: Browser, sweep: Sweep):
    page.js("document.querySelector('.cell').focus()")
    page.key("p")
    page.key("ARROW_LEFT")
    page.key("p")
    assert page.texts(".badge.pin") == ["B"]
    page.key("c")
    page.until(lambda: page.js("return document.querySelector('#compare').open"))
    assert page.texts("#compare .label") == ["A epoch 3", "B epoch 2"], "on the pictures, and only what differs"
    page.key("ARROW_LEFT")
    assert page.js("return document.querySelector('.stack').style.getPropertyValue('--cut')") in ("49%", "45%")
    hash_ = page.hash()
    page.open(sweep.path / "report.html", hash_)
    assert page.js("return document.querySelector('#compare').open")
    assert [text.split(", ")[2] for text in page.texts("#compare p")] == ["epoch 3", "epoch 2"]
    page.press("Side by side")
    images = "return [...document.querySelectorAll('#compare .two img')].map(i => i.naturalWidth)"
    page.until(lambda: page.js(images) == [64, 64])


def test_shift_and_arrows_move_the_focus_and_enter_opens_what_is_seen(page: Browser):
    page.js("document.querySelector('.cell').focus()")
    page.key("ARROW_RIGHT", shift=True)
    label = page.js("return document.activeElement.getAttribute('aria-label')")
    assert "network_dim\xa0=\xa016" in label and label.endswith("failed")
    assert page.js("return document.querySelectorAll('.cell[tabindex=\"0\"]').length") == 1
    page.key("ENTER")
    page.until(lambda: page.texts("#viewer .trouble") == ["the server said 500"])


def test_curves_show_metrics_and_values(page: Browser):
    page.key("3")
    page.until(lambda: page.texts(".runs output"))
    assert (
        len(page.texts(".runs li")) == 3 and page.js("return document.querySelectorAll('#curves canvas').length") == 1
    )
    names = page.js("return [...document.querySelector('#metric').options].map(o => o.value)")
    assert names == ["loss", "average", "lr/unet", "epoch_loss"]
    at_the_end = page.texts(".runs output")
    page.js("document.querySelector('.chart').focus()")
    page.key("ARROW_LEFT")
    page.until(lambda: page.text("#under").startswith("step "))
    assert page.texts(".runs output") != at_the_end
    page.choose("#metric", "lr/unet")
    page.until(lambda: "lr/unet of 3 runs" in str(page.attributes(".chart", "aria-label")[0]))
    page.choose("#smooth", "0")
    page.js("document.querySelector('#log').click()")
    page.until(lambda: "log=1" in page.hash() and "smooth=0" in page.hash())
    page.js("document.querySelector('.runs input').click()")
    page.until(lambda: "of 2 runs" in str(page.attributes(".chart", "aria-label")[0]))


def test_replicates_stand_together_and_losses_that_cannot_be_compared_are_called_that(tmp_path: Path, browser: Browser):
    made = Sweep(tmp_path, seed=["1", "2"], min_snr_gamma=["1", "5"])
    for run in made.runs():
        made.begin(run, epochs=2)
    browser.open(made.build().path)
    assert browser.js("return document.querySelector('#y').value") == "min_snr_gamma"
    browser.key("4")
    assert browser.text("#loss-note") == NOTE
    assert browser.texts("#settings th") == ["min_snr_gamma", "seed", "epoch_loss, mean (range)"]
    rows = browser.texts("#settings tbody tr")
    assert len(rows) == 2 and all(re.fullmatch(r"[15]\s+1, 2\s+0\.\d+ \(0\.\d+ to 0\.\d+\)", row) for row in rows), rows
    browser.key("3")
    browser.until(lambda: browser.texts(".runs output"))
    assert browser.text("#loss-note") == NOTE
    browser.choose("#metric", "epoch_loss")  # a mean already, which no smoothing changes
    browser.until(lambda: "epoch_loss of 4 runs" in str(browser.attributes(".chart", "aria-label")[0]))
    shown = browser.texts(".runs output")
    browser.choose("#smooth", "0")
    browser.until(lambda: browser.text("#curves .controls .value") == "0.00")
    assert browser.texts(".runs output") == shown


def test_the_table_sorts_filters_and_is_exported(page: Browser, downloads: Path):
    page.key("4")
    assert page.text("#count") == "4 of 4 runs"
    page.click("[data-sort=loss]")
    assert page.texts(".rows tbody tr:not(.reason) th") == ["2", "1", "0", "3"]
    page.click("[data-sort=loss]")
    assert page.attributes("th[aria-sort]", "aria-sort") == ["descending"]
    assert page.texts(".rows tbody tr:not(.reason) th") == ["0", "1", "2", "3"]
    page.choose("#find", "network_dim=16")
    assert page.text("#count") == "2 of 4 runs"
    page.choose("#find", "")
    page.press("failed")
    assert page.text("#count") == "1 of 4 runs" and "out of memory" in page.text(".rows .reason")
    page.press("all")
    page.press("Export CSV")
    file = downloads / "boats.csv"
    page.until(file.exists)
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(rows) == 4 and [row["unet_lr"] for row in rows] == ["1e-4", "1e-4", "2e-4", "2e-4"]
    assert next(row for row in rows if row["State"] == "failed")["reason"].startswith("out of memory </script>")
    assert page.js("return window.evil") is None
    page.click("[data-star='00000000']")
    assert page.attributes("[data-star='00000000']", "aria-pressed") == ["true"]


def test_marks_are_kept_exported_and_put_back(page: Browser, sweep: Sweep, downloads: Path, tmp_path: Path):
    page.js("document.querySelector('.cell').focus()")
    page.key("s")
    assert page.texts(".badge.star") == ["★"]
    page.key("ENTER")
    page.until(lambda: page.texts("#viewer h3"))
    page.key("n")
    page.until(lambda: page.js("return document.activeElement.tagName") == "TEXTAREA")  # else its letters are keys
    page.key(f"sharp {EVIL[:20]}")
    page.key("ESCAPE")
    page.until(lambda: not page.js("return document.querySelector('#viewer').open"))
    page.open(sweep.path / "report.html")
    assert page.texts(".badge.star") == ["★"] and page.texts(".badge.note") == ["✎"]
    page.key("6")
    page.press("Export")
    file = downloads / "boats-marks.json"
    page.until(file.exists)
    (mark,) = json.loads(file.read_text())["marks"]
    assert (mark["run"], mark["epoch"], mark["star"], mark["weight"]) == ("0" * 16, 3, True, 0.6)
    assert mark["note"].startswith("sharp </script>")
    page.js("localStorage.clear()")
    other = sweep.build(out=tmp_path / "again.html", marks=read_marks(file)).path
    page.open(other, "#tab=marks")
    assert (
        len(page.texts("#marks li")) == 1
        and page.js("return document.querySelector('#marks textarea').value") == mark["note"]
    )
    page.js("localStorage.clear()")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_text_can_be_read_and_nothing_is_wider_than_the_page(page: Browser, width: int, dark: bool):
    page.size(width, 844)
    page.dark(dark)
    for tab in ("grid", "curves", "table", "marks", "provenance"):
        page.js("location.hash = `#tab=${arguments[0]}`", tab)
        page.until(lambda tab=tab: page.texts(f"#{tab} *"))
        assert page.js("return document.documentElement.scrollWidth") <= width, tab
        assert page.js(CONTRAST) == [], tab


AGAIN = """
const plain = (e) => e.outerHTML.replace(/ style="[^"]*"/g, "");  // which the page's policy forbids to markup
return plain(new DOMParser().parseFromString(plain(document.body), 'text/html').body) === plain(document.body);
"""
CONTRAST = """
const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data]; };
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (e) => { let found = [];
  for (let at = e; at; at = at.parentElement) { const c = rgba(getComputedStyle(at).backgroundColor);
    if (c[3]) found.push(c); if (c[3] === 255) break; }
  const over = (under, c) => c.map((v, i) => v * c[3] / 255 + under[i] * (1 - c[3] / 255));
  return found.reverse().reduce(over, [255, 255, 255, 255]); };
const low = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility() || e.closest('.offscreen, #announcement, script, :disabled')) continue;
  const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${e.innerText.slice(0, 30)} ${ratio.toFixed(2)}`);
}
return low;
"""


def test_the_markup_is_what_the_parser_makes_of_it(page: Browser):
    """Elements that may not contain each other, and ids that are used twice, do not survive being parsed again."""
    for tab in ("grid", "curves", "table", "marks", "provenance"):
        page.js("location.hash = `#tab=${arguments[0]}`", tab)
        page.until(lambda tab=tab: page.texts(f"#{tab} *"))
        assert page.js(AGAIN), tab
        ids = page.attributes("[id]", "id")
        assert sorted(set(ids)) == sorted(ids), tab


def test_every_control_has_a_name(page: Browser):
    for tab in ("grid", "curves", "table", "marks", "provenance"):
        page.js("location.hash = `#tab=${arguments[0]}`", tab)
        page.until(lambda tab=tab: page.texts(f"#{tab} *"))
        tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        controls = ("button", "combobox", "slider", "textbox", "searchbox", "checkbox", "link", "image")
        nameless = [node for node in tree if node.get("role", {}).get("value") in controls
                    and not node.get("ignored") and not node.get("name", {}).get("value", "").strip()]  # fmt: skip
        assert nameless == [], tab


def test_one_file_with_its_pictures_inside(sweep: Sweep, browser: Browser, tmp_path: Path):
    page = sweep.build(out=tmp_path / "alone" / "one.html", inline=True).path
    browser.open(page)
    browser.until(lambda: loaded(browser))
    assert str(sources(browser)[0]).startswith("data:image/jpeg")
    browser.js("document.querySelector('.cell').click()")
    browser.until(lambda: browser.js("return document.querySelector('#viewer img').naturalWidth") == 64)


def test_a_page_without_its_pictures_says_so(sweep: Sweep, browser: Browser, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(thumbs, "INSIDE_BYTES", 0)
    (tmp_path / "sent.html").write_bytes(sweep.build().path.read_bytes())
    browser.open(tmp_path / "sent.html")
    browser.until(lambda: "the picture's file is not beside this page" in browser.texts(".cell .why"))
    browser.driver.get("about:blank")
    assert all("ERR_FILE_NOT_FOUND" in line for line in browser.console())


def test_a_sweep_of_the_tiny_trainer(browser: Browser, tiny_sweep: Path):
    browser.open(write_page(find_sweep(tiny_sweep)).path, "#tab=provenance")
    browser.until(lambda: '"num_repeats": 4' in "".join(browser.texts("#provenance pre")))  # the tuning file
    browser.key("2")
    assert browser.texts(".pictures thead th") == ["epoch 1", "epoch 2"]
    assert browser.texts(".pictures tbody th") == ["1e-3", "5e-3"]
    browser.until(lambda: loaded(browser))
    assert len(set(sources(browser))) == 4
    browser.key("3")
    browser.until(lambda: len(browser.texts(".runs li")) == 2)
    assert browser.js("return document.querySelector('#metric').value") == "loss"
    browser.key("4")
    assert all(float(loss) > 0 for loss in browser.texts(".rows tbody td.number:nth-of-type(5)"))


def test_the_best_run_of_the_tiny_trainer_is_the_next_default(
    tiny_sweep: Path, automate_train: Callable[..., Any], tmp_path: Path
):
    run = read_runs(find_sweep(tiny_sweep))[1]
    (tmp_path / "next.json").write_text(config_text(run), encoding="utf-8")
    flags = ["--default_config_path", str(tmp_path / "next.json"), "--dry-run", "--json", "--cpu"]
    done = automate_train(*flags, cwd=Path(__file__).parents[2])
    (planned,) = json.loads(done.stdout)["runs"]
    assert done.returncode == 0 and planned["key"] == run.key  # the same model


def test_a_resumed_run_is_one_curve_with_the_pictures_of_all_attempts(browser: Browser, tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    sweep.begin(run, epochs=3, steps=24, reached=18, end="lost")
    sweep.begin(run, epochs=3, steps=24, resumed_at=16)
    browser.open(sweep.build().path)
    assert browser.texts(".pictures tbody th") == ["epoch 1", "epoch 2", "epoch 3"]
    assert browser.attributes(".cell", "data-state") == ["done", "done", "done"]
    browser.until(lambda: loaded(browser))
    browser.key("3")
    browser.until(lambda: len(browser.texts(".runs li")) == 1)
    browser.js("document.querySelector('.chart').focus()")
    browser.key("ARROW_RIGHT", shift=True)
    browser.until(lambda: browser.text("#under").startswith("step 1"))  # 12 or 13, in the middle of 1 to 24


def test_a_thousand_pictures_paint_at_once(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(thumbs, "INSIDE_BYTES", 1_000_000)  # the others are files
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4", "3e-4", "4e-4", "5e-4"], network_dim=["4", "8", "16", "32", "64"])
    for run in sweep.runs():
        sweep.begin(run, epochs=10, prompts=["a boat", "a cat", "a dog", CJK], size=(128, 128))
    assert sweep.build().pictures == 1000
    browser.open(sweep.path / "report.html")
    painted = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    assert browser.until(lambda: browser.js(painted)) < 1000
    browser.until(lambda: loaded(browser))
    for _ in range(5):
        browser.key("ARROW_LEFT")
    assert browser.text("[data-axis=epoch] .value") == "5"
    browser.until(lambda: loaded(browser))
    browser.choose("#x", "epoch")
    browser.choose("#y", "run")
    assert browser.js("return document.querySelectorAll('.cell').length") == 250
    loaded_now = "return [...document.querySelectorAll('.cell img')].filter(i => i.complete && i.naturalWidth).length"
    assert browser.js(loaded_now) < 250  # those out of sight are not loaded yet


def test_the_page_opens_with_the_answer(tmp_path: Path, browser: Browser):
    sweep = Sweep(tmp_path, seed=["1", "2", "3"], unet_lr=["1e-4", "4e-4"], network_dim=["4", "16"])
    sweep.options["held_out"] = 4
    sweep.journal.note(command=["--tuning_config_path", "my tuning.json"])
    for run in sweep.runs():
        sweep.begin(run, epochs=3)
        worse = {"1e-4": 0.1, "4e-4": 0.0}[run.varied["unet_lr"]]
        seed = int(run.varied["seed"]) * 1e-3
        sweep.score(run, 3, lambda epoch, item, extra=worse + seed: 0.2 + extra + 0.05 / epoch + 0.01 * item)  # type: ignore[misc]
    sweep.build()
    browser.open(sweep.path / "report.html")
    assert "unet_lr=4e-4" in browser.text("#verdict") and "unet_lr=1e-4" not in browser.text("#verdict")
    assert "4 settings with 3 seeds each, 4 pictures" in browser.text("#answer .verdict")
    names = browser.texts("#dots tbody th")
    assert [name.split(" ")[0] for name in names] == ["unet_lr=4e-4"] * 2 + ["unet_lr=1e-4"] * 2
    assert browser.texts("#dots .badge") == ["tied", "tied"]
    # The dots stand in the order of the means, inside the plot, each within its interval.
    dots = [float(at.rstrip("%")) for at in browser.attributes("#dots circle", "cx") if at]
    assert dots == sorted(dots) and dots[0] >= 0 and dots[-1] <= 100 and len(dots) == 4
    ends = [float(each.rstrip("%")) for name in ("x1", "x2") for each in browser.attributes("#dots line", name) if each]
    assert all(low < dot < high for low, dot, high in zip(ends[:4], dots, ends[4:], strict=True))
    assert browser.texts("#agreed") == [], "no vote yet"
    browser.js("localStorage.setItem(arguments[0], arguments[1])", f"automate-train votes {sweep.path}", json.dumps([
        {"id": f"{at:016x}", "at": at, "left": "00000000/1/0/-", "right": "00000002/1/0/-", "choice": choice}
        for at, choice in enumerate(["right", "right", "left", "same"])
    ]))  # fmt: skip
    browser.open(sweep.path / "report.html")
    assert browser.text("#agreed").startswith(
        "In 2 of your 3 votes with a preference you chose the setting with the lower"
    )
    browser.js("localStorage.clear()")
    assert browser.texts("#heat tbody th") == ["1e-4", "4e-4"] and len(browser.texts("#heat td.number")) == 4
    browser.key("4")
    assert browser.attributes("th[aria-sort] button", "data-sort") == ["score"], "the table is sorted by the measure"
    shown = [float(text) for text in browser.texts("#runs tbody td:nth-of-type(7)")]
    assert shown == sorted(shown) and len(shown) == 12
    browser.key("1")
    labels = browser.js("return [...document.querySelectorAll('.epochs text')].map((each) => each.textContent)")
    assert labels[-4:] == ["1", "2", "3", "epoch"]
    assert "automate-train --tuning_config_path 'my tuning.json' --set 'unet_lr_list=[1e-4, 4e-4, 0.0016]'" in (
        browser.texts(".steps pre")
    )


def test_without_scores_the_page_opens_with_the_pictures_and_says_why(page: Browser):
    assert page.text("#why-no-answer").startswith("No setting can be called better: no picture was held out")
    assert page.attributes("th[aria-sort]", "aria-sort") == []
    assert page.texts("#dots") == [] and len(page.texts(".cell")) == 4
