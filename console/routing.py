"""The websocket addresses."""

from django.urls import path

from console import consumers

websocket_urlpatterns = [
    path("ws/v1/floor/", consumers.FloorSocket.as_asgi()),
    path("ws/v1/agent/", consumers.AgentSocket.as_asgi()),
    path("ws/console/agent/", consumers.PanelSocket.as_asgi()),
]
