"""What is shown: progress on a terminal, tables, JSON."""
import json
import sys
import time

BEGAN = time.monotonic()


def say(text):
    """A line of progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", file=sys.stderr, flush=True)


def table(rows):
    """Rows of (what, value) or of equal length, aligned."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def show(title, result, as_json):
    """A result: a dictionary of figures, with lists of sentences below `problems` and `events`."""
    if as_json:
        print(json.dumps({"test": title, **result}), flush=True)
        return
    print(f"== {title}")
    table([(key, value) for key, value in result.items() if not isinstance(value, (list, dict))] or [("", "")])
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{key}:")
            table([("", inner, number) for inner, number in value.items()] or [("", "none")])
        elif isinstance(value, list) and value:
            print(f"{key}:")
            for row in value:
                print(f"  {row}")
    sys.stdout.flush()


def milliseconds(took):
    """Median, 99th percentile and the longest of some seconds."""
    if not took:
        return "none"
    took = sorted(took)
    middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
    return f"{len(took)}, median {middle * 1000:.1f} ms, 99 % {late * 1000:.1f} ms, longest {took[-1] * 1000:.0f} ms"
