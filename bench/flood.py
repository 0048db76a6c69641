"""Senders that want more than there is: `python -m bench.flood URL KEY SECONDS SENDERS BATCHES_A_SECOND`.

Each sends at its pace until the batch it has is acknowledged, whatever it is told. It speaks as `bench.load` does:
ready, a line of input, one line of JSON: how often each status came (0: no answer), and how long the refusals took.
"""

import argparse
import http.client
import json
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from bench.batches import FORMS, fresh

ANSWER_TIMEOUT_S = 30


class Sender(threading.Thread):
    """One connection that sends a batch again and again until it is taken, then the next."""

    def __init__(self, url: str, key: str, body: bytes, every_s: float) -> None:
        super().__init__(daemon=True)
        self.address, self.template, self.every_s = urlsplit(url).netloc, body, every_s
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.until = 0.0
        self.statuses: Counter[int] = Counter()
        self.refused_s: list[float] = []

    def run(self) -> None:
        body, status = b"", 200
        while (began := time.monotonic()) < self.until:
            if status == http.HTTPStatus.OK:
                body = fresh(self.template)
            status = self._post(body)
            self.statuses[status] += 1
            if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                self.refused_s.append(time.monotonic() - began)
            time.sleep(max(0.0, began + self.every_s - time.monotonic()))

    def _post(self, body: bytes) -> int:
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("POST", "/api/v1/traces", body, self.headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        return answer.status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("seconds", type=float)
    parser.add_argument("senders", type=int)
    parser.add_argument("rate", type=float, help="batches a second, of all senders")
    options = parser.parse_args()
    body = FORMS["native"].template()
    senders = [Sender(options.url, options.key, body, options.senders / options.rate) for _ in range(options.senders)]
    print("ready", flush=True)
    sys.stdin.readline()
    for sender in senders:
        sender.until = time.monotonic() + options.seconds
        sender.start()
    for sender in senders:
        sender.join(options.seconds + 2 * ANSWER_TIMEOUT_S)
    statuses = sum((sender.statuses for sender in senders), Counter[int]())
    print(json.dumps({"statuses": statuses, "refused_s": [one for sender in senders for one in sender.refused_s]}))


if __name__ == "__main__":
    main()
