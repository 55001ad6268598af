"""Alarms: what was planted in pictures and weights is found, and nothing in sound ones. `-s` shows the figures."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from picture_kit import copied, draw, saved
from PIL import Image

from automate_train.judging.alarms import Sample, judged, looks, picture_alarms, weight_alarms
from automate_train.judging.lora_weights import Change, LoraWeights, lora_weights

BLOCKS = ("lora_unet_down_blocks_1", "lora_unet_mid_block_attentions_0", "lora_te_text_model_encoder_layers_3")
NAMES = {"f2": "F16", "f4": "F32", "u2": "BF16", "i1": "I8"}


def written(file: Path, tensors: dict[str, np.ndarray]) -> Path:
    """As safetensors writes it; numbers of type u2 are the upper halves of floats."""
    header, body = {}, b""
    for name, each in tensors.items():
        data = each.tobytes()
        kind = NAMES[each.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(each.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return file


def lora(
    seed: int = 0, dim: int = 64, gain: float = 0.03, wrong: str = "", kind: str = "f4", what: str = ""
) -> dict[str, np.ndarray]:
    """Three modules in each of three blocks; `wrong`: the block in which something else is planted."""
    dice, tensors = np.random.default_rng(seed), {}
    for block in BLOCKS:
        for module in ("attn_to_q", "attn_to_out_0", "conv"):
            outputs, inputs = int(dice.integers(80, 200)), int(dice.integers(80, 200))
            down, up = dice.normal(size=(dim, inputs)), dice.normal(size=(outputs, dim))
            scale = gain
            if block == wrong and what == "one direction":
                down[1:], up[:, 1:] = down[:1] * 1e-3, up[:, :1] * 1e-3
            elif block == wrong:
                scale = {"nothing changed": 3e-5, "exploded": 3.0}[what]
            up *= scale * np.sqrt(outputs) / np.linalg.norm(up @ down) * 2
            if module == "conv":
                down, up = np.repeat(down[:, :, None, None], 9, 2).reshape(dim, inputs, 3, 3) / 3, up[:, :, None, None]
            for part, each in (("lora_down.weight", down), ("lora_up.weight", up), ("alpha", np.array(dim / 2.0))):
                numbers = each.astype(np.float32)
                halves = (numbers.view(np.uint32) >> 16).astype(np.uint16)
                tensors[f"{block}_{module}.{part}"] = halves if kind == "u2" else numbers.astype(kind)
    return tensors


def test_what_is_planted_in_weights_is_found_and_nothing_else(tmp_path: Path):
    found, wrong = 0, 0
    cases = [
        (what, block, seed)
        for what in ("nothing changed", "exploded", "one direction")
        for block in BLOCKS
        for seed in range(5)
    ]
    for what, block, seed in cases:
        alarms = weight_alarms(written(tmp_path / "a.safetensors", lora(seed, wrong=block, what=what)))
        found += (
            [alarm.kind for alarm in alarms] == [what] and "1 of 3 blocks" in alarms[0].text and block in alarms[0].text
        )
    for seed in range(40):
        dim, gain = (4, 16, 64)[seed % 3], (0.003, 0.03, 0.2)[seed // 3 % 3]
        wrong += bool(weight_alarms(written(tmp_path / "a.safetensors", lora(seed, dim, gain))))
    print(f"\n{found} of {len(cases)} planted blocks found; {wrong} of 40 sound LoRAs with an alarm")
    assert found == len(cases) and wrong == 0


@pytest.mark.parametrize("kind", ["f2", "f4", "u2"])
def test_gain_and_rank_are_those_of_the_product(tmp_path: Path, kind: str):
    tensors = lora(3, dim=8, kind=kind)
    weights = lora_weights(written(tmp_path / "a.safetensors", tensors))
    assert list(weights.blocks) == list(BLOCKS) and not weights.unread

    def number(name: str) -> np.ndarray:
        each = tensors[name]
        return (each.astype(np.uint32) << 16).view(np.float32) if kind == "u2" else each.astype(np.float64)

    gains, ranks = [], []
    for module in ("attn_to_q", "attn_to_out_0", "conv"):
        name = f"{BLOCKS[0]}_{module}"
        down, up = number(f"{name}.lora_down.weight").reshape(8, -1), number(f"{name}.lora_up.weight").reshape(-1, 8)
        singular = np.linalg.svd(up @ down * (float(number(f"{name}.alpha")) / 8), compute_uv=False)
        shares = singular[:8] / singular[:8].sum()
        gains.append(np.sqrt((singular**2).sum() / len(up)))
        ranks.append(np.exp(-(shares * np.log(shares)).sum()))
    change = weights.blocks[BLOCKS[0]]
    assert change.gain == pytest.approx(np.mean(gains), rel=1e-5) and change.rank == pytest.approx(
        np.mean(ranks), rel=1e-5
    )
    assert change.dim == 8


def test_nan_zero_and_other_forms(tmp_path: Path):
    broken, zero = lora(0, dim=8), lora(0, dim=8)
    for name in broken:
        if name.startswith(BLOCKS[0]) and name.endswith("up.weight"):
            broken[name].flat[0], zero[name][:] = np.nan, 0.0
    assert [alarm.kind for alarm in weight_alarms(written(tmp_path / "n.safetensors", broken))] == ["exploded"]
    assert [alarm.kind for alarm in weight_alarms(written(tmp_path / "z.safetensors", zero))] == ["nothing changed"]
    pair = np.ones((4, 4), np.float32)
    others = {
        "lora_unet_a.hada_w1_a": pair, "lora_unet_b.lokr_w1": pair, "lora_unet_c.lora_up.weight": pair,
        "lora_unet_c.lora_down.weight": pair, "lora_unet_c.dora_scale": pair, "model.weight": pair,
        "lora_unet_d.lora_up.weight": pair.astype("i1"), "lora_unet_d.lora_down.weight": pair.astype("i1"),
    }  # fmt: skip
    (alarm,) = weight_alarms(written(tmp_path / "o.safetensors", others))
    assert (
        alarm.kind == "not looked at" and alarm.text == "the weights of 3 modules were not looked at (LoHa, LoKr, DoRA)"
    )
    assert judged(LoraWeights({}, {"": 5})) == []
    assert judged(LoraWeights({"x": Change(0.1, 1.0, 4)}, {})) == [], "rank 4 has few directions to use"


@pytest.mark.parametrize("shapes", [((4, 0), (0, 4)), ((), ()), ((4, 8), (8, 5)), ((0, 8), (8, 0))])
def test_matrices_that_do_not_fit_are_not_looked_at(tmp_path: Path, shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    down, up = (np.ones(shape, np.float32) for shape in shapes)
    file = written(tmp_path / "a.safetensors", {"lora_unet_a.lora_down.weight": down, "lora_unet_a.lora_up.weight": up})
    assert weight_alarms(file) == []
    file.write_bytes(file.read_bytes()[:-1] if down.size else b"\xff" * 9)
    assert weight_alarms(file) == []
    with pytest.raises(FileNotFoundError):
        weight_alarms(tmp_path / "none")


def test_copies_among_samples(tmp_path: Path):
    training = looks([saved(draw(seed), tmp_path / f"train{seed}.png") for seed in range(20)])
    dice = random.Random(1)
    samples = [Sample(f"s{at}", saved(draw(100 + at), tmp_path / f"s{at}.png"), 1) for at in range(6)]
    assert picture_alarms(samples, training) == []
    saved(copied(draw(7), dice), samples[2].file)
    (alarm,) = picture_alarms(samples, training)
    assert (alarm.kind, alarm.picture, Path(alarm.other).name) == ("copy", "s2", "train7.png")
    assert picture_alarms([], training) == [] == picture_alarms(samples, {})


def again(image: Image.Image, seed: int) -> Image.Image:
    """What another seed gives when it decides nothing but a little noise."""
    noise = np.random.default_rng(seed).normal(0, 8, np.asarray(image).shape)
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def test_pictures_that_no_longer_differ_by_seed(tmp_path: Path):
    found = wrong = 0
    for number in range(25):
        alike = [Sample(f"s{at}", saved(again(draw(number, 64), at), tmp_path / f"a{at}.png"), at) for at in range(4)]
        differ = [
            Sample(f"s{at}", saved(draw(500 + 10 * number + at, 64), tmp_path / f"b{at}.png"), at) for at in range(4)
        ]
        found += [alarm.kind for alarm in picture_alarms(alike, {})] == ["same pictures"]
        wrong += bool(picture_alarms(differ, {}))
    print(f"\n{found} of 25 checkpoints whose pictures are alike found; {wrong} of 25 others with an alarm")
    assert found >= 24 and wrong == 0
    assert picture_alarms([each._replace(seed=1) for each in alike], {}) == [], "one seed may give one picture"
    assert picture_alarms([each._replace(seed=None) for each in alike], {}) == [], "nor is anything known of these"
