"""Every websocket address of the project, and the refusal of all others."""

from typing import Any

from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from django.urls import re_path

from console.routing import websocket_urlpatterns
from console.transport import aware


async def nowhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Closed before it is accepted: the browser sees a refused handshake, the log no traceback."""
    await send({"type": "websocket.close"})


websockets = aware(SessionMiddlewareStack(URLRouter([*websocket_urlpatterns, re_path(r"", nowhere)])))
