"""What every image server does (`sampling/servers/protocol.py`), whichever kind it is.

One more kind of server is one more function under `KINDS`: a server that runs, and how a test sees and disturbs it from
the outside. A kind without a queue draws at once; that alone is allowed to differ.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import webui_kit
from webui_kit import until

from automate_train.config.prompts import Prompt
from automate_train.sampling.servers.protocol import (
    Failed,
    ImageServer,
    Lora,
    LoraRefused,
    NameTaken,
    Picture,
    SampleRequest,
    Unavailable,
)  # fmt: skip
from automate_train.sampling.servers.webui.server import WebUI

OURS = "automate-train-0a1b2c3d"


@dataclass
class Backend:
    """A server that runs, from the outside."""

    connect: Callable[[], ImageServer]
    """A sampler that was started anew."""
    files: Callable[[], list[str]]
    """All LoRAs that it has, those of others as `theirs...`."""
    waiting: Callable[[], int]
    """Requests in its queue."""
    queues: bool
    pause: Callable[[bool], None]
    lose_answer: Callable[[str], None]
    """The next `bring` or `draw` is obeyed, and its answer is lost."""
    ignore_lora: Callable[[], None]
    """The next picture is drawn without the LoRA, and looks like a success."""
    use_other_model: Callable[[], None]
    fail_next: Callable[[], None]
    go_away: Callable[[], None]
    come_back: Callable[[], None]


@contextmanager
def webui(home: Path, queues: bool) -> Iterator[Backend]:
    with webui_kit.running(home, seconds=0.05, last_sleep=0.05, scheduler=queues) as double:
        double.control(files=["theirs.safetensors"])
        route = "/agent-scheduler/v1/queue/txt2img" if queues else "/sdapi/v1/txt2img"
        routes = {"bring": "POST /upload_lora_model", "draw": f"POST {route}"}
        yield Backend(
            connect=lambda: WebUI(double.url, OURS),
            files=lambda: [Path(file).stem for file in double.log()["files"]],
            waiting=lambda: len([task for task in double.log()["tasks"] if task["status"] == "pending"]),
            queues=queues,
            pause=lambda paused: double.control(paused=paused),
            lose_answer=lambda call: double.fault({"on": routes[call], "what": "cut-after"}),
            ignore_lora=lambda: double.fault({"task": "no-lora"}),
            use_other_model=lambda: double.fault({"task": "wrong-model"}),
            fail_next=lambda: double.fault(
                {"task": "fail", "reason": "no such thing"} if queues
                else {"on": routes["draw"], "what": "status", "status": 422}
            ),
            go_away=double.kill,
            come_back=lambda: [double.start(), double.set(scheduler=queues)],
        )  # fmt: skip


KINDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {
    "webui with the agent scheduler": lambda home: webui(home, queues=True),
    "webui by txt2img": lambda home: webui(home, queues=False),
}


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with KINDS[request.param](tmp_path / "server") as found:
        yield found


@pytest.fixture
def server(backend: Backend) -> ImageServer:
    return backend.connect()


@pytest.fixture
def lora(tmp_path: Path) -> Lora:
    return Lora("at-0a1b2c3d-k0-a1-e000001-beef", webui_kit.lora(tmp_path / "a.safetensors"))


PROMPT = Prompt("a cat", "ugly", {"width": 64, "height": 96, "steps": 4})


def drawn(server: ImageServer, request: SampleRequest) -> Picture | Failed:
    found = server.draw(request, 30)
    return found if isinstance(found, (Picture, Failed)) else collected(server, request, found)


def collected(server: ImageServer, request: SampleRequest, ticket: str) -> Picture | Failed:
    def finished() -> Picture | Failed | None:
        progress = server.progress([ticket])
        if progress.current is None:  # as `sampling.queue_watch` does it
            server.wake()
        return server.collect(request, ticket) if ticket in progress.finished else None

    return until(finished)


def test_a_server_without_problems_is_not_changed_by_asking(backend: Backend, server: ImageServer):
    assert [each for each in server.problems() if each.severity == "error"] == []
    assert backend.files() == ["theirs"] and server.listed() == []
    assert server.base_model is None or server.base_model.name == "base_model"
    assert server.progress([]).queued == 0 and not server.progress([]).paused


def test_a_lora_is_brought_listed_and_taken_away(backend: Backend, server: ImageServer, lora: Lora):
    for _ in range(2):  # a second time changes nothing
        server.bring(lora)
    assert server.listed() == [lora.name] and sorted(backend.files()) == sorted([lora.name, "theirs"])
    for _ in range(2):
        server.take_away(lora.name)
    assert server.listed() == [] and backend.files() == ["theirs"]


def test_what_an_earlier_session_has_left_is_listed_and_taken_away(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    again = backend.connect()
    assert again.listed() == [lora.name]
    again.take_away(lora.name)
    assert backend.files() == ["theirs"]


def test_half_a_file_is_refused(backend: Backend, server: ImageServer, lora: Lora):
    lora.file.write_bytes(lora.file.read_bytes()[:-1])
    with pytest.raises(LoraRefused):
        server.bring(lora)
    assert backend.files() == ["theirs"]


def test_a_name_is_never_overwritten(backend: Backend, server: ImageServer, lora: Lora, tmp_path: Path):
    server.bring(lora)
    with pytest.raises(NameTaken):
        server.bring(Lora(lora.name, webui_kit.lora(tmp_path / "other.safetensors", fill=2)))
    request = SampleRequest(PROMPT, 7, lora)
    assert server.verify(request, _picture(drawn(server, request))).state == "done", "it is still the first file"


def test_a_picture_with_the_lora_proves_itself(server: ImageServer, lora: Lora):
    server.bring(lora)
    request = SampleRequest(PROMPT, 7, lora, 0.6)
    picture = _picture(drawn(server, request))
    assert picture.png.startswith(b"\x89PNG") and (picture.width, picture.height) == (64, 96)
    assert server.verify(request, picture).state == "done"
    assert lora.name in str(server.parameters(request)) and server.parameters(request)["seed"] == 7


def test_a_baseline_has_no_lora(server: ImageServer, lora: Lora):
    server.bring(lora)
    request = SampleRequest(PROMPT, 7)
    picture = _picture(drawn(server, request))
    assert server.verify(request, picture).state == "done" and lora.name not in picture.infotext
    sent = server.parameters(request)
    assert (sent["prompt"], sent["negative_prompt"]) == PROMPT.words()
    with_lora = SampleRequest(PROMPT, 7, lora)
    assert server.verify(with_lora, picture).state == "base model only", "the baseline proves nothing for the LoRA"


def test_a_picture_without_the_lora_is_found_out(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.ignore_lora()
    request = SampleRequest(PROMPT, 7, lora)
    verdict = server.verify(request, _picture(drawn(server, request)))
    assert verdict.state == "base model only" and verdict.reason


def test_a_picture_of_another_base_model_is_found_out(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.use_other_model()
    request = SampleRequest(Prompt("a cat", fields={"checkpoint": "base_model"}), 7, lora)
    verdict = server.verify(request, _picture(drawn(server, request)))
    assert verdict.state == "wrong checkpoint" and "base_model" in verdict.reason


def test_a_failure_has_a_reason_and_stops_nothing(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.fail_next()
    found = drawn(server, SampleRequest(PROMPT, 7, lora))
    assert isinstance(found, Failed) and found.reason
    server.wake()
    assert isinstance(drawn(server, SampleRequest(PROMPT, 8, lora)), Picture)


def test_a_lost_answer_to_an_upload_costs_no_second_name(backend: Backend, server: ImageServer, lora: Lora):
    backend.lose_answer("bring")
    server.bring(lora)
    assert server.listed() == [lora.name]


def test_a_lost_answer_to_a_request_is_found_again(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.pause(True)
    request = SampleRequest(PROMPT, 7, lora)
    assert server.find(request, []) is None
    backend.lose_answer("draw")
    with pytest.raises(Unavailable):
        server.draw(request, 30)
    ticket = server.find(request, [])
    assert (ticket is not None) == backend.queues, "a server that draws at once has nothing to be found"
    backend.pause(False)
    if ticket is not None:
        assert server.find(request, [ticket]) is None
        assert server.find(SampleRequest(PROMPT, 8, lora), []) is None
        server.wake()
        assert server.verify(request, _picture(collected(server, request, ticket))).state == "done"


def test_a_paused_queue_is_told_and_goes_on(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.pause(True)
    assert server.progress([]).paused == backend.queues
    tickets = [server.draw(SampleRequest(PROMPT, seed, lora), 30) for seed in (1, 2)]
    if backend.queues:
        progress = server.progress([str(ticket) for ticket in tickets])
        assert progress.finished == () and progress.queued == 2 and progress.paused
        assert server.collect(SampleRequest(PROMPT, 1, lora), str(tickets[0])) is None
    server.wake()
    for seed, ticket in zip((1, 2), tickets, strict=True):
        request = SampleRequest(PROMPT, seed, lora)
        assert isinstance(ticket if isinstance(ticket, Picture) else collected(server, request, str(ticket)), Picture)


def test_requests_are_withdrawn(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.pause(True)
    if backend.queues:
        ticket = server.draw(SampleRequest(PROMPT, 1, lora), 30)
        baseline = server.draw(SampleRequest(PROMPT, 2), 30)
        lost = server.draw(SampleRequest(PROMPT, 3, lora), 30)
        assert backend.waiting() == 3
        server.withdraw(lora.name, [str(ticket)])
        assert backend.waiting() == 2
        server.withdraw(lora.name, [""])  # its answer never came: the LoRA's name is enough
        assert backend.waiting() == 1
        server.withdraw("", [str(baseline)])
        server.withdraw(lora.name, [str(ticket), str(lost)])  # once more changes nothing
    else:
        server.withdraw(lora.name, ["", "a-ticket-of-an-earlier-session"])
    assert backend.waiting() == 0


def test_an_outage(backend: Backend, server: ImageServer, lora: Lora):
    server.bring(lora)
    backend.go_away()
    for call in (server.problems, server.listed, lambda: server.bring(lora), lambda: server.take_away(lora.name),
                 lambda: server.draw(SampleRequest(PROMPT, 1, lora), 30), server.reconnected):  # fmt: skip
        with pytest.raises(Unavailable):
            call()
    backend.come_back()
    server.reconnected()
    request = SampleRequest(PROMPT, 1, lora)
    assert server.verify(request, _picture(drawn(server, request))).state == "done"
    server.take_away(lora.name)
    assert backend.files() == ["theirs"]


def test_a_stuck_queue_may_be_freed(backend: Backend, server: ImageServer):
    server.unblock()
    assert isinstance(drawn(server, SampleRequest(PROMPT, 1)), Picture)


def test_two_threads_at_once(backend: Backend, server: ImageServer, lora: Lora, tmp_path: Path):
    """One brings and takes away, the other has pictures drawn."""
    server.bring(lora)
    errors: list[Exception] = []

    def bring_others() -> None:
        try:
            for number in range(5):
                other = Lora(f"at-other-{number}", webui_kit.lora(tmp_path / f"{number}.safetensors", fill=number + 2))
                server.bring(other)
                server.take_away(other.name)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=bring_others)
    thread.start()
    requests = [SampleRequest(PROMPT, seed, lora) for seed in range(5)]
    states = [server.verify(each, _picture(drawn(server, each))).state for each in requests]
    thread.join()
    assert states == ["done"] * 5 and errors == [] and server.listed() == [lora.name]


def _picture(found: Picture | Failed) -> Picture:
    assert isinstance(found, Picture), found
    return found
