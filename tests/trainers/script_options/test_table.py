"""The rows of `automate-train args`."""

from __future__ import annotations

from automate_train.trainers.script_options.argument import Argument
from automate_train.trainers.script_options.table import rows


def test_the_table_is_in_the_source_order_and_searchable():
    arguments = [
        Argument("learning_rate", "float", 1e-4, help="speed of learning / 学習率"),
        Argument("text_encoder_lr", "float", nargs="*", help="several " + "long words " * 20),
        Argument("cache", "bool", False, action="store_true", help="keeps latents, no LR here\nsecond line"),
        Argument("kind", "str", choices=(None, "a", 2)),
        Argument("betas", "float", (0.9, 0.99), nargs=2),
    ]
    found = {argument.name: argument for argument in arguments}
    found_rows = rows(found)
    assert [row[0] for row in found_rows] == list(found)
    assert found_rows[0] == ("learning_rate", "float", "0.0001", "", "speed of learning")
    assert found_rows[1][1:4] == ("list of float", "", "")
    assert found_rows[1][4] == "several long words long words long words long words long words long ..."
    assert found_rows[2] == ("cache", "bool", "false", "", "keeps latents, no LR here")
    assert found_rows[3] == ("kind", "str", "", "a, 2", "")
    assert found_rows[4] == ("betas", "list of float", "0.9 0.99", "", "")
    assert [row[0] for row in rows(found, "lr")] == ["learning_rate", "text_encoder_lr", "cache"]
    assert [row[0] for row in rows(found, "--Learning-Rate")] == ["learning_rate"]
    assert rows(found, "nothing like it") == []
