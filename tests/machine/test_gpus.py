"""GPUs through the fake NVML of `fakes/fake_pynvml`, and the device lists of people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.errors import UserError
from automate_train.machine import gpus
from automate_train.machine.gpus import Gpu, driver, parse_devices, snapshot, users_text, why

FAKE = Path(__file__).parents[1] / "fakes" / "fake_pynvml"
GIB = 1024**3
Cards = Callable[..., None]


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """`cards({...}, {...})` sets the machine's cards, at any time."""
    forget = [gpus._nvml.cache_clear, gpus._known.clear, gpus._nameless.clear, lambda: sys.modules.pop("pynvml", None)]
    for each in forget:
        each()
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("FAKE_NVML", str(tmp_path / "nvml.json"))

    def write(*content: dict[str, Any]) -> None:
        (tmp_path / "new.json").write_text(json.dumps(content))
        (tmp_path / "new.json").replace(tmp_path / "nvml.json")

    write()
    yield write
    for each in forget:
        each()


def card(name: str = "Fake 24", **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def test_what_a_machine_has(cards, monkeypatch):
    cards(card("Fake A", uuid="GPU-a", total_gib=24, free_gib=4.5, users=[[7, None], [1234, 18]]), card("Fake B"))
    first, second = snapshot()
    assert first == Gpu(0, "GPU-a", "Fake A", 24 * GIB, 4 * GIB + GIB // 2, False, ((1234, 18 * GIB), (7, None)))
    assert (second.index, second.name, second.free, second.users) == (1, "Fake B", 24 * GIB, ())
    assert driver() == "999.01"
    assert why() == ""
    monkeypatch.setenv("FAKE_NVML_BYTES", "1")
    assert snapshot() == [first, second]
    assert driver() == "999.01"


def test_memory_is_read_at_that_moment(cards):
    cards(card(free_gib=20))
    assert snapshot()[0].free == 20 * GIB
    cards(card(free_gib=1))
    assert snapshot()[0].free == 1 * GIB


def test_a_lost_card_is_a_value_and_keeps_its_name(cards):
    cards(card("A", uuid="GPU-a"), card("B", uuid="GPU-b"))
    before = snapshot()
    cards(card("A", uuid="GPU-a", lost=True), card("B", uuid="GPU-b"))
    lost, other = snapshot()
    assert (lost.index, lost.uuid, lost.name, lost.free, lost.lost) == (0, "GPU-a", "A", 0, True)
    assert other == before[1]
    cards(card("A", uuid="GPU-a"), card("B", uuid="GPU-b"))
    assert snapshot() == before


def test_a_card_that_was_lost_from_the_start(cards):
    cards(card("A", lost=True), card("B", uuid="GPU-b"))
    lost, other = snapshot()
    assert (lost.index, lost.id, lost.lost) == (0, "0", True)
    assert (other.index, other.id, other.lost) == (1, "GPU-b", False)
    cards(card("A", uuid="GPU-a"), card("B", uuid="GPU-b"))
    assert [(gpu.id, gpu.lost, gpu.name) for gpu in snapshot()] == [("0", False, "A"), ("GPU-b", False, "B")]
    assert gpus.cuda_names(["0", "GPU-b"]) == ["GPU-a", "GPU-b"]


def test_cuda_is_never_given_numbers_beside_uuids(cards):
    cards(card("A", silent=["nvmlDeviceGetUUID"]), card("B", uuid="GPU-b"), card("C", uuid="GPU-c"))
    assert gpus.cuda_names(["GPU-c", "0"]) == ["2", "0"]
    assert gpus.cuda_names(["GPU-c", "GPU-b"]) == ["GPU-c", "GPU-b"] and gpus.cuda_names([]) == []


def test_a_driver_that_goes_away_loses_all_cards(cards, monkeypatch):
    cards(card("A", uuid="GPU-a"))
    snapshot()
    monkeypatch.delenv("FAKE_NVML")
    assert [(gpu.id, gpu.lost) for gpu in snapshot()] == [("GPU-a", True)]


def test_what_a_card_does_not_support_is_left_out(cards):
    silent = ["nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetMigMode"]
    silent += ["nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"]
    cards(card(silent=silent, users=[[1, 2]], free_gib=3))
    assert snapshot() == [Gpu(0, "", "GPU", 24 * GIB, 3 * GIB)]
    assert snapshot()[0].id == "0"


def test_a_board_that_shares_the_machines_memory(cards):
    cards(card(silent=["nvmlDeviceGetMemoryInfo"]))
    (gpu,) = snapshot()
    assert not gpu.lost
    assert 0 < gpu.free <= gpu.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_card_in_mig_mode_is_its_instances(cards):
    small = {"name": "Fake MIG 1g", "total_gib": 5, "free_gib": 4}
    cards(card("Fake A", mig=[small, {**small, "uuid": "MIG-x"}]), card("Fake B", uuid="GPU-b"))
    found = snapshot()
    assert [(gpu.index, gpu.id, gpu.free) for gpu in found] == [
        (0, "MIG-00000000-00000000", 4 * GIB),
        (1, "MIG-x", 4 * GIB),
        (2, "GPU-b", 24 * GIB),
    ]
    assert parse_devices("1,2", found, None) == ["MIG-x", "GPU-b"]
    cards(card("Fake A", mig=[small, {**small, "uuid": "MIG-x"}], lost=True), card("Fake B", uuid="GPU-b"))
    assert [(gpu.id, gpu.lost) for gpu in snapshot()] == [
        ("MIG-00000000-00000000", True),
        ("MIG-x", True),
        ("GPU-b", False),
    ]


def test_mig_mode_without_an_instance_can_start_nothing(cards):
    cards(card("Fake A", mig=[]))
    (gpu,) = snapshot()
    assert gpu.lost
    assert gpu.name == "Fake A (MIG mode without an instance)"


def test_a_driver_without_cards(cards):
    assert snapshot() == []
    assert driver() == "999.01"
    assert why() == "the NVIDIA driver sees no GPU"


def test_no_driver(cards, monkeypatch):
    monkeypatch.delenv("FAKE_NVML")
    assert snapshot() == []
    assert driver() is None
    assert why() == "no NVIDIA driver is installed (libnvidia-ml.so.1 is not found)"


@pytest.mark.parametrize(("error", "says"), [(9, "not loaded"), (18, "restart the machine"), (999, "does not answer")])
def test_a_driver_that_does_not_start(cards, monkeypatch, error, says):
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(error)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert snapshot() == []
    assert driver() is None
    assert says in why()


def test_without_the_package(cards, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert snapshot() == []
    assert why() == "the Python package nvidia-ml-py is not installed"


def test_nvml_is_started_once(cards, monkeypatch):
    import pynvml

    starts: list[int] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: starts.append(1))
    cards(card())
    for _ in range(3):
        snapshot()
    assert starts == [1]


def test_the_real_package_has_what_the_fake_has():
    """Names and error numbers; the real module needs no GPU to be read."""
    code = """if True:
        import importlib.util, json, sys
        fake_folder, real = sys.argv[1], None
        import pynvml as real
        sys.path.insert(0, fake_folder)
        spec = importlib.util.spec_from_file_location("fake", fake_folder + "/pynvml.py")
        fake = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(fake)
        names = [name for name in vars(fake) if name.lower().startswith("nvml")]
        assert names
        for name in names:
            assert hasattr(real, name), name
            if isinstance(getattr(fake, name), int):
                assert getattr(real, name) == getattr(fake, name), name
        assert real.NVMLError(15).value == 15 and isinstance(real.NVMLError(15), real.NVMLError_GpuIsLost)
        assert issubclass(fake.NVMLError_GpuIsLost, fake.NVMLError)
        """
    subprocess.run([sys.executable, "-c", code, str(FAKE)], check=True, env={**os.environ, "PYTHONPATH": ""})


def test_pynvml_is_imported_only_when_it_is_asked(tmp_path):
    code = "import sys, automate_train.machine.gpus; assert not {'pynvml', 'subprocess'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


# device lists

FOUR = [Gpu(number, f"GPU-{letter}{letter}", f"Fake {letter}", GIB, GIB) for number, letter in enumerate("abcd")]


@pytest.mark.parametrize(
    ("text", "visible", "wanted"),
    [
        ("0,1, 2,3", None, "aa bb cc dd"),
        ("all", None, "aa bb cc dd"),
        ("ALL", "2,3", "cc dd"),
        (2, None, "cc"),
        ("3,1", None, "dd bb"),
        ("0,", None, "aa"),
        ("GPU-c", None, "cc"),
        ("gpu-CC, 0", None, "cc aa"),
        # numbers count within CUDA_VISIBLE_DEVICES, as for any CUDA program
        ("0", "2,3", "cc"),
        ("1,0", "3,1", "bb dd"),
        ("0", "GPU-d,GPU-a", "dd"),
        ("GPU-dd", "GPU-d,GPU-a", "dd"),
        # CUDA stops at the first entry that names nothing
        ("all", "0,1,-1,2", "aa bb"),
        ("all", "1,9,0", "bb"),
        ("all", " 2 , 0", "cc aa"),
        ("all", "2,2", "cc"),
    ],
)
def test_what_a_list_means(text, visible, wanted):
    assert parse_devices(text, FOUR, visible) == [f"GPU-{letters}" for letters in wanted.split()]


@pytest.mark.parametrize(
    ("text", "visible", "says"),
    [
        ("4", None, r"there is no device '4' \(there are 0 \(Fake a\), 1 \(Fake b\), 2 \(Fake c\), 3 \(Fake d\)\)"),
        ("-1", None, "there is no device '-1'"),
        ("1.0", None, "there is no device '1.0'"),
        ("²", None, "there is no device"),
        ("9" * 10_000, None, "there is no device"),
        ("cuda:0", None, "there is no device"),
        ("0,all", None, "there is no device 'all'"),
        ("0,1,0", None, "device '0' is listed twice"),
        ("0,GPU-a", None, "device 'GPU-a' is listed twice"),
        ("GPU-", None, "begins several UUIDs"),
        ("", None, r"no device is listed .*all, or some of: 0 \(Fake a\)"),
        (" , ", None, "no device is listed"),
        (
            "2",
            "2,3",
            r"there is no device '2' \(there are 0 \(Fake c\), 1 \(Fake d\) \(CUDA_VISIBLE_DEVICES='2,3' of 4",
        ),
        ("GPU-a", "2,3", "there is no device 'GPU-a'"),
        ("0", "", r"no GPU can be used \(CUDA_VISIBLE_DEVICES='' of 4 GPUs\)"),
        ("all", "-1", "no GPU can be used"),
        ("all", "NoDevFiles", "no GPU can be used"),
    ],
)
def test_lists_that_mean_nothing(text, visible, says):
    with pytest.raises(UserError, match=says) as caught:
        parse_devices(text, FOUR, visible)
    assert caught.value.problem.key == "cuda_device"


def test_no_gpus_at_all():
    with pytest.raises(UserError, match="no GPU can be used"):
        parse_devices("0", [], None)


@given(st.text(max_size=12), st.none() | st.text(max_size=12))
def test_any_text_gives_ids_or_a_sentence(text, visible):
    try:
        found = parse_devices(text, FOUR, visible)
    except UserError:
        return
    assert found
    assert len(set(found)) == len(found)
    assert set(found) <= {gpu.id for gpu in FOUR}


def test_an_error_names_the_flag_that_was_typed():
    with pytest.raises(UserError, match="command line: --cuda_devices_distributed: there is no device '9'"):
        parse_devices("9", FOUR, None, key="--cuda_devices_distributed", source="command line")


def test_a_whole_uuid_that_begins_another_is_itself():
    two = [Gpu(0, "GPU-1", "Fake", 1, 1), Gpu(1, "GPU-10", "Fake", 1, 1)]
    assert parse_devices("GPU-1", two, None) == ["GPU-1"]


# why a run waits


def test_who_uses_a_device():
    assert users_text(Gpu(1, "GPU-b", "Fake", 0, 0, users=((1234, 18 * GIB),))) == "pid 1234 uses 18 GiB"
    assert users_text(Gpu(0, "", "", 0, 0)) == ""
    users = ((1, 3 * GIB), (2, GIB // 2), (3, None), (4, None), (5, None))
    assert (
        users_text(Gpu(0, "", "", 0, 0, users=users))
        == "pid 1 uses 3 GiB, pid 2 uses 0.5 GiB, pid 3 uses it and 2 more"
    )
