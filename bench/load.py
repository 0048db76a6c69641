"""The client that posts batches, to this product or, with `--form otlp`, to any other that takes OTLP over HTTP.

`python -m bench.load URL KEY SECONDS` prints a line when it is ready, starts on a line of input, and answers with one
line of JSON.
"""

import argparse
import gzip
import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bench.batches import BATCH, FORMS, Form, fresh

NATIVE = FORMS["native"]
PREPARED = 64  # gzip bodies made before the clock starts


class Client:
    """One connection that is kept alive."""

    def __init__(self, url: str, key: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Return the answer's JSON. Raises RuntimeError for anything but 200."""
        self.connection.request(method, path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return json.loads(said) if said and answer.headers.get_content_type() == "application/json" else None

    def post(self, body: bytes, *, packed: bool = False, form: Form = NATIVE) -> Any:
        headers = {"Content-Type": form.content_type} | ({"Content-Encoding": "gzip"} if packed else {})
        return self.ask("POST", form.path, body, **headers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--form", choices=FORMS, default="native")
    options = parser.parse_args()
    form = FORMS[options.form]
    body = form.template()
    client = Client(options.url, options.key)
    bodies = packed(body) if options.gzip else plain(body)
    print("ready", flush=True)
    sys.stdin.readline()
    took, end = [], time.monotonic() + options.seconds
    while time.monotonic() < end and (sent := next(bodies, None)):
        began = time.monotonic()
        receipt = client.post(sent, packed=options.gzip, form=form)
        took.append(time.monotonic() - began)
        assert receipt is None or receipt["accepted"] == BATCH, receipt
    print(json.dumps({"spans": BATCH * len(took), "took_s": took, "bytes_a_span": len(body) / BATCH}))


def plain(body: bytes) -> Iterator[bytes]:
    while True:
        yield fresh(body)


def packed(body: bytes) -> Iterator[bytes]:
    return iter([gzip.compress(fresh(body), compresslevel=1) for _ in range(PREPARED)])


if __name__ == "__main__":
    main()
