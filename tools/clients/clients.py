"""Sends lines with clients of Loki as their users do, and compares what a query returns with what was sent.

    clients.py send CLIENT URL      a client in Python sends its lines: python-logging-loki, otlp
    clients.py check CLIENT URL     asks for the lines of a client, and compares
"""
import json
import logging
import sys
import time
import urllib.parse
import urllib.request

COUNT = 500


def lines():
    """What every client sends, in this order. The senders in other languages make the same lines."""
    return [f'line {n} of {COUNT}: "quoted" back\\slash tab\t é 🦀 <&> {{"n": {n * n}}}' for n in range(COUNT)]


def send_python_logging_loki(url):
    import logging_loki

    handler = logging_loki.LokiHandler(url=f"{url}/loki/api/v1/push", tags={"client": "python-logging-loki"}, version="1")
    logger = logging.getLogger("python-logging-loki")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    for line in lines():
        logger.info("%s", line, extra={"tags": {"side": "left"}})


def send_otlp(url):
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": "otlp", "k8s.pod.name": "pod-1", "host.name": "box"})
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/otlp/v1/logs")))
    logger = logging.getLogger("otlp")
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for n, line in enumerate(lines()):
        logger.warning(line, extra={"number": n, "part.of": "test"})
    provider.shutdown()


def ask(url, query, start, end):
    """All entries of a query in the order of time, as (time, line, labels)."""
    parameters = {"query": query, "start": start, "end": end, "limit": 5000, "direction": "forward"}
    with urllib.request.urlopen(f"{url}/loki/api/v1/query_range?{urllib.parse.urlencode(parameters)}") as answer:
        result = json.load(answer)["data"]["result"]
    found = [(int(ts), line, stream["stream"]) for stream in result for ts, line, *_ in stream["values"]]
    return sorted(found, key=lambda entry: entry[0])


# Where a client's lines are, what of a stored line was sent, and labels that must be there.
CHECKS = {
    "python-logging-loki": ('{client="python-logging-loki"}', lambda line: line, {"side": "left", "severity": "info"}),
    "otlp": ('{service_name="otlp"}', lambda line: line, {"k8s_pod_name": "pod-1", "host_name": "box", "part_of": "test"}),
    "pino-loki": ('{client="pino-loki"}', lambda line: json.loads(line)["msg"], {"level": "info"}),
    "winston-loki-json": ('{client="winston-loki-json"}', lambda line: line, {"level": "info"}),
    "winston-loki-protobuf": ('{client="winston-loki-protobuf"}', lambda line: line, {"level": "info"}),
    "tracing-loki": ('{client="tracing-loki"}', lambda line: json.loads(line)["message"], {"level": "info"}),
}


def check(client, url):
    query, sent, labels = CHECKS[client]
    now = time.time_ns()
    entries = ask(url, query, now - 3_600 * 10**9, now + 60 * 10**9)
    got = [sent(line) for _, line, _ in entries]
    wanted = lines()
    # Lines of one stream and one time come in the order they were sent in; those of several streams may be mixed.
    if sorted(got) != sorted(wanted):
        missing = [line for line in wanted if line not in got][:3]
        extra = [line for line in got if line not in wanted][:3]
        sys.exit(f"{client}: {len(got)} lines of {len(wanted)}; missing {missing}; not sent {extra}")
    for _, line, stream in entries:
        if any(stream.get(name) != value for name, value in labels.items()):
            sys.exit(f"{client}: {line!r} has the labels {stream}, of which {labels} is wanted")
    print(f"{client}: {len(got)} lines, each as it was sent{'' if got == wanted else ', in another order'}")


if __name__ == "__main__":
    verb, client, url = sys.argv[1:]
    if verb == "check":
        check(client, url)
    else:
        {"python-logging-loki": send_python_logging_loki, "otlp": send_otlp}[client](url)
