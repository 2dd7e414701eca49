"""Reading `/metrics` with the parsers of PyPI's `prometheus_client`, and asking what it says."""

import gzip
import http.client
import math
from collections.abc import Iterable
from urllib.parse import urlsplit

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrape:
    """One answer of the endpoint: its headers, its text, and its samples by name."""

    def __init__(self, headers: dict[str, str], body: bytes):
        self.headers = headers
        self.body = body
        self.text = body.decode("utf-8")
        openmetrics = headers["content-type"].startswith("application/openmetrics-text")
        self.families = {
            family.name: family for family in (parse_openmetrics if openmetrics else parse_text)(self.text)
        }
        self.by_name: dict[str, list[Sample]] = {}
        for family in self.families.values():
            for sample in family.samples:
                self.by_name.setdefault(sample.name, []).append(sample)

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """The samples of this name that carry all of these labels."""
        return [
            sample
            for sample in self.by_name.get(name, [])
            if all(sample.labels.get(key) == value for key, value in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float:
        """The value of the one sample of this name that carries all of these labels."""
        found = self.samples(name, **labels)
        assert len(found) == 1, f"{len(found)} samples of {name} with {labels}, expected 1: {found or self.near(name)}"
        return found[0].value

    def total(self, name: str, **labels: str) -> float:
        """The sum over every sample of this name that carries all of these labels; 0 without one."""
        return math.fsum(sample.value for sample in self.samples(name, **labels))

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """A histogram's (upper bound, cumulative count) in the order in which they stand."""
        return [(float(sample.labels["le"]), sample.value) for sample in self.samples(f"{name}_bucket", **labels)]

    def near(self, name: str) -> list[Sample] | list[str]:
        """What a failed look-up prints: the samples of that name, or the names that there are."""
        return self.by_name.get(name) or sorted(self.by_name)


def fetch(url: str, headers: dict[str, str] | None = None, timeout: float = 10.0) -> tuple[int, dict[str, str], bytes]:
    """GET without any header but those given (urllib would add its own Accept-Encoding)."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.putrequest("GET", parts.path + (f"?{parts.query}" if parts.query else ""), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def scrape(url: str, accept: str | None = None, headers: Iterable[tuple[str, str]] = ()) -> Scrape:
    """Scrapes and parses; with no `accept` the request has no Accept header at all."""
    sent = dict(headers) | ({"Accept": accept} if accept is not None else {})
    status, answered, body = fetch(url, sent)
    assert status == 200, f"{url} answers {status}: {body[:500]!r}"
    if answered.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Scrape(answered, body)
