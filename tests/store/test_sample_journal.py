"""What the sampler remembers of seeds, prompt files and what it has left on servers."""

from __future__ import annotations

from pathlib import Path

from automate_train.store.sample_journal import SampleJournal, SentRequest


def test_seeds_and_prompt_files_are_those_that_came_first(tmp_path: Path):
    journal = SampleJournal(tmp_path / "journal.sqlite")
    seed = journal.seed("0:abc")
    assert journal.first_prompts("k0", "digest-1") == "digest-1"
    journal.close()
    journal = SampleJournal(tmp_path / "journal.sqlite")
    assert journal.seed("0:abc") == seed and 0 <= seed < 1 << 31
    assert (
        journal.first_prompts("k0", "digest-2") == "digest-1" and journal.first_prompts("k1", "digest-2") == "digest-2"
    )


def test_uploads_are_known_by_server_until_they_are_forgotten(tmp_path: Path):
    journal = SampleJournal(tmp_path / "journal.sqlite")
    for server in ("http://a", "http://b"):
        journal.record_upload(server, "at-1", "batch 1")
        journal.record_upload(server, "at-1", "batch 2")  # told again after a restart
    journal.record_upload("http://a", "at-2", "batch 2")
    assert journal.uploads("http://a") == {"at-1": "batch 1", "at-2": "batch 2"}
    journal.forget_upload("http://a", "at-1")
    assert journal.uploads("http://a") == {"at-2": "batch 2"} and journal.uploads("http://b") == {"at-1": "batch 1"}


def test_requests_are_known_by_server_and_lora(tmp_path: Path):
    journal = SampleJournal(tmp_path / "journal.sqlite")
    sent = SentRequest("/x_00.png", "at-1", "")
    journal.record_request("http://a", sent)
    answered = SentRequest("/x_00.png", "at-1", "task-1")
    journal.record_request("http://a", answered)
    baseline = SentRequest("/b.png", "", "task-2")
    journal.record_request("http://a", baseline)
    assert journal.requests("http://a", "at-1") == [answered] and journal.requests("http://a", "") == [baseline]
    assert len(journal.requests("http://a")) == 2 and journal.requests("http://b") == []
    assert journal.servers() == {"http://a"}
    for picture in ("/x_00.png", "/b.png"):
        journal.forget_request("http://a", picture)
    assert journal.requests("http://a") == [] and journal.servers() == set()
