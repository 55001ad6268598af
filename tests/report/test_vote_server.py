"""The server of the votes: who may ask, what is served, hostile requests, the command."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from report_kit import Sweep

from automate_train.report.vote_server import VoteServer, with_votes
from automate_train.store.votes import append_vote, read_votes, vote_of

GOOD = {"id": "a" * 16, "at": 1.5, "left": "00000000/2/0/-", "right": "00000001/2/0/-", "choice": "left"}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"])
    for run in made.runs():
        made.begin(run)
    made.build()
    return made


@pytest.fixture
def server(sweep: Sweep) -> Iterator[VoteServer]:
    with VoteServer(sweep.folder) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: VoteServer, path: str, body: object = None, method: str = "", token: str | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    where = f"/{server.token if token is None else token}/{path}"
    try:
        connection.request(method or ("GET" if body is None else "POST"), where, data, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_page_its_pictures_and_nothing_else(server: VoteServer, sweep: Sweep):
    status, page = ask(server, "")
    assert status == 200 and b'<meta name="votes"' in page and b"connect-src 'self'" in page.split(b"<style>")[0]
    assert ask(server, "?x=1")[0] == 200
    picture = next(sweep.path.glob("*/attempt-1/output/sample/*.png"))
    inside = str(picture.relative_to(sweep.path))
    assert ask(server, inside) == (200, picture.read_bytes())
    thumb = next(sweep.path.glob("report_files/thumbs/*.jpg"))
    assert ask(server, str(thumb.relative_to(sweep.path)))[0] == 200
    (sweep.path / "out.png").symlink_to(sweep.path.parent / "pictures" / "x.png")
    (sweep.path.parent / "pictures" / "x.png").write_bytes(b"not the sweep's")
    (sweep.path / "loop.png").symlink_to("loop.png")
    os.mkfifo(sweep.path / "fifo.png")
    log = f"{inside.split('/')[0]}/attempt-1/console.log"
    for name in (
        "journal.sqlite", "report.html", log, "report_files", "report_files/", ".", "..", "../pictures/x.png",
        "%2e%2e/pictures/x.png", "..%2fpictures%2fx.png", "out.png", "loop.png", "fifo.png", "/etc/hostname",
        f"/{sweep.path.parent}/pictures/x.png", "%00.png", "a" * 5000 + ".png", "%ff.png", "votes/x", "votes.jsonl",
    ):  # fmt: skip
        assert ask(server, name)[0] == 404, name


def test_who_may_ask(server: VoteServer):
    port = server.server_port
    assert ask(server, "", token="")[0] == ask(server, "", token="x" * 32)[0] == 404
    assert ask(server, "", token="%ff")[0] == ask(server, "votes", GOOD, token="wrong")[0] == 404
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
        assert ask(server, "", Host=host)[0] == 403, host
        assert ask(server, "votes", GOOD, Host=host)[0] == 403, host
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}"):
        assert ask(server, "votes", GOOD, Origin=origin)[0] == 403, origin
    assert not read_votes(server.folder.votes)
    assert ask(server, "votes", GOOD, Origin=f"http://127.0.0.1:{port}")[0] == 204
    assert server.server_address[0] == "127.0.0.1"


def test_votes_are_saved_and_told(server: VoteServer):
    assert ask(server, "votes", GOOD)[0] == ask(server, "votes", GOOD)[0] == 204
    assert ask(server, "votes", {**GOOD, "id": "b" * 16})[0] == 204
    assert ask(server, "votes", {**GOOD, "id": "b" * 16, "choice": "undone"})[0] == 204
    assert [vote.id[0] for vote in read_votes(server.folder.votes)] == ["a"]
    status, told = ask(server, "votes")
    assert status == 200 and [(each["id"][0], each["choice"]) for each in json.loads(told)] == [
        ("a", "left"),
        ("b", "undone"),
    ]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"3", b"\xff", b"[" * 4000, b'{"id": NaN}', {**GOOD, "choice": "both"}, {**GOOD, "left": "../x"},
    {**GOOD, "at": 1e999}, {**GOOD, "id": "a\n"}, {**GOOD, "left": "\ud800"},
])  # fmt: skip
def test_what_is_no_vote_is_refused(server: VoteServer, body: object):
    assert ask(server, "votes", body)[0] == 400
    assert not server.folder.votes.exists()


def test_requests_that_are_too_long_lie_or_stop_in_the_middle(server: VoteServer):
    assert ask(server, "votes", b"x" * 5000)[0] == 413
    assert ask(server, "", GOOD)[0] == 404 and ask(server, "votes", method="DELETE")[0] == 501
    for length in ("-1", "1e3", "", "99999999999999999999", "²"):
        raw = f"POST /{server.token}/votes HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        raw += f"Content-Length: {length}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(raw.encode() + b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 413"), length
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(20)]
    for each in idle:
        each.sendall(b"POST /")
    assert ask(server, "votes", GOOD)[0] == 204, "others that say nothing hold nobody up"
    for each in idle:
        each.close()


def test_many_tabs_at_once_lose_nothing(server: VoteServer):
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda at: ask(server, "votes", {**GOOD, "id": f"{at:016x}"})[0], range(100)))
    assert told == [204] * 100 and len(read_votes(server.folder.votes)) == 100


def test_a_full_disk_is_said(server: VoteServer):
    server.folder.votes.mkdir()
    assert ask(server, "votes", GOOD)[0] == 507


def test_data_cannot_change_the_policy():
    page = with_votes("<meta content=\"default-src 'none'; x\">\n<meta name=\"referrer\">default-src 'none';")
    assert page.count("connect-src") == 1 and page.index("connect-src") < page.index("votes")


def command(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "automate_train", "vote", *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_from_its_address_to_ctrl_c(sweep: Sweep, number: int):
    vote = vote_of(GOOD)
    assert vote is not None
    append_vote(sweep.folder.votes, vote)
    child = command(str(sweep.path))
    assert child.stdout is not None
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{32})/#tab=vote\n", child.stdout.readline())
    assert found is not None
    with socket.create_connection(("127.0.0.1", int(found[1]))) as idle:
        idle.sendall(b"GET")
        taken = subprocess.run(
            [sys.executable, "-m", "automate_train", "vote", str(sweep.path), "--port", found[1]],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert taken.returncode == 2 and "--port" in taken.stderr and "Address already in use" in taken.stderr
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 0 and err == ""
    assert f"1 vote in {sweep.folder.votes}" in out


@pytest.mark.parametrize("words, told", [
    (["none"], "there is no sweep here"), (["--port", "70000"], "65535"), (["--port", "x"], "whole number"),
])  # fmt: skip
def test_what_the_command_refuses(sweep: Sweep, words: list[str], told: str):
    child = command(*(words if words == ["none"] else [str(sweep.path), *words]))
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2 and told in err and "Traceback" not in err
