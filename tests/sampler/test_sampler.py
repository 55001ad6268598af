"""The sampler as a process against a real server: what it makes, what it leaves, what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sampler_kit import Sweep, assert_clean
from webui_kit import Double, running


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server", seconds=0.01, last_sleep=0.3) as found:
        yield found


def test_every_checkpoint_gets_its_pictures(double, tmp_path):
    double.control(files=["theirs/x.safetensors"])
    sweep = Sweep(tmp_path / "a", [double.url], "a cat --d 1\na dog --n ugly --l 7\n")
    attempt = sweep.run("k0", epochs=2)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, {"done": 4}), said
    names = ["k0-000001_00", "k0-000001_01", "k0_00", "k0_01"]
    assert [name.removeprefix("000-k0/") for name in sweep.pictures()] == [f"{name}.json" for name in names]
    dog = sweep.pictures()["000-k0/k0_01.json"]
    assert (dog["prompt"], dog["epoch"], dog["step"], dog["checkpoint"]) == (1, 2, 20, "k0.safetensors")
    assert dog["lora"] in dog["text"] and dog["negative"] == "ugly" and f"Seed: {dog['seed']}," in dog["infotext"]
    assert dog["parameters"]["cfg_scale"] == 7 and dog["server"] == double.url
    seeds = {name[-7:-5]: about["seed"] for name, about in sweep.pictures().items()}
    assert len({about["seed"] for about in sweep.pictures().values()}) == 2 and seeds["00"] == 1
    assert (attempt.samples / "k0-000001.final").exists() and (attempt.samples / "k0.final").exists()
    assert sweep.left_over() == []
    assert_clean(double, "theirs/x.safetensors")
    before = double.log()["tasks"]
    assert sweep.sample()[0] == 0 and double.log()["tasks"] == before
