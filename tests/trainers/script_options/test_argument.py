"""Whether a value fits an option, and what it becomes: sd-scripts' own config reading checks nothing."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.config import layers
from automate_train.errors import UserError
from automate_train.trainers.script_options.argument import Argument, check, convert
from automate_train.trainers.script_options.reader import accepted


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Argument]:
    """The options that the facts speak of, with upstream's types and choices."""
    source = """
        import argparse

        def int_or_float(value):
            if value.endswith("%"):
                return float(value[:-1]) / 100.0
            return int(value) if float(value) >= 1 else float(value)

        def setup_parser():
            parser = argparse.ArgumentParser()
            for flag in ("cache_latents", "gradient_checkpointing", "shuffle_caption", "network_train_unet_only"):
                parser.add_argument(f"--{flag}", action="store_true")
            for name in ("learning_rate", "unet_lr", "max_grad_norm", "min_snr_gamma", "noise_offset"):
                parser.add_argument("--" + name, type=float, default=None)
            for name in ("network_dim", "max_train_steps", "max_train_epochs", "gradient_accumulation_steps", "seed",
                         "clip_skip", "save_every_n_steps", "save_every_n_epochs", "train_batch_size", "keep_tokens"):
                parser.add_argument("--" + name, type=int)
            for name in ("output_name", "resolution", "optimizer_type", "huggingface_token"):
                parser.add_argument("--" + name, type=str)
            parser.add_argument("--network_alpha", type=float, default=1)
            parser.add_argument("--caption_dropout_rate", type=float, default=0.0)
            parser.add_argument("--lr_warmup_steps", type=int_or_float, default=0)
            parser.add_argument("--text_encoder_lr", type=float, nargs="*")
            parser.add_argument("--network_args", type=str, nargs="*")
            parser.add_argument("--save_model_as", default="safetensors", choices=[None, "ckpt", "pt", "safetensors"])
            parser.add_argument("--save_precision", choices=[None, "float", "fp16", "bf16"])
            parser.add_argument("--mixed_precision", default="no", choices=["no", "fp16", "bf16"])
            parser.add_argument("--max_token_length", type=int, choices=[None, 150, 225])
            parser.add_argument("--loss_type", default="l2", choices=["l1", "l2", "huber", "smooth_l1"])
            parser.add_argument("--log_with", choices=["tensorboard", "wandb", "all"])
            return parser
        """
    script = tmp_path_factory.mktemp("trainer") / "train_network.py"
    script.write_text(textwrap.dedent(source), encoding="utf-8")
    return accepted(script)


@pytest.mark.parametrize(
    ("name", "written", "wanted"),
    [
        # silent in the trainer: truthy text is ON
        ("cache_latents", "false", False),
        ("gradient_checkpointing", "False", False),
        ("network_train_unet_only", "true", True),
        ("shuffle_caption", "false", False),
        # fine, or fine by luck
        ("learning_rate", 1, 1.0),
        ("max_grad_norm", "1.0", 1.0),
        ("text_encoder_lr", 1e-5, [1e-5]),
        ("text_encoder_lr", ["1e-5", 2], [1e-5, 2.0]),
        # dies at once
        ("resolution", 768, "768"),
        ("train_batch_size", "2", 2),
        ("keep_tokens", "1", 1),
        ("caption_dropout_rate", "0.1", 0.1),
        ("seed", "1", 1),
        # dies after the models are loaded and the latents cached
        ("learning_rate", "1e-4", 1e-4),
        ("network_dim", "4", 4),
        ("network_dim", 4.0, 4),
        ("network_alpha", "1", 1.0),
        ("max_train_epochs", "2", 2),
        ("max_train_steps", "2", 2),
        ("max_train_steps", 2.0, 2),
        ("gradient_accumulation_steps", "2", 2),
        ("lr_warmup_steps", "10", 10),
        ("lr_warmup_steps", "0.1", 0.1),
        ("lr_warmup_steps", 10.0, 10),
        ("network_args", "conv_dim=4", ["conv_dim=4"]),
        # dies in the first step
        ("unet_lr", "1e-4", 1e-4),
        ("min_snr_gamma", "5", 5.0),
        ("noise_offset", "0.05", 0.05),
        ("clip_skip", "2", 2),
        # dies after step 1, after the first epoch, at the last save
        ("save_every_n_steps", "1", 1),
        ("save_every_n_epochs", "1", 1),
        ("output_name", 3, "3"),
        ("max_token_length", "225", 225),
        ("network_dim", "2.0", 2),
        ("seed", str(2**53 + 1), 2**53 + 1),
        ("network_args", [], []),
        ("learning_rate", None, None),
    ],
)
def test_what_the_trainer_would_not_convert(trainer, name, written, wanted):
    assert check(trainer[name], written) is None
    found = convert(trainer[name], written)
    assert found == wanted
    assert type(found) is type(wanted)
    if isinstance(wanted, list):
        assert list(map(type, found)) == list(map(type, wanted))


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("save_model_as", "safetensor", "'safetensor' is not one of ckpt, pt, safetensors; did you mean safetensors?"),
        ("save_precision", "fp8", "'fp8' is not one of float, fp16, bf16"),
        ("max_token_length", 200, "200 is not one of 150, 225"),
        ("log_with", "tensorbord", "did you mean tensorboard?"),
        ("mixed_precision", "fp32", "'fp32' is not one of no, fp16, bf16"),
        ("loss_type", "l3", "is not one of l1, l2, huber, smooth_l1"),
        ("network_dim", 4.5, "needs a whole number, not 4.5"),
        ("network_dim", "4.5", "needs a whole number, not '4.5'"),
        ("network_dim", True, "needs a whole number, not true"),
        ("network_dim", [4], "needs a whole number, not [4]"),
        ("network_dim", "", "needs a whole number, not ''"),
        ("seed", 2**64, "needs a whole number"),
        ("learning_rate", float("nan"), "needs a number, not nan"),
        ("learning_rate", "nan", "needs a number, not 'nan'"),
        ("learning_rate", float("-inf"), "needs a number, not -inf"),
        ("learning_rate", "1e999", "needs a number"),
        ("learning_rate", 10**400, "needs a number"),
        ("learning_rate", "fast", "needs a number, not 'fast'"),
        ("learning_rate", {"a": 1}, "needs a number"),
        ("text_encoder_lr", "fast", "needs a number, not 'fast'"),
        ("text_encoder_lr", [1e-5, [2e-5]], "needs a number, not [2e-05]"),
        ("lr_warmup_steps", "5%", "needs a number, not '5%'"),
        ("cache_latents", 1, "is a switch: true or false, not 1"),
        ("cache_latents", "yes", "is a switch: true or false, not 'yes'"),
        ("cache_latents", [True], "is a switch"),
        ("output_name", True, "needs a text, not true"),
        ("output_name", ["a"], "needs a text, not ['a']"),
        ("output_name", "a\0b", "holds a character"),
        ("output_name", "\ud800", "holds a character"),
        ("output_name", {}, "needs a text"),
    ],
)
def test_what_does_not_fit_is_said(trainer, name, written, says):
    message = check(trainer[name], written)
    assert message is not None
    assert says in message
    with pytest.raises(UserError) as caught:
        convert(trainer[name], written)
    assert caught.value.problem.key == name
    assert caught.value.problem.message == message


