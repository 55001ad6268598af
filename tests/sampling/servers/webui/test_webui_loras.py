"""The LoRA on its way to the server and away from it, over real sockets, with every way to lose an answer."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from webui_kit import Double, lora, running

from automate_train.sampling.servers.protocol import NameTaken, Refused, Unavailable
from automate_train.sampling.servers.webui.http import Http
from automate_train.sampling.servers.webui.lora_file import lora_hashes, uploader_hash
from automate_train.sampling.servers.webui.loras import Loras
from automate_train.sampling.servers.webui.scheduler import Scheduler

UPLOAD = "POST /upload_lora_model"
HASH = "POST /models/query_hash_lora"


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


def loras(double: Double, folder: str = "at-1", lora_dir: Path | None = None) -> Loras:
    return Loras(Http(double.url), folder, lora_dir)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return lora(tmp_path / "run-000001.safetensors")


def stored(double: Double) -> list[dict]:
    return [each for each in double.log()["uploads"] if each["stored"]]


def test_a_file_arrives_as_it_is_and_is_shown(double, file):
    client = loras(double)
    client.upload(file, "run-v1.0_e2")
    there = double.home / "models/Lora/at-1/run-v1.0_e2.safetensors"
    assert there.read_bytes() == file.read_bytes()
    client.show("run-v1.0_e2")
    assert double.log()["listed"] == ["run-v1.0_e2"]
    assert client.hashes() == {"run-v1.0_e2": uploader_hash(file)}


def test_uploading_again_sends_nothing(double, file):
    client = loras(double)
    for _ in range(2):
        client.upload(file, "ours")
    assert len(double.asked("/upload_lora_model")) == 1


@pytest.mark.parametrize("what", ["error-after", "cut-after", "cut-answer"])
def test_an_answer_lost_after_storing_is_a_success(double, file, what):
    double.fault({"on": UPLOAD, "what": what})
    loras(double).upload(file, "ours")
    assert len(stored(double)) == 1
    assert len(double.asked("/upload_lora_model")) == 1


@pytest.mark.parametrize("what", ["error-before", "cut-before", "cut-mid", "html"])
def test_what_was_not_stored_is_asked_for_again(double, file, what):
    double.fault({"on": UPLOAD, "what": what})
    client = loras(double)
    with pytest.raises(Unavailable, match="/upload_lora_model"):
        client.upload(file, "ours")
    assert double.log()["files"] == []
    client.upload(file, "ours")
    assert len(stored(double)) == 1


def test_a_hash_that_cannot_be_asked_for_does_not_upload_twice(double, file):
    double.fault({"on": UPLOAD, "what": "cut-after"}, {"on": HASH, "what": "html", "nth": 2})
    client = loras(double)
    with pytest.raises(Unavailable, match="query_hash_lora"):
        client.upload(file, "ours")
    client.upload(file, "ours")
    assert len(double.asked("/upload_lora_model")) == 1


def test_already_exists_with_our_bytes_is_a_success(double, file):
    client = loras(double)
    client.upload(file, "ours")
    double.fault({"on": HASH, "what": "answer", "json": {"success": False, "hashvalue": ""}})  # looks as if not there
    client.upload(file, "ours")
    assert [each["stored"] for each in double.log()["uploads"]] == [True, False]


def test_another_file_of_our_name_is_left_alone(double, file, tmp_path):
    other = lora(tmp_path / "other.safetensors", fill=2)
    client = loras(double)
    client.upload(other, "ours")
    with pytest.raises(NameTaken, match="new name"):
        client.upload(file, "ours")
    assert (double.home / "models/Lora/at-1/ours.safetensors").read_bytes() == other.read_bytes()


def test_an_old_hash_in_the_servers_cache_is_dropped_once(double, file):
    """Known from before, with the path of the WebUI's list; and after an upload, with the path of its message."""
    client = loras(double)
    client.upload(file, "ours")
    double.control(poison=["at-1/ours.safetensors"])
    client.upload(file, "ours")
    assert len(double.asked("/remove_cache")) == 1
    wrong = {"success": True, "message": "", "hashvalue": "0" * 64}
    double.fault({"on": HASH, "what": "answer", "nth": 2, "json": wrong})
    client.upload(file, "second")
    assert len(double.asked("/remove_cache")) == 2


def test_a_proxys_limit_is_final_and_says_so(double, tmp_path):
    big = lora(tmp_path / "big.safetensors", tensors=20_000_000)
    for what in ("early", "html"):
        double.fault({"on": UPLOAD, "what": what, "status": 413})
        with pytest.raises(Refused, match=r"413.*proxy.*client_max_body_size"):
            loras(double).upload(big, "ours")


