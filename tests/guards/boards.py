"""Boards and commands."""

from tests.guards.guard import Guard

GUARDS: list[Guard] = []
