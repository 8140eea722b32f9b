"""Tests of the tool itself: python3 -m unittest cluster.tests, in tools/."""
import http.client
import http.server
import threading
import unittest

from . import corpus, settings
from .gateway import Gateway
from .ledger import Ledger, runs


def answer(stream, seqs):
    return [{"stream": {}, "values": [[str(stream.times[seq]), stream.text(seq)] for seq in seqs]}]


class Settings(unittest.TestCase):
    def test_what_is_written_is_read(self):
        value = {"a": {"b": True, "c": [{"x": 1, "y": {"z": "w"}}, {"x": 2}]}, "d": -3, "e": "10s"}
        self.assertEqual(settings.from_yaml(settings.to_yaml(value)), value)

    def test_comments_and_quotes(self):
        self.assertEqual(settings.from_yaml("# a\na: 'b' # c\nd:\n  e: f#g\n"), {"a": "b", "d": {"e": "f#g"}})

    def test_merging(self):
        self.assertEqual(settings.merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}), {"a": {"b": 3, "c": 2}})


class Checks(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger("test", 2, [""])
        self.stream = self.ledger.streams[0]
        times = [at for at, _ in self.stream.lines(10, 1000)]
        self.stream.acknowledge(times[:5])

    def check(self, seqs, start=0, end=2000):
        acknowledged = self.stream.snapshot()
        return self.ledger.check_lines(self.stream, acknowledged, start, end, answer(self.stream, seqs), "test")

    def test_right_answers(self):
        self.assertTrue(self.check(range(5)))
        self.assertTrue(self.check(range(10)), "what was sent may be there")
        self.assertTrue(self.check([3, 4, 2], 1002), "only what was asked for must be there")
        self.assertEqual(self.ledger.problems, [])

    def test_wrong_answers(self):
        self.assertFalse(self.check([0, 1, 2, 3]), "missing")
        self.assertFalse(self.check([0, 1, 2, 3, 4, 4]), "doubled")
        self.assertFalse(self.check([0, 1, 2, 3, 4, 7, 7]), "doubled without having been acknowledged")
        changed = answer(self.stream, range(5))
        changed[0]["values"][2][1] += "!"
        found = self.ledger.check_lines(self.stream, [], 0, 2000, changed, "test")
        self.assertFalse(found, "not as sent")
        self.assertEqual(len(self.ledger.problems), 4)

    def test_counts(self):
        self.assertTrue(self.ledger.check_count(self.stream, 5, 10, 7, "test"))
        self.assertFalse(self.ledger.check_count(self.stream, 5, 10, 4, "test"))
        self.assertFalse(self.ledger.check_count(self.stream, 5, 10, 11, "test"))

    def test_ranges(self):
        self.assertEqual(runs([1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10")


class Bodies(unittest.TestCase):
    def test_snappy_keeps_everything(self):
        data = bytes(range(256)) * 1000
        packed = corpus.snappy(data)
        at, plain = len(corpus.varint(len(data))), b""
        while at < len(packed):
            size = int.from_bytes(packed[at + 1 : at + 3], "little") + 1
            plain += packed[at + 3 : at + 3 + size]
            at += 3 + size
        self.assertEqual(plain, data)


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said = self.server.role.encode() + b":" + body
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(said), said))

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Routes(unittest.TestCase):
    def test_requests_go_to_their_roles_on_one_connection(self):
        servers = {}
        for role in ("distributor", "query-frontend", "ruler", "compactor", "ingester"):
            server = servers[role] = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
            server.role = role
            threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = Gateway({role: [server.server_address] for role, server in servers.items()})
        connection = http.client.HTTPConnection("127.0.0.1", gateway.server_address[1], timeout=10)
        for path, role in [
            ("/loki/api/v1/push", "distributor"),
            ("/loki/api/v1/query", "query-frontend"),
            ("/loki/api/v1/delete", "compactor"),
            ("/loki/api/v1/rules/a", "ruler"),
            ("/flush", "ingester"),
            ("/loki/api/v1/query_range?a=/flush", "query-frontend"),
        ]:
            connection.request("POST", path, "x" * 100_000)
            self.assertEqual(connection.getresponse().read().decode(), f"{role}:{'x' * 100_000}")
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().read(), b"")
        gateway.close()
        for server in servers.values():
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    unittest.main()
