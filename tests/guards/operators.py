"""What operators rely on."""

from tests.guards.guard import Guard

GUARDS: list[Guard] = []
