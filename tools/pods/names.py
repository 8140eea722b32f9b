"""A DNS server with the addresses of services; run as a program it answers with those of a file: names.py ADDRESS FILE."""
import json
import pathlib
import random
import socket
import struct
import sys
import threading


class Names(threading.Thread):
    """Answers for names and for SRV records of services (_PORT._tcp.NAME)."""

    def __init__(self, address):
        super().__init__(daemon=True)
        # Of a name; and of an SRV record: port and name.
        self.addresses, self.services = {}, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))

    def run(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(query), client)
            except (IndexError, struct.error, UnicodeDecodeError):
                pass

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, _ = struct.unpack_from(">HH", query, at + 1)
        name = ".".join(labels).lower()
        addresses, service = self.addresses.get(name), self.services.get(name)
        records = []
        if addresses and kind == 1:
            # Kubernetes' DNS has no fixed order, either.
            records = [socket.inet_aton(address) for address in random.sample(addresses, len(addresses))]
        if service and kind == 33:
            port, target = service
            host = b"".join(bytes([len(label)]) + label.encode() for label in target.split(".")) + b"\0"
            records = [struct.pack(">HHH", 0, 1, port) + host]
        known = addresses or service
        head = query[:2] + struct.pack(">HHHHH", 0x8580 if known else 0x8583, 1, len(records), 0, 0)
        body = [struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(record)) + record for record in records]
        return head + query[12 : at + 5] + b"".join(body)


if __name__ == "__main__":
    names = Names(sys.argv[1])
    names.addresses = json.loads(pathlib.Path(sys.argv[2]).read_text())
    names.run()
