"""Reading sample prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.prompts import read

SEED = Path(__file__).parent / "data" / "seed"


def test_the_seeds_text_prompts():
    prompts = read(SEED / "prompts.txt")
    assert len(prompts) == 12
    first = prompts[0]
    assert first.text == "iom 1girl, upper body shot, school uniform,  jacket" and first.negative.startswith(
        "easynegative"
    )
    assert first.fields == {"seed": 43, "steps": 30, "cfg_scale": 8.5, "width": 512, "height": 768}


def test_comments_blank_lines_and_dashes_that_are_text(tmp_path: Path):
    file = tmp_path / "p.txt"
    file.write_text("# comment\n\na -- dash, x--y --s 3\n", encoding="utf-8")
    (prompt,) = read(file)
    assert (prompt.text, prompt.fields, prompt.line) == ("a -- dash, x--y", {"steps": 3}, 3)


@pytest.mark.parametrize("line", ["a --zz 3", "a --s many"])
def test_a_wrong_option_names_its_line(tmp_path: Path, line: str):
    file = tmp_path / "p.txt"
    file.write_text(f"fine\n{line}\n")
    with pytest.raises(UserError, match=r"p\.txt:2"):
        read(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '[{"prompt": "a", "steps": 3}, // x\n {"prompt": "b", "negative_prompt": "n"},]'),
        ("p.toml", '[[prompts]]\nprompt = "a"\nsteps = 3\n[[prompts]]\nprompt = "b"\nnegative_prompt = "n"\n'),
        (
            "p.toml",
            '[prompt]\n[[prompt.subset]]\nprompt = "a"\nsteps = 3\n'
            '[[prompt.subset]]\nprompt = "b"\nnegative_prompt = "n"\n',
        ),
    ],
)
def test_structured_prompts(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    first, second = read(tmp_path / name)
    assert (first.text, first.fields, second.negative) == ("a", {"steps": 3}, "n")


@pytest.mark.parametrize(
    ("name", "text"), [("p.json", "[1]"), ("p.json", "{}"), ("p.json", "["), ("p.txt", "\n"), ("p.md", "x")]
)
def test_files_without_prompts(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="p\\."):
        read(tmp_path / name)
