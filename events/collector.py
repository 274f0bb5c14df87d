"""Python's garbage collector in a process that serves people for days."""

import gc


def settle() -> None:
    """Once everything is loaded: what is there now stays, so no collection looks through it again. Without this each
    full one stops the process for 70 to 150 ms, which is most of a frame's time."""
    gc.collect()
    gc.freeze()
