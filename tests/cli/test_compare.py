"""`automate-train compare`: the table, the JSON, and files as spreadsheets and other tools write them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from automate_train.cli import compare
from automate_train.errors import UserError

HEAD = "setting,seed,item,score\n"
BODY = "".join(
    f"unet_lr={lr},{seed},{item},{base + shift + seed * 1e-4 * (1 + (lr == '4e-4')) :.5f}\n"
    for lr, base in (("1e-4", 0.08), ("4e-4", 0.09)) for seed in (1, 2, 3)
    for item, shift in (("boat", 0.0), ("house", 0.02))
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scores.csv"


def test_the_table_and_the_sentence(automate_train, file: Path):
    file.write_text(HEAD + BODY)
    done = automate_train("compare", "scores.csv")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        "   setting       mean     95 % interval       seeds  items",
        "*  unet_lr=1e-4  0.09020  0.08987 to 0.09053  3      2",
        "   unet_lr=4e-4  0.10040  0.10007 to 0.10073  3      2",
        "",
        "unet_lr=1e-4 is better than unet_lr=4e-4 (score lower by 0.00995 to 0.01045).",
    ]


def test_the_json_has_the_form_that_is_promised(automate_train, file: Path):
    file.write_text(HEAD + BODY + "new,1,boat,0.1\nnew,1,house,0.2\n")
    found = json.loads(automate_train("compare", "--json", "scores.csv").stdout)
    assert list(found) == ["pairs", "best", "settings"]
    assert all(list(pair) == ["a", "b", "difference", "low", "high", "verdict"] for pair in found["pairs"])
    assert all(list(each) == ["setting", "mean", "low", "high", "seeds", "items"] for each in found["settings"])
    assert [pair["verdict"] for pair in found["pairs"]] == ["better", "too few seeds to say", "too few seeds to say"]
    assert found["pairs"][1]["low"] is None and found["best"] == ["unet_lr=1e-4", "new"]
    turned = json.loads(automate_train("compare", "--json", "--higher", "scores.csv").stdout)
    assert turned["pairs"][0]["verdict"] == "worse" and turned["best"] == ["new", "unet_lr=4e-4"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + BODY,
        (HEAD + BODY).replace("\n", "\r\n"),
        (HEAD + BODY).replace(".", ",", 0).replace(",", ";"),
        (HEAD + BODY).replace(",", ";").replace(".", ","),
        (HEAD + BODY).replace(",", "\t"),
        "\n" + (HEAD + BODY).replace("\n", "\n\n"),
        (HEAD + BODY).replace("setting,seed", '"Setting", SEED '),
        "note," + HEAD + "".join(f'"a ""b"",\nc",{line}\n' for line in BODY.splitlines()),
    ],
    ids=["BOM", "CRLF", "semicolon", "decimal comma", "tab", "empty lines", "spelling", "more columns"],
)
def test_files_as_others_write_them(file: Path, text: str):
    file.write_bytes(text.encode())
    plain = file.with_name("plain.csv")
    plain.write_text(HEAD + BODY)
    assert list(compare._rows(file)) == list(compare._rows(plain)) and len(list(compare._rows(file))) == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "scores.csv: needs one column 'setting' in its first line, and it is empty (columns: setting,seed,item"),
        (b"\n\n", "it is empty"),
        (b"setting,seed,picture,score\na,1,x,1\n", "one column 'item' in its first line, and it has setting, seed"),
        (b"setting,seed,item,score,score\na,1,x,1,2\n", "needs one column 'score'"),
        (HEAD.encode(), "scores.csv: there are no scores"),
        (HEAD.encode() + b"a,1,x,0.1\na,2,x,low\n", "scores.csv line 3: score 'low' is not a number (for example 0.0"),
        (HEAD.encode() + b"a,1,x,nan\n", "line 2: score 'nan' is not a number"),
        (HEAD.encode() + b"a,1,x,1_0\n", "line 2: score '1_0' is not a number"),
        (HEAD.encode() + b"a,1,x,1e999\n", "line 2: score '1e999' is not a number"),
        (HEAD.encode() + b"a,1,x\n", "line 2: has no score"),
        (HEAD.encode() + b"a,,x,1\n", "line 2: has no seed"),
        (HEAD.encode() + b"a,1,x,1\n\nb,1,x,1\na,1,x,2\n",
         "line 5: setting 'a', seed '1', item 'x' has a score in line 2 already"),
        (HEAD.encode() + b'a,1,"x,1\n', "is not a CSV file: unexpected end of data"),
        (HEAD.encode("utf-16"), "is not text in UTF-8 (save it as CSV UTF-8)"),
        (HEAD.encode() + b"a,1,x,1\nb,1,y,1\n", "no item has a score in every run"),
        (HEAD.encode() + b"a" * 200_000, "line 2: is longer than 100,000 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(file: Path, text: bytes, words: str):
    file.write_bytes(text)
    with pytest.raises(UserError) as error:
        compare.main([str(file)])
    assert words in str(error.value)


def test_a_file_that_does_not_end(file: Path, monkeypatch):
    monkeypatch.setattr(compare, "MOST_LINES", 100)
    file.write_text(HEAD + "".join(f"a,{seed},x,1\n" for seed in range(100)))
    with pytest.raises(UserError, match="more than 100 lines"):
        compare.main([str(file)])


def test_a_file_that_is_not_there(automate_train, tmp_path: Path):
    done = automate_train("compare", "nowhere.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "automate-train: nowhere.csv: cannot be read: No such file or directory\n"
    assert "cannot be read: Is a directory" in automate_train("compare", str(tmp_path)).stderr


def test_without_numpy_one_sentence_says_what_to_install(automate_train, file: Path, tmp_path: Path):
    file.write_text(HEAD + BODY)
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing/sitecustomize.py").write_text("import sys\nsys.modules['scipy'] = None\n")
    path = os.pathsep.join([str(tmp_path / "missing"), *sys.path])
    done = automate_train("compare", "scores.csv", PYTHONPATH=path)
    assert done.returncode == 2 and done.stderr == (
        "automate-train: comparing needs numpy and scipy, and scipy is missing "
        f"({sys.executable} -m pip install numpy scipy)\n"
    )
