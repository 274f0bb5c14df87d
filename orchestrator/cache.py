"""How a cache key looks in Redis."""


def plain_key(key: str, key_prefix: str, version: int) -> str:
    """The key itself, so that `agent_state:agent_101` is what an outsider finds in Redis."""
    return f"{key_prefix}{key}"
