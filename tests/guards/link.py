"""The link to the switch."""

from tests.guards.guard import Guard

GUARDS: list[Guard] = []
