"""What an infotext proves."""

from __future__ import annotations

import pytest

from automate_train.sampling.servers.protocol import BaseModel
from automate_train.sampling.servers.webui.lora_proof import named_model, verdict

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
    found = verdict(INFO, name, (digest,) if digest else (), named_model(model))
    assert found.state == state and bool(found.reason) == (state != "done")


def test_verdict_without_words():
    assert verdict("", "ours", {"abcdef012345"}, None).state == "base model only"
    assert (
        verdict("Steps: 4, Seed: 7", None, (), BaseModel("any")).state == "done"
    )  # a server that tells no model is believed
    assert "hash in the infotext is not ours" in verdict(INFO, "ours", {"000000000000"}, None).reason
    assert verdict(INFO, "absent", (), None).names_loras and not verdict("Steps: 4", "ours", (), None).names_loras


def test_of_sd_next():
    """Names under another word, and hashes of 8 digits without names, where that option is on."""
    text = (
        'a cat\nSteps: 4, Seed: 7, Model: m, LoRA hashes: "01234567", LoRA networks: "theirs, ours:0.6", App: SD.Next'
    )
    assert verdict(text, "ours", {"abcdef012345"}, None).state == "done"
    found = verdict(text, "our", {"abcdef012345"}, None)
    assert found.state == "base model only" and found.names_loras


def test_the_base_model_of_a_picture():
    base = verdict(INFO, None, (), None).base
    assert str(base) == "my_model v1 [a1b2c3d4e5]"
    assert not base.differs_from(BaseModel("renamed", "a1b2c3d4e5" + "0" * 54))
    assert base.differs_from(BaseModel("my_model v1", "b1b2c3d4e5")) and base.differs_from(BaseModel("other"))
    assert not base.differs_from(BaseModel("MY_MODEL V1")) and not base.differs_from(BaseModel(""))
