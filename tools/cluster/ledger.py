"""What was pushed, line by line, and whether answers are right about it.

A line that was acknowledged must be answered exactly once from then on. One that was sent and not acknowledged may be
there, once at the most.
"""
import bisect
import collections
import re
import threading

LINE = re.compile(r"seq=(\d+) stream=(\d+) ")


class Stream:
    """One stream. Times ascend strictly with the numbers of lines."""

    def __init__(self, number, tenant):
        self.number, self.tenant = number, tenant
        self.times = []
        # Numbers of lines, in the order in which they were acknowledged.
        self.acknowledged = []
        self.lock = threading.Lock()

    def labels(self, app):
        return {"app": app, "stream": str(self.number)}

    def lines(self, count, now):
        """New lines: (time, text)."""
        with self.lock:
            first = len(self.times)
            now = max(now, self.times[-1] + 1 if self.times else 0)
            self.times += range(now, now + count)
        return [(now + n, self.text(first + n)) for n in range(count)]

    def text(self, seq):
        level = "error" if seq % 20 == 0 else "info"
        known = f"seq={seq} stream={self.number} level={level} took={seq % 997}ms"
        return f"{known} id={seq * 2654435761 % 2**32:08x} path=/items/{seq % 89}"

    def acknowledge(self, times):
        with self.lock:
            first = bisect.bisect_left(self.times, times[0])
            self.acknowledged += range(first, first + len(times))

    def acknowledged_in(self, start, end):
        """How many lines are acknowledged whose time lies in [start, end)."""
        with self.lock:
            first, last = bisect.bisect_left(self.times, start), bisect.bisect_left(self.times, end)
            return sum(1 for seq in self.acknowledged if first <= seq < last)

    def sent_in(self, start, end):
        with self.lock:
            return bisect.bisect_left(self.times, end) - bisect.bisect_left(self.times, start)

    def snapshot(self):
        """The numbers of the lines that are acknowledged by now."""
        with self.lock:
            return list(self.acknowledged)


class Ledger:
    """All streams, and what was found to be wrong."""

    def __init__(self, app, streams, tenants):
        self.app = app
        self.streams = [Stream(n, tenants[n % len(tenants)]) for n in range(streams)]
        self.lock = threading.Lock()
        self.problems, self.moment = [], lambda: ""

    def acknowledged(self):
        return sum(len(stream.acknowledged) for stream in self.streams)

    def sent(self):
        return sum(len(stream.times) for stream in self.streams)

    def problem(self, text):
        with self.lock:
            self.problems.append(f"{self.moment()}{text}")

    def check_lines(self, stream, expected, start, end, result, what):
        """Compares an answer of lines of `stream` in [start, end) with the lines that must be there."""
        found, foreign = collections.Counter(), []
        for part in result:
            for time, line, *_ in part["values"]:
                read = LINE.match(line)
                seq = int(read[1]) if read else -1
                known = read and int(read[2]) == stream.number and seq < len(stream.times)
                if not known or stream.times[seq] != int(time) or stream.text(seq) != line:
                    foreign.append(line[:80])
                else:
                    found[seq] += 1
        wanted = [seq for seq in expected if start <= stream.times[seq] < end]
        missing = sorted(seq for seq in wanted if not found[seq])
        doubled = sorted(seq for seq, times in found.items() if times > 1)
        for name, wrong in (("missing", missing), ("doubled", doubled), ("not as sent", foreign)):
            if wrong:
                times = ""
                if name != "not as sent":
                    times = f", times {stream.times[wrong[0]]} to {stream.times[wrong[-1]]}"
                self.problem(
                    f"{what}: stream {stream.number}: {len(wrong)} of {len(wanted)} lines {name}: {runs(wrong)}{times}"
                )
        return not (missing or doubled or foreign)

    def check_count(self, stream, least, most, count, what):
        """Compares a count of all lines of a stream with those acknowledged before it and sent after it."""
        if least <= count <= most:
            return True
        self.problem(f"{what}: stream {stream.number}: counted {count}, acknowledged before {least}, sent {most}")
        return False


def runs(numbers, most=5):
    """Numbers in order, as ranges."""
    if not numbers or isinstance(numbers[0], str):
        return numbers[:most]
    ranges = []
    for number in numbers:
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in ranges[:most])
    return text + (f" and {len(ranges) - most} more ranges" if len(ranges) > most else "")
