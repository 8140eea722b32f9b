"""A reverse proxy that joins the roles of a cluster under one address, as an nginx before Loki does.

Requests and answers are passed on byte by byte; a WebSocket becomes a pipe.
"""
import re
import socket
import socketserver
import threading

# By the role that serves them; the first that matches. All else is the frontend's.
ROUTES = [
    (re.compile(r"(POST) (/loki/api/v1/push|/api/prom/push|/otlp/v1/logs)$"), "distributor"),
    (re.compile(r"\S+ (/loki/api/v1/rules|/api/prom/rules|/prometheus/api/v1/(rules|alerts)|/ruler/ring)"), "ruler"),
    (re.compile(r"\S+ (/loki/api/v1/delete|/loki/api/v1/cache/generation_numbers|/compactor/)"), "compactor"),
    (re.compile(r"\S+ (/distributor/ring|/ring)$"), "distributor"),
    (re.compile(r"\S+ (/flush|/ingester/)"), "ingester"),
]
MOST_HEAD = 1 << 16


class Gateway(socketserver.ThreadingTCPServer):
    """Listens on the loopback; `roles` gives the addresses for each role."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, roles):
        super().__init__(("127.0.0.1", 0), Connection)
        self.roles, self.turn = roles, 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # A client or a server hung up.

    def place(self, method, path):
        words = f"{method} {path.split('?')[0]}"
        role = next((role for pattern, role in ROUTES if pattern.match(words)), "query-frontend")
        self.turn += 1
        return self.roles[role][self.turn % len(self.roles[role])]

    def close(self):
        self.shutdown()
        self.server_close()


class Connection(socketserver.BaseRequestHandler):
    """One client. Each request goes to its own server over a connection of its own."""

    def handle(self):
        reader = self.request.makefile("rb")
        while self.one(reader):
            pass

    def one(self, reader):
        first, headers, head = read_head(reader)
        if first is None:
            return False
        method, path, _ = (first.split() + ["", ""])[:3]
        with socket.create_connection(self.server.place(method, path), timeout=120) as server:
            upgrade = "upgrade" in headers.get("connection", "").lower()
            if not upgrade:
                head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)[:-2] + b"Connection: close\r\n\r\n"
            if "100-continue" in headers.get("expect", "").lower():
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = re.sub(rb"(?im)^expect:.*\r\n", b"", head)
            server.sendall(head)
            copy_body(reader, server, headers)
            answer = server.makefile("rb")
            status, said, head = read_head(answer)
            if status is None:
                return False
            code = status.split()[1]
            if code == "101":
                self.request.sendall(head)
                return self.pipe(reader, answer, server)
            bare = method == "HEAD" or code in ("204", "304")
            ends = bare or "content-length" in said or "chunked" in said.get("transfer-encoding", "")
            # The client keeps its connection if it can tell where the answer ends.
            head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)
            self.request.sendall(head[:-2] + (b"" if ends else b"Connection: close\r\n") + b"\r\n")
            if not bare:
                copy_body(answer, self.request, said, to_end=not ends)
            return ends

    def pipe(self, reader, answer, server):
        server.settimeout(None)

        def back():
            try:
                while data := answer.read1(65536):
                    self.request.sendall(data)
                self.request.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        try:
            while data := reader.read1(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        thread.join()
        return False


def read_head(reader):
    """First line, headers by lower-case names, and all as bytes; nothing at the end of the stream."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline(MOST_HEAD)
        if not line or len(head) > MOST_HEAD:
            return None, {}, b""
        if head or line.strip():
            head += line
    rows = head.decode("latin-1").split("\r\n")
    headers = {}
    for row in rows[1:]:
        name, _, value = row.partition(":")
        headers[name.strip().lower()] = value.strip()
    return rows[0], headers, head


def copy_body(reader, writer, headers, to_end=False):
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            line = reader.readline(MOST_HEAD)
            size = int(line.split(b";")[0] or b"0", 16) if line.strip() else 0
            writer.sendall(line + (reader.read(size + 2) if size else b""))
            if not size:
                break
        while (line := reader.readline(MOST_HEAD)) not in (b"\r\n", b""):
            writer.sendall(line)
        writer.sendall(b"\r\n")
        return
    left = int(headers.get("content-length") or 0)
    while left or to_end:
        data = reader.read1(min(left, 65536) if left else 65536)
        if not data:
            return
        writer.sendall(data)
        left -= min(left, len(data))
