"""Nobody gets in, nothing gets out."""

from tests.guards.guard import Guard

GUARDS: list[Guard] = []
