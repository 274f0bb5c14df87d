"""The fault suite: seeded troubles against real processes, and checks of what must hold all the same."""
