"""Which sweeps have losses that cannot be compared, and the sentence that says so."""

from __future__ import annotations

import pytest

from automate_train.trainers.loss_meaning import loss_keys, loss_note

FACTS = """
loss_type huber_c huber_schedule huber_scale min_snr_gamma debiased_estimation_loss scale_v_pred_loss_like_noise_pred
v_pred_like_loss masked_loss weighting_scheme noise_offset multires_noise_iterations multires_noise_discount
ip_noise_gamma resolution min_timestep max_timestep timestep_sampling discrete_flow_shift
pretrained_model_name_or_path image_dir custom_dataset train_batch_size
""".split()
COMPARABLE = (
    "unet_lr text_encoder_lr network_dim network_alpha optimizer_type lr_scheduler max_train_epochs seed".split()
)


@pytest.mark.parametrize("key", FACTS)
def test_a_key_that_redefines_the_loss(key: str):
    assert loss_keys([{key: "1", "unet_lr": "1"}, {key: "2", "unet_lr": "2"}]) == [key]
    assert loss_note([{key: "1"}, {key: "2"}]) == (
        f"the training losses of these runs cannot be compared: {key} changes what they mean"
    )
    assert loss_note([{key: "1", "unet_lr": "1"}, {key: "1", "unet_lr": "2"}]) == "", "it does not vary"


@pytest.mark.parametrize("key", COMPARABLE)
def test_a_key_that_leaves_the_loss_alone(key: str):
    assert loss_note([{key: "1"}, {key: "2"}]) == ""


def test_a_key_is_told_as_the_user_wrote_it():
    runs = [{"model_file": "a", "resolution": "512", "min_snr_gamma": "1"},
            {"model_file": "b", "resolution": "768", "min_snr_gamma": "5"}]  # fmt: skip
    assert loss_note(runs).endswith("model_file, resolution and min_snr_gamma change what they mean")
    assert loss_note([]) == loss_note([{}]) == ""
