"""The report's page served on this machine alone, so that votes are saved in the sweep's folder.

Covers: what is served (the page, the sweep's pictures, nothing else), taking votes, and who may ask: a browser of this
machine that knows the token in the address and calls the server as we do (another site's page may make the browser ask,
but knows no token and has another name). Not: the page's side (`web/js/votes.js`), flags (`cli/vote`).

GET  /<token>/                        the page
GET  /<token>/<file of the sweep>     a picture
GET  /<token>/votes                   all votes, as a JSON array
POST /<token>/votes                   one vote (`store/votes`)
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..store.files import open_regular
from ..store.layout import SweepFolder
from ..store.votes import append_vote, read_all, vote_of

HOST = "127.0.0.1"
MOST_BYTES = 4096
"""Of a vote."""
SECONDS = 30.0
"""In which a request must arrive."""
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


class VoteServer(ThreadingHTTPServer):
    """`OSError` when the port is taken. `with` closes it."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, folder: SweepFolder, port: int = 0) -> None:
        """`port` 0: any that is free."""
        self.folder, self.token, self.lock = folder, secrets.token_urlsafe(24), threading.Lock()
        super().__init__((HOST, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a browser that goes away in the middle of an answer is no error."""

    @property
    def home(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.home}/{self.token}/#tab=vote"


class Handler(BaseHTTPRequestHandler):
    server: VoteServer
    server_version, sys_version = "automate-train", ""
    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self) -> None:
        name = self._asked_for()
        if name is None:
            return
        folder = self.server.folder
        try:
            if name == "votes":
                votes = [vote._asdict() for vote in read_all(folder.votes)]
                self._answer(HTTPStatus.OK, json.dumps(votes).encode(), "application/json")
            elif name == "":
                page = folder.report.read_text(encoding="utf-8")
                self._answer(HTTPStatus.OK, with_votes(page).encode(), "text/html; charset=utf-8")
            elif (file := picture(folder.path, name)) is not None:
                with open_regular(file) as opened:
                    self._answer(HTTPStatus.OK, opened.read(), TYPES[file.suffix.lower()])
            else:
                self._answer(HTTPStatus.NOT_FOUND)
        except OSError:
            self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        self.close_connection = True  # what is not read of a hostile body must not be the next request
        name = self._asked_for()
        if name is None:
            return
        length = self.headers.get("Content-Length") or ""
        if name != "votes":
            self._answer(HTTPStatus.NOT_FOUND)
        elif self.headers.get("Origin", self.server.home) != self.server.home:
            self._answer(HTTPStatus.FORBIDDEN)
        elif not length.isascii() or not length.isdigit() or int(length) > MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        vote = vote_of(fields) if isinstance(fields, dict) else None
        if vote is None:
            self._answer(HTTPStatus.BAD_REQUEST)
            return
        try:
            with self.server.lock:
                append_vote(self.server.folder.votes, vote)
        except OSError:
            self._answer(HTTPStatus.INSUFFICIENT_STORAGE)
        else:
            self._answer(HTTPStatus.NO_CONTENT)

    def _asked_for(self) -> str | None:
        """The path below the token; None, and an answer was given, for whoever may not ask."""
        if self.headers.get("Host") != urlsplit(self.server.home).netloc:
            self._answer(HTTPStatus.FORBIDDEN)
            return None
        token, _, name = self.path.split("?")[0].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            self._answer(HTTPStatus.NOT_FOUND)
            return None
        return unquote(name)

    def _answer(self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store" if not kind.startswith("image/") else "private, max-age=3600")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Nothing: the terminal shows one sentence, and an address holds the token."""


def picture(root: Path, name: str) -> Path | None:
    """A picture in the sweep's folder, wherever links lead; None for everything else."""
    try:
        file = (root / name).resolve()
        inside = file.is_relative_to(root.resolve()) and file.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; links in a circle
        return None
    return file if inside and file.suffix.lower() in TYPES else None


def with_votes(page: str) -> str:
    """The page as it is served: it may ask its own server, and knows where. Its policy stands before all data."""
    added = '<meta name="votes" content="votes">\n<link rel="icon" href="data:,">\n'
    page = page.replace("default-src 'none';", "default-src 'none'; connect-src 'self';", 1)
    return page.replace('<meta name="referrer"', f'{added}<meta name="referrer"', 1)
