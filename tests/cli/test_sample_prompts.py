"""`automate-train sample DIR --prompt-path FILE` with a file that cannot be read."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("text", "words"), [(None, "there is no such file"), ("a boat --z 1\n", "p.txt:1")])
def test_a_prompt_file_that_cannot_be_read_is_an_error_of_the_user(automate_train, sweep_files, tmp_path, text, words):
    assert automate_train(*sweep_files(["/bin/true"], {})).returncode == 0
    if text is not None:
        (tmp_path / "p.txt").write_text(text)
    done = automate_train("sample", "out/p", "--prompt-path", "p.txt")
    assert done.returncode == 2 and words in done.stderr