def test_a_wrong_key_is_not_accepted(trainer):
    assert "learning_rate" in trainer
    assert "learning_rte" not in trainer


def test_a_number_becomes_the_text_that_was_written(trainer):
    layer = layers.parse_set(["output_name=1e-4"])
    assert convert(trainer["output_name"], layer.values["output_name"]) == "1e-4"
    assert type(convert(trainer["learning_rate"], layers.parse_set(["x=1e-4"]).values["x"])) is float


def test_a_secret_is_never_shown(trainer):
    for value in (["hf_secret"], {"hf_secret": 1}, True):
        message = check(trainer["huggingface_token"], value)
        assert message is not None
        assert "hf_secret" not in message
    guarded = Argument("wandb_api_key", "str", choices=("hf_secre",))
    assert "hf_secret" not in str(check(guarded, "hf_secret"))


def test_long_values_are_cut(trainer):
    for value in ("9" * 10_000_000, [1] * 1_000_000, "x" * 10_000_000):
        message = check(trainer["network_dim"], value)
        assert message is not None
        assert len(message) < 200


def test_lists_of_a_fixed_length():
    three = Argument("betas", "float", nargs=3)
    assert convert(three, ["1", 2, 3.5]) == [1.0, 2.0, 3.5]
    assert check(three, [1, 2]) == "needs a list of 3 values, not of 2"
    assert check(Argument("names", "str", nargs="+"), []) == "needs a list of at least one value"
    assert convert(Argument("names", "str", action="append"), "a") == ["a"]
    assert convert(Argument("name", "str", nargs="?"), "a") == "a"


def test_what_is_not_known_is_not_checked():
    computed = Argument("mode", "choose_mode", dynamic=True)
    for value in ("a", 3, [1, 2], {"a": 1}):
        assert convert(computed, value) == value
    half = Argument("dim", "int", dynamic=True)
    assert convert(half, "4") == 4
    assert check(half, "four") is not None


def test_json_options():
    option = Argument("model_args", "json")
    assert convert(option, '{"a": [1]}') == {"a": [1]}
    assert convert(option, {"a": 1}) == {"a": 1}
    assert check(option, "{a") is not None
    assert check(option, "[" * 100_000) is not None


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["1e-4", "2.0"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=5
)
kinds = st.sampled_from(["str", "int", "float", "number", "bool", "json", "any"])


@given(kinds, st.sampled_from([None, "*", "+", "?", 2]), values)
def test_any_value_fits_or_gets_a_sentence(kind, nargs, value):
    argument = Argument("x", kind, nargs=nargs, dynamic=kind == "any")
    message = check(argument, value)
    if message is None:
        found = convert(argument, value)
        if kind != "json":  # the text '"1"' is the text "1", which is 1
            assert check(argument, found) is None
            assert repr(convert(argument, found)) == repr(found)
    else:
        assert message
        with pytest.raises(UserError):
            convert(argument, value)
