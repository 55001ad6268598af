"""The HTTP side: reads a request, lets a fault have its way, asks routes, answers and writes the log."""

import base64
import json
import socket
import struct
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import routes
from drawing import Drawing
from faults import Faults
from loras import LoraFolder
from multipart import Cut, Source, parse
from settings import Log
from tasks import Tasks


class WebUI:
    """All parts of one server."""

    def __init__(self, home: Path, settings) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.settings, self.log, self.faults = home, settings, Log(), Faults()
        self.loras = LoraFolder(home)
        self.drawing = Drawing(settings, self.loras, self.log)
        self.tasks = Tasks(home, settings, self.drawing, self.faults)
        self.loop = threading.Lock()  # the event loop: one handler blocks the others
        self.tasks.kick()  # what was pending, or ran, when the last process ended runs (again)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    webui: WebUI

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        try:
            self.handle_one()
        except (Cut, ConnectionError, TimeoutError):
            self.close_connection = True

    do_POST = do_DELETE = do_GET

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        self.method, self.path, self.query = self.command, parts.path, dict(parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length", 0))
        source = Source(self.rfile, length, self.webui.settings.upload_rate)
        if self.path in ("/_control", "/_log"):
            body = source.rest()
            answer = routes.control(self.webui, json.loads(body)) if body else routes.history(self.webui)
            return self.send(200, answer)
        fault = self.webui.faults.of_request(self.method, self.path) or {}
        what = fault.get("what", "")
        entry = {"at": time.time(), "method": self.method, "path": self.path, "bytes": length, "fault": what}
        self.entry = {**entry, "status": 0, "query": self.query}
        with self.webui.log.lock:
            self.webui.log.requests.append(self.entry)
        if what == "early":
            self.close_connection = True
            return self.send(fault.get("status", 413), b"<html>413 Request Entity Too Large</html>", "text/html")
        if what == "cut-before":
            return self.cut()
        if what == "cut-mid":
            while source.left > length // 2:
                source.read()
            return self.cut()
        with tempfile.TemporaryDirectory(dir=self.webui.home) as folder:
            self.take_body(source, Path(folder) / "upload")
            self.obey(fault, what)
        return None

    def take_body(self, source: Source, half: Path) -> None:
        kind = self.headers.get("Content-Type", "")
        self.fields, self.sent_name, self.half, self.body = {}, None, half, b""
        if kind.startswith("multipart/"):
            self.fields, self.sent_name = parse(source, kind, half)
        self.body = source.rest()

    def obey(self, fault: dict, what: str) -> None:
        if what == "error-before":
            return self.send(500, {"error": "RuntimeError", "detail": "", "body": "", "errors": "before"})
        if what == "html":
            page = b"<html><body>Bad Gateway</body></html>"
            return self.send(fault.get("status", 502), page, "text/html")
        if what == "status":
            return self.send(fault.get("status", 422), fault.get("json", {"detail": "refused"}))
        if what == "answer":
            return self.send(200, fault["json"])
        refused = self.unknown_user()
        if refused:
            return self.send(401, {"error": "HTTPException", "detail": refused, "body": "", "errors": ""})
        if self.path == "/sdapi/v1/txt2img":  # waits in a thread of its own
            status, content = routes.answer(self.webui, self)
        else:
            with self.webui.loop:
                status, content = routes.answer(self.webui, self)
                if what == "slow" and fault.get("block"):
                    time.sleep(fault["seconds"])
        if what == "slow" and not fault.get("block"):
            time.sleep(fault["seconds"])
        if what == "error-after":
            return self.send(500, {"error": "RuntimeError", "detail": "", "body": "", "errors": "after"})
        if what == "cut-after":
            return self.cut()
        return self.send(status, content, half=what == "cut-answer")

    def unknown_user(self) -> str:
        settings = self.webui.settings
        wanted = settings.auth
        if self.path.startswith(routes.UPLOADER):
            wanted = settings.uploader_auth or wanted
        if not wanted or self.path in routes.FREE:
            return ""
        given = self.headers.get("Authorization", "")
        if not given:
            return "Not authenticated"
        right = "Basic " + base64.b64encode(wanted.encode()).decode()
        return "" if given == right else "Incorrect username or password"

    def json(self) -> object:
        return json.loads(self.body or b"null")

    def form(self) -> dict[str, str]:
        """Form fields; a JSON body is silently ignored."""
        kind = self.headers.get("Content-Type", "")
        return dict(parse_qsl(self.body.decode())) if kind.startswith("application/x-www-form-urlencoded") else {}

    def send(self, status: int, content: object, kind: str = "application/json", half: bool = False) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        if hasattr(self, "entry"):
            self.entry["status"] = status
        self.send_response(status)
        self.send_header("Content-Type", "application/zip" if data[:2] == b"PK" else kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self.cut()

    def cut(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        import traceback

        traceback.print_exc()


def serve(home: Path, port: int, settings, ready) -> None:
    """Serves for ever; `ready(port)` once it listens."""
    handler = type("Here", (Handler,), {"webui": WebUI(home, settings)})
    with Server(("127.0.0.1", port), handler) as server:
        ready(server.server_address[1])
        server.serve_forever(poll_interval=0.1)
