"""Probes and scrapers ask a machine, not a site: by its address, or by the name of its container. What they are told
says nothing of the host that was asked for, so any is as good as ours; every other page is refused to a foreign one.
"""

from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.middleware import common

# As in orchestrator/urls.py, to the letter: nothing that only looks like them.
PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class CommonMiddleware(common.CommonMiddleware):
    """Django's, which checks the Host header of each request."""

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        if request.path_info in PATHS:
            return None
        return super().process_request(request)
