"""Draw the pictures of the documentation: the comparison page of a real sweep, as Chromium shows it.

    python docs/images/make_images.py [SWEEP]

Covers: a sweep of the built-in trainer (3 x 3 settings, 3 seeds, 6 epochs, some minutes on a CPU) unless SWEEP names
one that is there, its page at 1280x800 and 390x844, light and dark. Needs what `make test` needs, and chromium
with its driver.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "report")]

import browser_kit  # noqa: E402
from PIL import Image  # noqa: E402

from automate_train.report.assemble import write_page  # noqa: E402
from automate_train.report.sweep_data import read_runs  # noqa: E402
from automate_train.store.layout import find_sweep  # noqa: E402

SETTINGS = (
    "project_name_base=boats", "unet_lr_list=[5e-4,2e-3,1e-2]", "network_dim_list=[2,8,32]", "epoch_num=6",
    "log_with=None", "replicates=3",
)  # fmt: skip
SIZES = {"wide": (1280, 800), "phone": (390, 844)}
CURVES = "#tab=curves&metric=average&colour=unet_lr"
VIEWS = {"answer": "#", "grid": "#tab=grid", "viewer": "", "compare": "", "curves": CURVES, "table": "#tab=table"}
BOTH = ("answer", "grid", "curves")
"""Views that are drawn light and dark, wide and on a phone; the others wide and light."""


def sweep(home: Path) -> Path:
    configs = ROOT / "configs" / "quickstart"
    argv = [sys.executable, "-m", "automate_train", "--default_config_path", str(configs / "default.json")]
    argv += ["--tuning_config_path", str(configs / "tuning.json"), "--cpu", "2", "--plain"]
    for each in (*SETTINGS, f"temp_dir={home}", f"target_path={home / 'loras'}"):
        argv += ["--set", each]
    subprocess.run(argv, cwd=ROOT, check=True)
    return home / "boats"


def main(given: str | None) -> None:
    with tempfile.TemporaryDirectory() as temp, browser_kit.chromium(Path(temp) / "profile") as browser:
        folder = find_sweep(given or sweep(Path(temp) / "out"))
        runs = [run for run in read_runs(folder) if run.seed in ("", read_runs(folder)[0].seed)]
        page = write_page(folder, seconds=60).path
        first, last = (f"{run.key[:8]}/6/0/-" for run in (runs[0], runs[-1]))
        hashes = VIEWS | {"viewer": f"#open={last}", "compare": f"#pins={first} {last}&compare=1"}
        for view, hash_ in hashes.items():
            for size, (width, height) in SIZES.items():
                for theme in ("light", "dark"):
                    if view in BOTH or (size, theme) == ("wide", "light"):
                        browser.size(width, height)
                        browser.dark(theme == "dark")
                        browser.open(page, hash_)
                        time.sleep(0.5)  # for the eye alone: pictures are decoded
                        # The command to train by hand names folders of this machine.
                        browser.js("document.querySelectorAll('#viewer section:last-of-type').forEach(e => e.remove())")
                        file = Path(__file__).parent / f"{view}-{size}-{theme}.png"
                        browser.shot(file)
                        with Image.open(file) as image:
                            plain = image.convert("RGB")
                            plain.quantize(palette=plain.quantize(256)).save(file, optimize=True)
        assert browser.console() == []


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
