"""From which state an attempt goes on: folders as the trainer leaves them, made by hand."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest
from sd_scripts_kit import safetensors

from automate_train.store.layout import AttemptFolder
from automate_train.trainers import sd_scripts
from automate_train.trainers.sd_scripts import outcome, resume

ACCEPTED = dict.fromkeys(resume.OPTIONS)
TRAINING = {"save_state": True, "max_train_epochs": 4}
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


class Attempts:
    """Attempts of one run: 6 batches an epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def at(self, number: int) -> AttemptFolder:
        return AttemptFolder(self.folder / f"attempt-{number}")

    def ended(self, number: int, code: int | None = None, says: str = "", batches: int = 6, gpus: int = 0) -> None:
        attempt = self.at(number)
        attempt.output.mkdir(parents=True)
        (attempt.path / "launch.json").write_text(json.dumps({"gpus": gpus}))
        attempt.console.write_text(f"  num batches per epoch / 1epochのバッチ数: {batches}\n{says}\n", encoding="utf-8")
        if code is not None:
            attempt.exit_code.write_text(f"{code}\n")

    def state(self, number: int, name: str, epoch: int, step: int, value: float = 0.5) -> Path:
        path = self.at(number).output / f"name-{name}-state"
        path.mkdir()
        (path / "train_state.json").write_text(json.dumps({"current_epoch": epoch, "current_step": step}))
        (path / "model.safetensors").write_bytes(safetensors({"a": ("F32", struct.pack("<f", value))}))
        for pickle in resume.PICKLES:
            with zipfile.ZipFile(path / pickle, "w") as file:
                file.writestr("data.pkl", b"x" * 100)
        return path

    def next(self, number: int, training: dict[str, object] = TRAINING, gpus: int = 0) -> tuple[str, object, object]:
        """(attempt and state, initial_step, skip) of this attempt; empty when it starts anew."""
        told = resume.options(self.at(number), training, ACCEPTED, gpus)
        if not told:
            return "", None, None
        path = Path(told["resume"])
        assert told.keys() == resume.OPTIONS and path.is_absolute()
        return f"{path.parent.parent.name[-1]} {path.name}", told["initial_step"], told["skip_until_initial_step"]


@pytest.fixture
def attempts(tmp_path):
    return Attempts(tmp_path)


def test_the_newest_state_of_a_lost_attempt(attempts):
    attempts.ended(1)
    attempts.state(1, "000001", 1, 6)
    attempts.state(1, "000002", 2, 12)
    attempts.state(1, "step00000009", 2, 9)
    assert attempts.next(2) == ("1 name-000002-state", 12, True)
    assert attempts.next(1) == ("", None, None)


def test_steps_are_those_of_the_whole_training_whichever_attempt_counted_them(attempts):
    """The second attempt began at step 12 and counts from 0: its 3 is the training's 15, its 6 the training's 18."""
    attempts.ended(1)
    attempts.state(1, "000002", 2, 12)
    attempts.ended(2)
    attempts.state(2, "step00000003", 3, 3)
    assert attempts.next(3) == ("2 name-step00000003-state", 15, True)
    attempts.state(2, "000003", 3, 6)
    assert attempts.next(3) == ("2 name-000003-state", 18, True)
    attempts.ended(3)
    attempts.state(3, "step00000001", 4, 1)
    assert attempts.next(4) == ("3 name-step00000001-state", 19, True)
    attempts.ended(4)
    attempts.state(4, "step00000020", 4, 20)  # one that counts them all, as the tiny trainer does
    assert attempts.next(5) == ("4 name-step00000020-state", 20, True)


def test_an_attempt_that_saved_nothing_is_passed_over(attempts):
    attempts.ended(1)
    attempts.state(1, "000001", 1, 6)
    attempts.ended(3)  # and the second left no folder
    assert attempts.next(4) == ("1 name-000001-state", 6, True)


@pytest.mark.parametrize(
    ("code", "says", "goes_on"),
    [
        (None, "", True),
        (143, "", True),
        (130, "KeyboardInterrupt", True),
        (137, "", True),
        (1, "OSError: [Errno 28] No space left on device", True),
        (1, OOM, True),
        (1, "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered", True),
        (1, "ZeroDivisionError: division by zero", False),
        (1, "train_network.py: error: unrecognized arguments: --x", False),
        (0, "", False),
    ],
)
def test_only_after_an_end_from_outside(attempts, code, says, goes_on):
    attempts.ended(1, code, says)
    attempts.state(1, "000001", 1, 6)
    assert bool(attempts.next(2)[0]) == goes_on
    attempts.ended(2)
    assert bool(attempts.next(3)[0]) == goes_on, "what lies before an end of its own doing is not looked at"


def test_not_after_a_loss_that_was_nan(attempts):
    attempts.ended(1, 143)  # it was ended for it
    attempts.state(1, "000001", 1, 6)
    lines = [{"at": 1, "kind": "metrics", "step": 8, "nan": True}, {"at": 2, "kind": "end", "ok": False}]
    attempts.at(1).events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert attempts.next(2) == ("", None, None)


def break_weights(state: Path) -> None:
    data = (state / "model.safetensors").read_bytes()
    (state / "model.safetensors").write_bytes(data[:-1])


