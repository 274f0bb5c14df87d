"""What a guard is here: a few lines of the product that keep a promise, and the test that fails without them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """`off` replaces `on`, which occurs once in `file`; then `test` (a pytest address) must fail."""

    promise: str
    file: str
    on: str
    off: str
    test: str
