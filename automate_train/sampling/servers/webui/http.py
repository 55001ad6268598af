"""Requests to one server, and what their failures mean.

Covers: the base address, credentials, time and size limits, status codes -> `Refused` or `Unavailable`.
Not: what any route means.
"""

from __future__ import annotations

import json as jsonlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from ....config.key_sets import WEBUI_SECRETS
from ..protocol import Refused, Unavailable
from .server_words import error_text, one_line

CONNECT_S = 10.0
READ_S = 30.0
"""An upload by somebody else blocks the WebUI's event loop for seconds: a slow server is not a dead one."""
MIB = 1 << 20
SMALL = 8 * MIB
"""Bytes of an answer that carries no picture."""
TAILS = ("/sdapi/v1", "/sdapi", "/agent-scheduler/v1", "/docs")
Auth = tuple[bytes, bytes] | None


class TooLarge(Refused):
    """An answer that is larger than any honest one."""


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes


def base_url(url: str) -> str:
    """`host:7860/`, `http://u:p@host/sub/sdapi/v1` -> `http://host:7860`, `http://host/sub`; else `Refused`."""
    return _split(url)[0]


def _split(url: str) -> tuple[str, str | None]:
    """(address without credentials, the `user:password` in it or None)."""
    try:
        parts = urlsplit(url.strip() if "://" in url else f"http://{url.strip()}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise Refused("webui_url is not an address: write it like http://127.0.0.1:7860") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in host):
        raise Refused("webui_url is not the address of a WebUI: write it like http://127.0.0.1:7860")
    path = parts.path.rstrip("/")
    for tail in TAILS:
        path = path.removesuffix(tail).rstrip("/")
    where = f"[{host}]" if ":" in host else host
    auth = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    return urlunsplit((parts.scheme, where + port, path, "", "")), auth


def _pair(auth: str | None, key: str) -> Auth:
    if not auth:
        return None
    user, colon, password = auth.partition(":")
    if not colon or not user:
        raise Refused(f"{key} is not of the form user:password")
    return user.encode(), password.encode()  # bytes: requests would refuse what is not Latin-1


class Http:
    """A connection for each thread that calls. Answers are read with a limit, redirects are not followed."""

    def __init__(self, url: str, auth: str | None = None, uploader_auth: str | None = None) -> None:
        self.url, inside = _split(url)
        main = _pair(auth or inside, "webui_auth")
        self._auths: dict[bool, Auth] = {False: main, True: _pair(uploader_auth, "webui_uploader_auth") or main}
        self._own_uploader_auth = bool(uploader_auth)
        self._of_thread = threading.local()

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = requests.Session()
            self._of_thread.session.headers.update({"User-Agent": "automate-train", "Accept": "application/json"})
        session: requests.Session = self._of_thread.session
        return session

    def says(self, text: object) -> str:
        """A server's words for a message; should it repeat a password of ours, that is taken out."""
        line = one_line(text)
        for pair in self._auths.values():
            if pair and pair[1]:
                line = line.replace(pair[1].decode(), "***")
        return line

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        allow: tuple[int, ...] = (),
        uploader: bool = False,
        query: Mapping[str, str | int] | None = None,
        form: Mapping[str, str] | None = None,
        json: object = None,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = READ_S,
        send_s: float = CONNECT_S,
    ) -> Iterator[requests.Response]:
        """The answer, its body still unread. A status other than 200 and those in `allow` is raised.

        Credentials are always sent: the WebUI's 401 has no WWW-Authenticate. Errors while the caller reads the body are
        translated too. `send_s` is also how long the sending of one block may take.
        """
        try:
            with self._session.request(
                method, self.url + path, params=query, json=json, data=form if body is None else body, headers=headers,
                auth=self._auths[uploader],  # type: ignore[arg-type]  # bytes do as well as text
                timeout=(send_s, read_s), stream=True, allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status_code != 200 and answer.status_code not in allow:
                    self._refused(answer.status_code, path, self._read(answer, SMALL, path), uploader)
                yield answer
        except requests.Timeout:  # the causes hold the request, and that the password: never chained
            raise Unavailable(f"{self.url} did not answer {path} within {read_s:.0f} s") from None
        except requests.exceptions.SSLError as broken:
            if "CERTIFICATE" in str(broken).upper():
                raise Refused(f"{self.url}: its certificate is not accepted") from None
            raise Unavailable(f"{self.url}: the encrypted connection broke at {path}") from None
        except requests.ConnectionError as broken:
            raise Unavailable(f"{self.url} {_why(broken)} ({path})") from None
        except (requests.RequestException, OSError) as broken:
            raise Unavailable(f"{self.url}: the connection broke at {path} ({type(broken).__name__})") from None

    def ask(self, method: str, path: str, *, limit: int = SMALL, **options: Any) -> Answer:
        """`open`, and the whole answer of at most `limit` bytes."""
        with self.open(method, path, **options) as answer:
            return Answer(answer.status_code, self._read(answer, limit, path))

    def table(self, method: str, path: str, **options: Any) -> dict[str, object]:
        """`ask`, and the answer's JSON object; anything else is `Unavailable` (a proxy's page, a half answer)."""
        return self.parsed(self.ask(method, path, **options), path)

    def parsed(self, answer: Answer, path: str) -> dict[str, object]:
        try:
            found = jsonlib.loads(answer.content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unavailable(f"{self.url} answered {path} with something that is not a JSON object (a proxy's page?)")
        return found

    def items(self, path: str, largest: int = SMALL) -> Iterator[dict[str, object]]:
        """The objects of a JSON list one by one: the metadata of a thousand LoRAs is never in memory at once."""
        decoder, rest, begun, ended = jsonlib.JSONDecoder(), "", False, False
        with self.open("GET", path) as answer:
            answer.encoding = "utf-8"
            for block in answer.iter_content(1 << 16, decode_unicode=True):
                rest += block
                if not begun:
                    begun, rest = rest.lstrip()[:1] == "[", rest.lstrip()[1:]
                    if not begun:
                        break
                while (rest := rest.lstrip(" \t\r\n,")) and not ended:
                    try:
                        found, end = decoder.raw_decode(rest)
                    except (ValueError, RecursionError):
                        ended = rest[0] == "]"
                        break  # the object goes on in the next block
                    rest = rest[end:]
                    if isinstance(found, dict):
                        yield found
                if ended or len(rest) > largest:
                    break
        if not ended:
            raise Unavailable(f"{self.url} answered {path} with something that is not a JSON list (a proxy's page?)")

    def _read(self, answer: requests.Response, limit: int, path: str) -> bytes:
        content = bytearray()
        for block in answer.iter_content(1 << 16):
            content += block
            if len(content) > limit:
                raise TooLarge(f"{self.url} answered {path} with more than {limit // MIB} MiB")
        return bytes(content)

    def _refused(self, status: int, path: str, content: bytes, uploader: bool) -> None:
        words = self.says(error_text(content))
        said = f": {words}" if words else ""
        if status == 401:
            raise Refused(self._unknown_user(uploader))
        if status == 413:
            raise Refused(
                f"{self.url} refuses {path} as too large (413): a proxy in front of the WebUI limits the size of a "
                "request (nginx: client_max_body_size)"
            )
        if status == 429 or status >= 500:
            raise Unavailable(f"{self.url} answered {path} with {status}{said}")
        if 300 <= status < 400:
            raise Refused(f"{self.url} answered {path} with a redirect ({status}): set webui_url to the final address")
        raise Refused(f"{self.url} refuses {path} ({status}){said}")

    def _unknown_user(self, uploader: bool) -> str:
        pair = self._auths[uploader]
        key = "webui_uploader_auth" if uploader and self._own_uploader_auth else "webui_auth"
        more = " (the uploader's users can be others than the WebUI's)" if uploader else ""
        where = f", in a config file (automate-train sample: --config FILE) or in {WEBUI_SECRETS[key]}"
        if pair is None:
            return f'{self.url} wants a user and a password: set {key} to "user:password"{more}{where}'
        return f"{self.url} does not know user {pair[0].decode()!r} with this password: check {key}{more}{where}"


def _why(broken: requests.ConnectionError) -> str:
    text = str(broken).lower()
    if "refused" in text:
        return "refuses the connection: is it running, and is the port right?"
    if "resolve" in text or "getaddrinfo" in text or "name or service" in text:
        return "has a name that the network does not know"
    if "timed out" in text:
        return "does not answer in time"
    return "broke the connection"