@pytest.mark.parametrize("status", [403, 404, 422])
def test_final_answers_to_an_upload(double, file, status):
    double.fault({"on": UPLOAD, "what": "status", "status": status, "json": {"detail": "because\nof it"}})
    with pytest.raises(Refused, match=rf"{double.url}.*{status}.*because of it"):
        loras(double).upload(file, "ours")


def test_a_server_without_room_says_why(double, file):
    words = {"success": False, "message": "There was an error uploading: No space left on device"}
    double.fault({"on": UPLOAD, "what": "answer", "json": words})
    with pytest.raises(Unavailable, match="No space left"):
        loras(double).upload(file, "ours")


@pytest.mark.parametrize("damage", ["cut", "empty", "no header", "missing"])
def test_a_file_that_is_not_whole_is_not_sent(double, file, damage):
    data = file.read_bytes()
    broken = {"cut": data[:-1], "empty": b"", "no header": b"\xff" * 4096, "missing": b""}
    file.write_bytes(broken[damage])
    if damage == "missing":
        file.unlink()
    with pytest.raises(Refused, match=r"not a whole|cannot be read"):
        loras(double).upload(file, "ours")
    assert double.log()["requests"] == []


@pytest.mark.parametrize("name", ["a/b", "..", "a:1", "a>", "a,b", "한", "", "x.safetensors", ".hidden"])
def test_names_that_no_server_may_see(double, file, name):
    with pytest.raises(ValueError):
        loras(double).upload(file, name)
    if name != "x.safetensors":
        with pytest.raises(ValueError):
            loras(double, folder=name).upload(file, "ours")


def test_delete_takes_ours_and_nothing_else(double, file):
    double.control(files=["at-1/theirs.safetensors", "somebody/x.safetensors"])
    client = loras(double)
    client.upload(file, "ours")
    client.show("ours")
    client.delete("ours")
    client.delete("ours")  # not there is what was wanted
    log = double.log()
    assert log["files"] == ["at-1/theirs.safetensors", "somebody/x.safetensors"]
    assert "ours" not in log["listed"]


def test_a_delete_that_did_not_happen_is_noticed(double, file):
    client = loras(double)
    client.upload(file, "ours")
    double.fault({"on": "POST /delete/lora_model", "what": "answer", "json": {"success": True}})
    with pytest.raises(Unavailable, match="not deleted"):
        client.delete("ours")


def test_leftovers_of_a_folder(double, file):
    client = loras(double)
    assert loras(double, folder="at-none").hashes() == {}
    client.upload(file, "one")
    double.control(files=["at-1/a b.safetensors", "at-2/two.safetensors"])
    assert list(client.hashes()) == ["one"]  # a name that cannot be ours is not told


def test_the_list_is_lost_by_a_restart_and_comes_back(double, file):
    client = loras(double)
    client.upload(file, "ours")
    client.show("ours")
    double.kill()
    with pytest.raises(Unavailable, match="refuses the connection"):
        client.show("ours")
    double.start()
    assert double.log()["listed"] == []
    client.show("ours")
    assert double.log()["listed"] == ["ours"]


def test_an_equal_name_in_another_folder_would_win_in_silence(double, file):
    client = loras(double)
    client.upload(file, "ours")
    loras(double, folder="at-2").upload(file, "ours")
    with pytest.raises(NameTaken, match="another folder"):
        client.show("ours")  # the list knows one path a name
    with pytest.raises(Unavailable, match="does not list"):
        client.show("absent")


def test_a_long_list_is_read_object_by_object(double, file):
    """Larger than what an answer without pictures may be, with our entry in the middle of it."""
    client = loras(double)
    entry = {"alias": "", "metadata": {"tags": "x" * 50_000}}
    rows = [{"name": f"n{i}", "path": f"/srv/Lora/n{i}.safetensors", **entry} for i in range(200)]
    rows[150] |= {"name": "ours", "path": "C:\\sd\\models\\Lora\\at-1\\ours.safetensors"}
    double.fault({"on": "GET /sdapi/v1/loras", "what": "answer", "json": rows, "times": 2})
    client.show("ours")
    with pytest.raises(Unavailable, match="does not list"):
        client.show("absent")
    for wrong in ({"a": 1}, "text"):
        double.fault({"on": "GET /sdapi/v1/loras", "what": "answer", "json": wrong})
        with pytest.raises(Unavailable, match="not a JSON list"):
            client.show("ours")


