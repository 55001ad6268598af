"""A multipart body, streamed: fields as text, the file into a (sparse) file; never whole in memory."""

import re
import time
from pathlib import Path

BLOCK = 1 << 16
ZEROS = bytes(BLOCK)


class Cut(Exception):
    """The client went away before the end of its body."""


class Source:
    """`left` bytes of a connection, at no more than `rate` bytes a second."""

    def __init__(self, stream, length: int, rate: float) -> None:
        self._stream, self.left, self._rate = stream, length, rate

    def read(self) -> bytes:
        if not self.left:
            return b""
        block = self._stream.read(min(BLOCK, self.left))
        if not block:
            raise Cut
        self.left -= len(block)
        if self._rate:
            time.sleep(len(block) / self._rate)
        return block

    def rest(self) -> bytes:
        return b"".join(iter(self.read, b""))


def parse(source: Source, content_type: str, into: Path) -> tuple[dict[str, str], str | None]:
    """({field: text}, the file's sent name or None); the file's bytes are at `into`."""
    edge = b"\r\n--" + re.search(r"boundary=(\S+)", content_type)[1].encode()
    fields, sent, rest = {}, None, b"\r\n" + source.read()
    while True:
        while edge not in rest or b"\r\n\r\n" not in rest:
            block = source.read()
            if not block:
                return fields, sent
            rest += block
        head, _, rest = rest[rest.index(edge) + len(edge) :].partition(b"\r\n\r\n")
        name = re.search(r'[; ]name="([^"]*)"', head.decode())[1]
        filename = re.search(r'filename="([^"]*)"', head.decode())
        if filename:
            sent = filename[1]
            rest = _store(source, edge, rest, into)
            continue
        while edge not in rest:
            rest += source.read()
        value, _, _ = rest.partition(edge)
        rest = rest[len(value) :]
        fields[name] = value.decode()


def _store(source: Source, edge: bytes, rest: bytes, into: Path) -> bytes:
    """Copies up to the boundary and gives back what begins with it."""
    with open(into, "wb") as out:
        while edge not in rest:
            while len(rest) >= BLOCK + len(edge):
                block, rest = rest[:BLOCK], rest[BLOCK:]
                out.seek(BLOCK, 1) if block == ZEROS else out.write(block)
            rest += source.read()
        value, _, _ = rest.partition(edge)
        out.write(value)
        out.truncate(out.tell())
    return rest[len(value) :]
