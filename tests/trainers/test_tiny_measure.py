"""The tiny trainer's measure, for real: what changes it and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_kit import Sweep

from automate_train.trainers.sd_scripts.script import TINY

SCRIPT = TINY / "train_network.py"
PICTURES = sorted((Path(__file__).parents[2] / "configs/quickstart/images").glob("*.png"))[:3]
SHAPING = {
    "min_snr_gamma": 5, "debiased_estimation_loss": True, "scale_v_pred_loss_like_noise_pred": True,
    "v_pred_like_loss": 0.1, "loss_type": "huber", "huber_c": 0.2, "huber_schedule": "constant", "noise_offset": 0.1,
    "multires_noise_iterations": 6, "ip_noise_gamma": 0.1, "min_timestep": 400, "max_timestep": 500,
    "masked_loss": True, "learning_rate": 1.0, "train_batch_size": 7, "caption_dropout_rate": 0.5,
    "resolution": "32,32",
}  # fmt: skip


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path / "home")
    made.pictures = PICTURES
    made.hold_out()
    return made


def lora(dim: int, seed: int, size: float = 0.02) -> bytes:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    generator = torch.Generator().manual_seed(seed)
    import sys

    sys.path.insert(0, str(TINY))
    try:
        import model
    finally:
        sys.path.remove(str(TINY))
    network = model.Network(dim, dim, 0.0, unet=True, text=True, zero_snr=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    return save({name: each.contiguous() for name, each in network.state_dict().items()})


def test_identical_checkpoints_have_identical_numbers(sweep: Sweep):
    """Whatever was measured before, of whatever rank, and whatever shaped the run's own loss."""
    a, b = lora(4, 1), lora(8, 2)
    sweep.run(a, b, a, script=SCRIPT)
    sweep.run(a, script=SCRIPT, **SHAPING)
    sweep.run(b, script=SCRIPT)
    code, said = sweep.judge()
    assert code == 0, said
    scores = sweep.scores()
    assert len({each.measure for each in scores}) == 1 and len(scores) == 6 * 3
    by_checkpoint = [tuple(each.score for each in scores[at : at + 3]) for at in range(0, 18, 3)]
    base, first, second, again, shaped, other = by_checkpoint
    assert first == again == shaped and second == other
    assert len({base, first, second}) == 3


def test_a_lora_that_does_nothing_has_the_numbers_of_the_base(sweep: Sweep):
    sweep.run(lora(4, 1, size=0.0), script=SCRIPT)
    assert sweep.judge()[0] == 0
    scores = [each.score for each in sweep.scores()]
    assert scores[:3] == scores[3:]


def test_a_lora_of_another_model_is_told(sweep: Sweep):
    from judge_kit import safetensors

    sweep.run(lora(4, 1), safetensors(), script=SCRIPT)
    code, said = sweep.judge()
    assert code == 1 and "its weights do not fit the base model" in said and "judged 1 of 2" in said
