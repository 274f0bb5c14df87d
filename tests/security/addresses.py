"""What is routed, as the tests that try all of it go through it."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def addresses(patterns: Any = None, space: str = "") -> Iterator[tuple[str, str, URLPattern]]:
    """(namespace, name, pattern) of everything that is routed."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, one.namespace or space)
        else:
            yield space, one.name or str(one.pattern), one
