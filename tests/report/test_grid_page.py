"""The tab with the grid in a real browser: where it opens, pictures without the LoRA, labels, the grid as a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_kit import Browser
from PIL import Image
from report_kit import Sweep

from automate_train.report import thumbs

pytestmark = pytest.mark.slow
LONG = "one prompt with very many words, " * 8
CUT = """
return [...document.querySelectorAll('.pictures th, .pictures th *')]
  .filter((e) => e.clientWidth && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).length;
"""


def loaded(page: Browser) -> bool:
    return bool(
        page.js("return [...document.querySelectorAll('.pictures img')].every(i => i.complete && i.naturalWidth > 0)")
    )


def test_one_key_and_one_checkpoint_make_a_column_and_no_diagonal(tmp_path: Path, browser: Browser):
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4", "4e-4"])
    for run in sweep.runs():
        sweep.begin(run, epochs=1)
    browser.open(sweep.build().path)
    assert browser.texts(".pictures thead th") == ["epoch 1"]
    assert browser.attributes(".cell", "data-state") == ["done"] * 3


def test_the_grid_opens_where_there_are_pictures(tmp_path: Path, browser: Browser):
    """The first rank's runs have failed; and of two keys most pairs are not in the sweep."""
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"], network_alpha=["1", "2"], network_dim=["4", "16"])
    for run in sweep.runs():
        failed = run.varied["network_dim"] == "4"
        sweep.begin(run, epochs=0 if failed else 2, end="failed" if failed else "succeeded")
    browser.open(sweep.build().path)
    assert browser.attributes(".cell", "data-state") == ["done"] * 4
    (tmp_path / "other").mkdir()
    sweep = Sweep(tmp_path / "other", unet_lr=["1", "2", "3", "4"], network_dim=["1", "2", "3", "4"])
    for run in sweep.runs():
        if run.varied["unet_lr"] == run.varied["network_dim"] or run.index == 1:
            sweep.begin(run)
    browser.open(sweep.build().path)
    assert browser.attributes(".cell", "data-state") == ["done"] * 10, "five runs by two epochs"


def test_letters_are_keys_on_a_korean_keyboard_too(tmp_path: Path, browser: Browser):
    sweep = Sweep(tmp_path)
    sweep.begin(*sweep.runs())
    browser.open(sweep.build().path)
    browser.js("document.querySelector('.cell').focus()")
    key = "new KeyboardEvent('keydown', {key: 'ㅔ', code: 'KeyP', bubbles: true})"
    browser.js(f"document.activeElement.dispatchEvent({key})")
    assert browser.texts(".badge.pin") == ["A"]


def test_the_grid_is_saved_as_a_png_with_whole_labels(tmp_path: Path, browser: Browser, downloads: Path):
    sweep = Sweep(tmp_path, name="saved", unet_lr=["1e-4", "2e-4"], network_dim=["4", "8"])
    for run in sweep.runs():
        sweep.begin(run, prompts=[LONG])
    sweep.baseline(0, LONG)
    browser.open(sweep.build().path, "#y=prompt")
    assert browser.texts(".pictures tbody th") == [LONG.strip()] and browser.js(CUT) == 0
    browser.until(lambda: loaded(browser))
    browser.click("#save")
    file = downloads / "saved-prompt-network_dim.png"
    browser.until(file.exists)
    box = "const {x, y, width, height, bottom} = document.querySelector(arguments[0]).getBoundingClientRect();"
    table, cell = (browser.js(f"{box} return [x, y, width, height, bottom]", each) for each in (".pictures", ".cell"))
    with Image.open(file) as image:
        assert image.width == pytest.approx(2 * table[2], abs=2) and image.height > 2 * table[3]
        # The first run's picture of the last epoch, twice as large as in the page; below it stands the margin.
        x = 2 * (cell[0] + cell[2] / 2 - table[0])
        y = image.height - 24 - 2 * (table[4] - cell[1] - cell[3] / 2)
        seen = image.convert("RGB").resize((1, 1), box=(x - 60, y - 60, x + 60, y + 60)).getpixel((0, 0))
    with Image.open(sweep.kinds[(64, 64)][2 * 3]) as image:
        wanted = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) < 30  # type: ignore[arg-type]


def test_a_grid_whose_pictures_are_not_in_the_page_names_the_command(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(thumbs, "INSIDE_BYTES", 0)
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"], network_dim=["4", "8"])
    for run in sweep.runs():
        sweep.begin(run)
    browser.open(sweep.build().path)
    browser.click("#save")
    browser.until(lambda: browser.texts("#unsaved pre"))
    assert browser.text("#unsaved pre").endswith("--x network_dim --y unet_lr --at epoch=2 -o grid.png")
