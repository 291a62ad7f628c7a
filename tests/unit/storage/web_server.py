"""A web server on this machine that fails as told."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Remote:
    """One file, the way its server behaves, and what was asked for."""

    content: bytes
    etag: str | None = '"1"'
    ranges: bool = True
    ignores_if_range: bool = False
    stops: list[int] = field(default_factory=list)
    """For each request in turn: after how many bytes of the body the connection ends."""
    stall: bool = False
    """Whether the connection stays open then, without a byte."""
    status: int = 200
    sized: bool = True
    """Whether the length is told; otherwise the body is chunked."""
    moved: str | None = None
    asked: list[str | None] = field(default_factory=list)
    """The Range of each request."""
    conditions: list[str | None] = field(default_factory=list)
    """The If-Range of each request."""
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(remote: Remote) -> Iterator[Remote]:
    """Serve a file at `remote.address` until the end of the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            remote.asked.append(wanted)
            remote.conditions.append(self.headers["If-Range"])
            self.close_connection = True
            if remote.moved:
                return self._head(302, 0, {"Location": remote.moved})
            if remote.status != 200:
                return self._head(remote.status, 0, {})
            body, status, more = remote.content, 200, {}
            fresh = self.headers["If-Range"] in (None, remote.etag) or remote.ignores_if_range
            if wanted and remote.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    return self._head(416, 0, {})
                more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                body, status = body[start:], 206
            self._head(status, len(body), more)
            stop = remote.stops.pop(0) if remote.stops else len(body)
            if remote.sized:
                self.wfile.write(body[:stop])
            else:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body[:stop]), body[:stop]))
                self.wfile.write(b"0\r\n\r\n" if stop >= len(body) else b"")
            self.wfile.flush()
            if remote.stall and stop < len(body):
                remote.released.wait(30)
            return None

        def _head(self, status: int, length: int, more: dict[str, str]) -> None:
            self.send_response(status)
            if remote.etag:
                self.send_header("ETag", remote.etag)
            if remote.sized:
                self.send_header("Content-Length", str(length))
            else:
                self.send_header("Transfer-Encoding", "chunked")
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    remote.address = f"http://127.0.0.1:{server.server_address[1]}/set.zip"
    try:
        yield remote
    finally:
        remote.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
