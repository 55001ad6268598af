"""What a sweep's scores say, as lines for a terminal.

Covers: the verdict, what it is based on, what to do next as a command. Not: the verdict itself (`judging`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import pip_install
from ..records import RunRecord
from ..store.layout import SweepFolder
from ..store.scores import read_scores
from .shell_command import shell_command


def answer_lines(folder: SweepFolder, records: Sequence[RunRecord], argv: Sequence[str]) -> Iterator[str]:
    """`argv`: the sweep's command. Nothing where no checkpoint has a score."""
    if not (scores := read_scores(folder)):
        return
    try:
        from ..judging.suggestion import suggestion  # numpy and scipy: 300 ms, and an extra
        from ..judging.sweep_answer import answer
    except ImportError as error:
        yield f"answer   {error.name} is not installed, so the scores are not compared: {pip_install('numpy', 'scipy')}"
        return
    found = answer(records, scores)
    first, *others = (*found.sentences, *found.effect_sentences)
    yield f"answer   {first}"
    yield from (f"         {sentence}" for sentence in others)
    if found.based_on:
        yield f"         (based on {found.based_on})"
    if found.next:
        text, flags = suggestion(found.next[0], records)
        yield f"         {text}"
        if flags:
            yield f"           {shell_command(*argv, *flags)}"