def test_the_uploaders_hash(tmp_path):
    """Whole blocks of 65536 bytes, then the size as text; under one block only the size counts."""
    block = bytes(range(256)) * 256
    for size in (0, 10, 65535, 65536, 65537, 3 * 65536):
        (tmp_path / "f").write_bytes((block * 3)[:size])
        digest = hashlib.sha256(block * (size // 65536) + str(size).encode()).hexdigest()
        assert uploader_hash(tmp_path / "f") == digest


def test_the_hashes_of_the_infotext(tmp_path):
    """A1111's and Forge's."""
    named = lora(tmp_path / "a.safetensors", metadata={"sshs_model_hash": "0123456789abcdef"})
    assert lora_hashes(named) == {"0123456789ab", hashlib.sha256(named.read_bytes()).hexdigest()[:12]}
    bare = lora(tmp_path / "b.safetensors", tensors=1000, fill=7)
    ours = {hashlib.sha256(data).hexdigest()[:12] for data in (b"\7" * 1000, bare.read_bytes())}
    assert lora_hashes(bare) == ours


def test_a_shared_folder_replaces_the_uploader(tmp_path, file):
    with running(tmp_path / "server", uploader=False) as double:
        client = loras(double, lora_dir=double.home / "models/Lora")
        for _ in range(2):
            client.upload(file, "ours")
        client.show("ours")
        assert double.log()["files"] == ["at-1/ours.safetensors"]
        assert client.hashes() == {"ours": uploader_hash(file)}
        with pytest.raises(NameTaken):
            client.upload(lora(tmp_path / "other.safetensors", fill=3), "ours")
        client.delete("ours")
        assert double.log()["files"] == []
        assert not (double.home / "models/Lora/at-1").exists()
        with pytest.raises(Refused, match="webui_lora_dir"):
            loras(double, lora_dir=tmp_path / "absent").upload(file, "ours")


def test_a_slow_upload_is_no_dead_server(double, file):
    """Somebody's upload blocks the event loop; a poll meanwhile waits instead of failing."""
    double.fault({"on": UPLOAD, "what": "slow", "seconds": 1.0, "block": True})
    code = (
        "import sys; from pathlib import Path\n"
        "from automate_train.sampling.servers.webui.http import Http\n"
        "from automate_train.sampling.servers.webui.loras import Loras\n"
        "Loras(Http(sys.argv[1]), 'at-1').upload(Path(sys.argv[2]), 'ours')"
    )
    upload = subprocess.Popen([sys.executable, "-c", code, double.url, str(file)])
    try:
        while not double.asked("/upload_lora_model"):
            assert upload.poll() is None
        assert Scheduler(Http(double.url)).progress(()).paused is False
        assert upload.wait(20) == 0
    finally:
        upload.kill()


@pytest.mark.slow
def test_a_gigabyte_goes_through_little_memory(double, tmp_path):
    big = lora(tmp_path / "big.safetensors", tensors=1 << 30, fill=0)
    code = (
        "import sys; from pathlib import Path\n"
        "from automate_train.sampling.servers.protocol import Lora\n"
        "from automate_train.sampling.servers.webui.server import WebUI\n"
        "WebUI(sys.argv[1], 'at-1').bring(Lora('big', Path(sys.argv[2])))\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))"  # ru_maxrss counts the parent's
    )
    done = subprocess.run([sys.executable, "-c", code, double.url, str(big)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * 1024, f"{int(done.stdout) // 1024} MiB"
    assert double.log()["uploads"][0]["bytes"] == big.stat().st_size


def test_the_double_has_the_traps_that_the_client_avoids(double, file):
    """What a client written from the obvious call sequence runs into; here so that the double stays honest."""
    with open(file, "rb") as stream:
        options = {"data": {"custom_name": "run-v1.0_e2", "lora_path": "t"}, "files": {"file": ("f", stream)}}
        requests.post(f"{double.url}/upload_lora_model", timeout=30, **options)
    assert double.log()["files"] == ["t/run-v1.0_e2"]  # a dot in the name: no extension, so nobody sees it
    assert loras(double, folder="t").hashes() == {}
    answer = requests.post(f"{double.url}/upload_options/overwrite", data={"overwrite_": "true"}, timeout=30)
    assert answer.status_code == 422
    everything = requests.post(f"{double.url}/models/query_hash_lora_all", json={"path": "nowhere"}, timeout=30)
    assert everything.json()["success"] is True  # a JSON body is silently ignored
