"""Never dial twice, stop means stop."""

from tests.guards.guard import Guard

GUARDS: list[Guard] = []
