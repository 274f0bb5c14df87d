#!/usr/bin/env python
"""Django's command-line door; `make run` starts every process through it."""

import os
import sys

# greenswitch is cooperative: its process must be patched before anything opens a socket or starts a thread.
if len(sys.argv) > 1 and sys.argv[1] == "run_esl_bridge":
    from gevent import monkey

    monkey.patch_all()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
