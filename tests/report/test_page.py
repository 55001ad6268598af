"""The page's file: text that must not become markup, its policy, its modules, and that a wheel holds them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import EVIL, Sweep, data_of

from automate_train.report.page import MODULES, safe_json, script, web

ROOT = Path(__file__).parents[2]


def test_nothing_in_the_data_becomes_markup(tmp_path: Path):
    sweep = Sweep(tmp_path, note=[EVIL, "plain"])
    for run in sweep.runs():
        sweep.begin(run, prompts=[EVIL], end="failed", reason=EVIL)
    page = sweep.build().path
    text = page.read_text(encoding="utf-8")
    assert data_of(page)["runs"][0]["reason"] == EVIL and "<img" not in text and "window.evil = 1</script>" not in text
    assert "\u2028" not in text


@given(st.text() | st.lists(st.text()))
def test_safe_json_is_the_same_json(value: object):
    text = safe_json(value)
    assert json.loads(text) == value and not set(text) & set("<>&\u2028\u2029")


def test_every_module_is_in_the_page_and_imports_only_earlier_ones():
    import re

    there = {path.stem for path in Path(__file__).parents[2].glob("automate_train/report/web/js/*.js")}
    assert there == set(MODULES)
    for at, name in enumerate(MODULES):
        imported = re.findall(r'from "\./(\w+)\.js"', web(f"js/{name}.js"))
        assert set(imported) <= set(MODULES[:at]), name
    assert "import " not in "".join(re.findall(r"^\w+ .*$", script(), re.MULTILINE))


def test_the_page_loads_nothing_and_its_policy_forbids_it(tmp_path: Path):
    text = Sweep(tmp_path).build().path.read_text(encoding="utf-8")
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    assert " src=" not in text.split("<script")[0] and "@import" not in text


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
