"""A browser for the tests of the report: Chromium without a screen, and what a person does with it.

Without chromium and its driver the tests are skipped with the reason; with AUTOMATE_TRAIN_NEEDS_BROWSER=1 they fail.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-color-profile=srgb"
).split()


def why_not() -> str:
    """ "" when a browser can be driven here."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        return f"no {' and no '.join(missing)} here: apt-get install chromium chromium-driver"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "no selenium here: pip install selenium"
    return ""


def needed() -> None:
    """Skip, saying why, where there is no browser."""
    if why := why_not():
        (pytest.fail if os.environ.get("AUTOMATE_TRAIN_NEEDS_BROWSER") else pytest.skip)(
            f"the page is not tested: {why}"
        )


@contextmanager
def chromium(profile: Path, downloads: Path | None = None) -> Iterator[Browser]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def size(self, width: int, height: int) -> None:
        """Set the size of the page's viewport."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, on: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, page: Path, hash_: str = "") -> None:
        """Load a page and wait until it is ready."""
        self.visit(page.as_uri() + hash_)

    def visit(self, url: str) -> None:
        """The same by its address."""
        self.driver.get("about:blank")
        self.driver.get(url)
        self.until(lambda: self.js("return document.documentElement.dataset.ready === '1'"))

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any], seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"waited {seconds} s; console: {self.console()}"
            time.sleep(0.02)
        return found

    def key(self, name: str, shift: bool = False) -> None:
        """Press a key; the element with the focus gets it."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        chain = ActionChains(self.driver)
        what = getattr(Keys, name, name)
        (chain.key_down(Keys.SHIFT).send_keys(what).key_up(Keys.SHIFT) if shift else chain.send_keys(what)).perform()

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def press(self, text: str) -> None:
        """The visible button with this text."""
        found = [each for each in self.driver.find_elements("css selector", "button") if each.text.strip() == text]
        assert len(found) == 1, (text, [each.text for each in found])
        found[0].click()

    def choose(self, selector: str, value: str) -> None:
        self.js("const s = document.querySelector(arguments[0]); s.value = arguments[1];"
                "s.dispatchEvent(new Event(s.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true}))",
                selector, value)  # fmt: skip

    def texts(self, selector: str) -> list[str]:
        """The texts of the visible elements."""
        return list(self.js("return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())"
                            ".map(e => e.innerText.trim())", selector))  # fmt: skip

    def text(self, selector: str) -> str:
        (found,) = self.texts(selector)
        return found

    def attributes(self, selector: str, name: str) -> list[str | None]:
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.getAttribute(arguments[1]))"
        return list(self.js(script, selector, name))

    def hash(self) -> str:
        return str(self.js("return location.hash"))

    def console(self) -> list[str]:
        """Errors and warnings since the last call."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def shot(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(file))
