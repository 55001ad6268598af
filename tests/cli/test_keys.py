"""`automate-train keys`: the listing, and searching in it."""

from __future__ import annotations

from automate_train.config.key import READERS
from automate_train.config.key_table import KEYS


def test_all_keys_by_who_reads_them(automate_train):
    done = automate_train("keys")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line[:-1] for line in lines if not line.startswith(" ")] == list(READERS.values())
    assert len(lines) == len(READERS) + 2 * len(KEYS)


def test_a_word_is_searched_for_in_names_and_meanings(automate_train):
    lines = automate_train("keys", "RETRIES").stdout.splitlines()
    assert lines[:2] == [
        "The sweep:",
        "  retries   [whole number; 0 or more; default 0; one value for the whole sweep; also --retries]",
    ]
    assert lines[2].endswith("Example: 2") and len(lines) == 3
    found = automate_train("keys", "epoch_num").stdout
    assert "  epoch_num, max_train_epochs   [whole number; 1 or more]" in found
    assert "optimizer_args" in automate_train("keys", "optimizer_args").stdout
    assert "secret" in automate_train("keys", "wandb_api").stdout


def test_a_word_that_no_key_has(automate_train):
    done = automate_train("keys", "trainer_nam")
    assert done.returncode == 2 and "no key has 'trainer_nam' in its name" in done.stderr
    assert "automate-train args REPO_DIR qqqq" in automate_train("keys", "qqqq").stderr
