"""Values of the wrong type for every key of the table: always words with the key's name, never a traceback."""

from __future__ import annotations

import pytest
from sd_scripts_kit import make_pictures, make_repo

from automate_train.config.key import Key
from automate_train.config.key_table import KEYS
from automate_train.config.layers import Layer, built_in, merge
from automate_train.config.sampling_options import sample_rule, sampler_environment, webui_addresses
from automate_train.errors import Problem, UserError
from automate_train.preflight import checks
from automate_train.records import Run, Source, SweepContext
from automate_train.sweep.product import expand
from automate_train.sweep.record import record_of
from automate_train.sweep.selection import select
from automate_train.trainers import load
from automate_train.trainers.launch_parts import trial_attempt
from automate_train.training.prepare import retries

VALUES: list[object] = [
    True, 0, -1, 2.5, 1e308, 10**30, 10**299, "x", "true", " ", "\u202e", "[1e-4 2e-4]", "1e-4 2e-4", "1e999", "2.0",
    "nan", "0,1", "٣", "~nobody/x", [], [1], ["x"], [[1]], [None], [True], {}, {"a": 1}, {"": [None]}, "{", "{0}{x}",
]  # fmt: skip
SHARED = {"project_name_base": "p", "network_dim": 4, "max_train_epochs": 1}


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> list[dict[str, object]]:
    """Configs that are right: of the command trainer, and of sd-scripts."""
    folder = tmp_path_factory.mktemp("hostile")
    model = folder / "m.safetensors"
    model.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    own = {"repo_dir": str(make_repo(folder / "repo")), "image_dir": str(make_pictures(folder / "p" / "3_x").parent)}
    command = {"trainer": "command", "command": ["/bin/echo", "{network_dim}"]}
    return [{**SHARED, **command}, {**SHARED, **own, "pretrained_model_name_or_path": str(model)}]


def planned(values: dict[str, object], folder: str) -> list[Problem]:
    """What is wrong, of a sweep whose runs are prepared and counted with where nothing is."""
    merged, problems = merge([built_in(), Layer(Source("tuning file", "t.json"), values)])
    context = SweepContext(folder, "p", cpu=True)
    selection = select(expand(merged), None, None, set())
    problems += checks.check(selection, context, [])
    if not any(problem.severity == "error" for problem in problems):
        for run in selection.todo():
            used(run, context)
    return problems


def used(run: Run, context: SweepContext) -> None:
    options = record_of(run).options
    load(run.options["trainer"].value).prepare(run, trial_attempt(run, context), context)
    assert retries(run) >= 0 and (sample_rule(options) or sampler_environment(options) is not None)
    webui_addresses(options)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_wrong_value_is_told_by_its_key(key: Key, bases, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "of_servers", lambda options: [])  # it would ask the network
    for base in bases:
        for value in VALUES:
            in_list = f"{key.name}_list"
            for name, given in ((key.name, value), (in_list, [value, key.example]), (in_list, value)):
                try:
                    problems = planned({**base, name: given}, str(tmp_path / "out"))
                except UserError as error:
                    problems = [error.problem]
                assert all(each.message and "Traceback" not in each.message for each in problems)
                assert not any("invalid literal" in each.message for each in problems), (name, given)
