"""Bodies of pushes for measurements: made here, or those of a folder with `bodies.bin` and `meta.json`."""
import json
import os
import random
import struct
import time

BODY = 1 << 20


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def snappy(data):
    """Snappy's block format without compression: it costs a client nothing, and a server about what real bodies do."""
    out = [varint(len(data))]
    for at in range(0, len(data), 65536):
        piece = data[at : at + 65536]
        out += [b"\xf4" + struct.pack("<H", len(piece) - 1), piece]
    return b"".join(out)


def push_request(streams):
    """A push in protobuf: (labels as text, [(nanoseconds, line)])."""
    out = []
    for labels, lines in streams:
        entries = []
        for at, line in lines:
            stamp = b"\x08" + varint(at // 10**9) + b"\x10" + varint(at % 10**9)
            entries.append(field(2, field(1, stamp) + field(2, line)))
        out.append(field(1, field(1, labels) + b"".join(entries)))
    return snappy(b"".join(out))


class Corpus:
    """Bodies in memory, with how many lines and bytes of lines they have, and the times they lie between."""

    def __init__(self, folder, megabytes):
        self.bodies, self.lines, self.bytes = [], 0, 0
        if folder:
            self.read(folder, megabytes << 20)
        else:
            self.make(megabytes << 20)

    def read(self, folder, most):
        with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        size = 0
        with open(os.path.join(folder, "bodies.bin"), "rb") as file:
            while size * meta["raw_bytes"] // os.path.getsize(file.name) < most and (head := file.read(4)):
                self.bodies.append(file.read(struct.unpack("<I", head)[0]))
                size += len(self.bodies[-1]) + 4
        part = len(self.bodies) / meta["bodies"]
        self.lines, self.bytes = int(meta["lines"] * part), int(meta["raw_bytes"] * part)
        self.start, self.end = meta["start_ns"], meta["end_ns"]
        self.cluster = '{cluster=~"c.*"}'

    def make(self, most):
        dice = random.Random(1)
        self.start = (time.time_ns() // 3_600_000_000_000 - 2) * 3_600_000_000_000
        self.end = self.start + 3_600_000_000_000
        self.cluster = '{cluster="c1"}'
        # Lines are longer than that.
        number, step = 0, 3_600_000_000_000 // max(1, most // 120)
        while self.bytes < most:
            streams, size = {}, 0
            while size < BODY:
                number += 1
                at, pod = self.start + number * step, dice.randrange(8)
                line, app = nginx(dice) if number % 3 == 0 else api(dice, number)
                streams.setdefault((app, pod), []).append((at, line))
                size += len(line)
                self.lines += 1
            self.bytes += size
            listed = [
                (b'{app="%s", cluster="c1", pod="%s-%d"}' % (app, app, pod), lines)
                for (app, pod), lines in streams.items()
            ]
            self.bodies.append(push_request(listed))
        if at >= self.end:
            raise ValueError(f"{self.lines} lines do not fit into their hour")


def nginx(dice):
    status = dice.choice((200, 200, 200, 200, 301, 404, 500, 503))
    line = (
        f'{{"remote":"10.0.{dice.randrange(256)}.{dice.randrange(256)}","method":"GET",'
        f'"path":"/items/{dice.randrange(500)}","status":{status},"bytes":{dice.randrange(100000)},'
        f'"took":{dice.random():.3f},"id":"{dice.getrandbits(96):024x}"}}'
    )
    return line.encode(), b"nginx"


def api(dice, number):
    level, method = "error" if dice.random() < 0.03 else "info", dice.choice(("GET", "PUT", "POST"))
    line = (
        f"level={level} caller=handler.go:{dice.randrange(400)} msg=\"request done\" method={method} "
        f"duration={dice.randrange(900)}ms user=u{dice.randrange(5000)} trace={dice.getrandbits(128):032x} seq={number}"
    )
    return line.encode(), b"api"
