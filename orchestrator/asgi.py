"""The ASGI application: pages through Django, live boards through websockets. `daphne
orchestrator.asgi:application`."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

# Loads the applications; consumers import models, so they come after it.
pages = get_asgi_application()

from events import collector  # noqa: E402
from orchestrator import access_lines, doorway, leaving, page_connections  # noqa: E402
from orchestrator.routing import websockets  # noqa: E402

doorway.guard()
access_lines.guard()
application = ProtocolTypeRouter({"http": leaving.counted(page_connections.bounded(pages)), "websocket": websockets})
leaving.watch_signals()
collector.settle()
