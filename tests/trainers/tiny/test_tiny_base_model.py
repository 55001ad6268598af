"""The tiny trainer's base model draws what a caption says, and its weights are what the package may carry."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from automate_train.trainers.tiny import base_model, scenes

TINY = Path(base_model.__file__).parent


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Caption -> `(3, 48, 48)` in 0..255, as the trainer's own samples are drawn, by the base model alone."""
    monkeypatch.syspath_prepend(str(TINY))
    model = importlib.import_module("model")
    network = model.Network(1, 1.0, 0.0, unet=True, text=True, zero_snr=False).eval()
    fixed = {"seed": 1, "sample_steps": 20, "scale": 2.5}
    yield lambda caption: model.sample(network, {"prompt": caption, **fixed}, 48, 1) * 255
    for name in ("model", "base_model"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("caption", "sky", "ground"),
    [
        ("boat, red sail, noon sky, calm sea", scenes.SKIES["noon"], scenes.GROUNDS["calm sea"]),
        ("Cat, black fur, evening sky, SNOW", scenes.SKIES["evening"], scenes.GROUNDS["snow"]),
        ("zork, house, white wall, noon sky, meadow, blip", scenes.SKIES["noon"], scenes.GROUNDS["meadow"]),
    ],
)
def test_sky_and_ground_have_the_captions_colours(
    drawn: Any, caption: str, sky: scenes.Colour, ground: scenes.Colour
) -> None:
    """By the medians of the left and right edges, where no subject stands."""
    picture = drawn(caption)
    edges = torch.cat([picture[:, :, :6], picture[:, :, -6:]], dim=2)
    for part, colour in ((edges[:, 18:27], sky), (edges[:, -6:], ground)):
        median = part.flatten(1).median(dim=1).values
        assert (median - torch.tensor(colour)).abs().max() < 30, (caption, median, colour)


def test_the_subject_has_the_captions_colour(drawn: Any) -> None:
    red, blue = drawn("cat, red fur, noon sky, snow"), drawn("cat, blue fur, noon sky, snow")
    middle = (slice(None), slice(27, 33), slice(21, 27))
    assert red[middle].mean(dim=(1, 2))[0] > blue[middle].mean(dim=(1, 2))[0] + 60


def test_captions_are_rows_of_the_table() -> None:
    rows = base_model.rows_of("Boat, red  sail")
    assert rows[:4] == [1 + base_model.KNOWN.index(word) for word in ("boat", "red", "sail")] + [0]
    unknown = base_model.rows_of("비행기 tinyboat")[:2]
    assert all(len(base_model.KNOWN) < row < base_model.ROWS for row in unknown) and len(set(unknown)) == 2
    assert len(base_model.rows_of("word " * 500)) == len(base_model.rows_of("")) == base_model.WORDS


def test_every_word_of_a_scenes_caption_is_known() -> None:
    words = " ".join([*scenes.KINDS, *scenes.KINDS.values(), *scenes.COLOURS, *scenes.SKIES, "sky", *scenes.GROUNDS])
    assert set(words.split()) == set(base_model.KNOWN)


def test_the_weights_are_small_and_say_how_they_were_made() -> None:
    assert base_model.WEIGHTS.stat().st_size < 4_000_000
    with safe_open(str(base_model.WEIGHTS), "pt") as file:
        metadata = file.metadata()
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert kinds == {torch.float16} and float(metadata["cpu_minutes"]) > 0
    assert metadata["command"].startswith("python -m automate_train.trainers.tiny.make_base --steps ")
    packaged = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert f'"automate_train.trainers.tiny" = ["{base_model.WEIGHTS.name}"]' in packaged
