"""Every process of the orchestrator under one command, for development and demonstration.

`python -m orchestrator.stack run` is what `make run` calls; `python -m orchestrator.stack servers -- CMD` gives a
command its own PostgreSQL and Redis, which is how `make test` calls pytest. Production runs the same processes under
its own supervisor (docker-compose.yml is an example).
"""
