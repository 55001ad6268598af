"""What an infotext proves."""

from __future__ import annotations

import pytest

from automate_train.sampling.servers.webui.infotext import verdict

INFO = (
    'a, Lora hashes: "ours: 000000000000"\nNegative prompt: Model: other\nSteps: 4, Seed: 7, Model hash: a1b2c3d4e5, '
)
INFO += 'Model: my_model v1, Lora hashes: "theirs: 111111111111, ours: ABCDEF012345", Version: v1.9.4'


@pytest.mark.parametrize(
    ("name", "digest", "model", "state"),
    [
        ("ours", "abcdef012345", "my_model v1", "done"),
        ("ours", "", None, "done"),
        ("ours", "000000000000", None, "base model only"),
        ("our", "abcdef012345", None, "base model only"),
        (None, "", "my_model v1", "done"),
        ("ours", "abcdef012345", "sub/My_Model v1.safetensors [a1b2c3d4e5]", "done"),
        ("ours", "abcdef012345", "renamed [a1b2c3d4e5]", "done"),
        ("ours", "abcdef012345", "my_model v1 [ffffffffff]", "wrong checkpoint"),
        (None, "", "other", "wrong checkpoint"),
    ],
)
def test_verdict(name, digest, model, state):
    found = verdict(INFO, name, digest, model)
    assert found.state == state and bool(found.reason) == (state != "done")


def test_verdict_without_words():
    assert verdict("", "ours", "abcdef012345", None).state == "base model only"
    assert verdict("Steps: 4, Seed: 7", None, "", "any").state == "done"  # a server that tells no model is believed
    assert "hash in the infotext is not ours" in verdict(INFO, "ours", "000000000000", None).reason
    assert verdict(INFO, "absent", "", None).names_loras and not verdict("Steps: 4", "ours", "", None).names_loras