def break_optimizer(state: Path) -> None:
    data = (state / "optimizer.bin").read_bytes()
    (state / "optimizer.bin").write_bytes(data[: len(data) // 2])


def break_end(state: Path) -> None:
    (state / "random_states_0.pkl").unlink()


def break_place(state: Path) -> None:
    (state / "train_state.json").write_text('{"current_ep')


@pytest.mark.parametrize("harm", [break_weights, break_optimizer, break_end, break_place])
def test_a_state_that_was_cut_off_is_passed_over(attempts, harm):
    attempts.ended(1)
    attempts.state(1, "000001", 1, 6)
    harm(attempts.state(1, "000002", 2, 12))
    assert attempts.next(2) == ("1 name-000001-state", 6, True)


def test_weights_that_hold_nan_are_passed_over(attempts):
    attempts.ended(1)
    attempts.state(1, "000001", 1, 6)
    attempts.state(1, "000002", 2, 12, float("nan"))
    assert attempts.next(2) == ("1 name-000001-state", 6, True)


def test_a_state_at_the_end_leaves_nothing_to_train(attempts):
    attempts.ended(1)
    attempts.state(1, "000003", 3, 18)
    attempts.state(1, "step00000024", 4, 24)
    (attempts.state(1, "000009", 4, 24)).rename(attempts.at(1).output / "name-state")
    assert attempts.next(2) == ("1 name-000003-state", 18, True)


def test_with_gradient_accumulation_only_from_an_epochs_end(attempts):
    """Batches are skipped wrongly then: sd-scripts takes them for steps."""
    training = {**TRAINING, "gradient_accumulation_steps": 4}  # 6 batches: 2 steps an epoch
    attempts.ended(1)
    attempts.state(1, "000002", 2, 4)
    attempts.state(1, "step00000005", 3, 5)
    assert attempts.next(2, training) == ("1 name-000002-state", 4, False)


def test_an_end_within_an_epoch_is_met_only_from_the_first_epoch(attempts):
    """sd-scripts compares its own count with max_train_steps."""
    training = {"save_state": True, "max_train_steps": 15}
    attempts.ended(1)
    attempts.state(1, "step00000004", 1, 4)
    attempts.state(1, "000002", 2, 12)
    assert attempts.next(2, training) == ("1 name-step00000004-state", 4, True)


def test_not_without_save_state_nor_with_another_number_of_devices_nor_in_a_script_that_cannot(attempts):
    attempts.ended(1, gpus=2)
    attempts.state(1, "000001", 1, 6)
    assert attempts.next(2, gpus=2)[0] and not attempts.next(2, gpus=1)[0]
    assert not attempts.next(2, {"max_train_epochs": 4}, gpus=2)[0]
    assert resume.options(attempts.at(2), TRAINING, {"resume": None}, 2) == {}


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 0),
        ({"initial_step": 13}, 12),
        ({"initial_step": 12, "resume": "/nowhere"}, 12),
        ({"initial_step": 5}, 0),
        ({"initial_epoch": 3}, 12),
        ({"initial_step": 5, "gradient_accumulation_steps": 4}, 4),
    ],
)
def test_steps_that_a_resumed_training_does_not_count(options, steps):
    assert resume.steps_before(options, 6) == steps


def test_a_users_own_state_is_counted_too(attempts):
    attempts.ended(1)
    path = attempts.state(1, "000002", 2, 12)
    assert resume.steps_before({"resume": str(path)}, 6) == 12


@pytest.mark.parametrize(
    ("done", "says"),
    [("24", ""), ("12", ""), ("11", "step 11 of 12"), ("23", "step 23 of 12"), ("0", "step 0 of 12")],
)
def test_the_last_checkpoint_of_a_resumed_run_may_count_from_the_resumed_epoch(attempts, done, says):
    attempts.ended(1, 0)
    folder = attempts.at(1)
    told = {"output_dir": str(folder.output), "output_name": "name", "initial_step": 13}
    (folder.path / "training.toml").write_text("".join(f"{key} = {json.dumps(told[key])}\n" for key in told))
    metadata = {"ss_steps": done, "ss_max_train_steps": "24", "ss_num_batches_per_epoch": "6"}
    (folder.output / "name.safetensors").write_bytes(safetensors({}, metadata))
    ended = outcome.verdict(folder, 0)
    assert (ended.kind, says in ended.reason) == (("failed" if says else "succeeded"), True)


@pytest.mark.parametrize(("counts_all", "steps"), [(False, [13, 15, 15, None]), (True, [1, 3, 3, None])])
def test_what_the_hook_tells_is_counted_from_the_beginning(attempts, counts_all, steps):
    attempts.ended(1)
    attempts.state(1, "000002", 2, 12)
    training = resume.options(attempts.at(2), TRAINING, ACCEPTED, 0)
    attempts.ended(2)
    folder = attempts.at(2)
    (folder.path / "hook.json").touch()
    point = resume.point(training, counts_all)
    said = {"state": point.state, "step": point.step, "not_counted": point.uncounted_steps}
    folder.resume.write_text(json.dumps(said))
    metrics = [{"kind": "metrics", "step": step} for step in (1, 3)]
    told = [*metrics, {"kind": "checkpoint", "step": 3}, {"kind": "end"}]
    folder.events.write_text("".join(json.dumps({"at": 1, **line}) + "\n" for line in told))
    events, offset = sd_scripts.events(folder, 0)
    assert [event.data.get("step") for event in events] == steps and offset == folder.events.stat().st_size
    folder.resume.write_text("[]")
    assert [event.data.get("step") for event in sd_scripts.events(folder, 0)[0]] == [1, 3, 3, None]
