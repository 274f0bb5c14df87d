"""The anchor of the whole path: a bare Redis pub/sub hop, from one thread to another, so many times a second.

`python -m tests.bench.speed.hop URL FILE RATE`: sends the text of FILE; begins at once and goes on until a line comes
on stdin. Prints JSON {"p50", "p99"} in ms.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import redis

CHANNEL = "bench:hop"


def main(url: str, file: str, rate: float) -> None:
    text, waits = Path(file).read_bytes(), []
    ended = threading.Event()
    subscriber = redis.Redis.from_url(url, socket_timeout=None).pubsub()
    subscriber.subscribe(CHANNEL)
    subscriber.get_message(timeout=5.0)  # that it is subscribed

    def listen() -> None:
        while not ended.is_set():
            message = subscriber.get_message(timeout=0.5)
            if message is not None:
                waits.append(time.perf_counter() - float(message["data"].split(b" ", 1)[0]))

    listener = threading.Thread(target=listen)
    listener.start()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    publisher = redis.Redis.from_url(url)
    while not ended.wait(1 / rate):
        publisher.publish(CHANNEL, b"%f " % time.perf_counter() + text)
    listener.join()
    waits.sort()
    print(json.dumps({f"p{share}": 1000 * waits[int(len(waits) * share / 100)] for share in (50, 99)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
