"""`automate-train vote DIR`: the page in a browser, where each vote is saved in the sweep's folder.

Covers: its flags, the page's address, the end by Ctrl-C. Not: serving (`report/vote_server`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

from ..errors import UserError
from ..report.assemble import write_page
from ..report.vote_server import VoteServer
from ..store.layout import find_sweep
from ..store.votes import read_votes
from .parser import Parser, whole


def parser() -> Parser:
    made = Parser(
        "vote",
        "Vote on pairs of pictures without knowing which is which: the page is served on this machine alone, and\n"
        "each vote is a line of DIR/votes.jsonl. Ctrl-C ends it.",
    )
    made.sweep_dir()
    made.add_argument("--port", metavar="N", type=whole(0), default=0, help="this port (default: one that is free)")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    folder = find_sweep(flags.dir)
    if flags.port > 65535:
        raise UserError("65535 is the highest port", source="command line", key="--port")
    try:
        server = VoteServer(folder, flags.port)
    except OSError as error:
        hint = "another port, or none: then one that is free is taken"
        raise UserError(f"{flags.port}: {error.strerror}", source="command line", key="--port", hint=hint) from None
    with server:
        try:
            write_page(folder)
        except OSError as error:
            raise UserError(f"cannot be written: {error}", source=str(folder.report)) from error
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"{server.url}\nvotes go to {folder.votes}; Ctrl-C ends this", flush=True)
        ended.wait()
        server.shutdown()
    count = len(read_votes(folder.votes))
    print(f"\n{count} vote{'' if count == 1 else 's'} in {folder.votes}", flush=True)
    return 0
