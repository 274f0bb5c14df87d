"""Command-line options, shared by `python -m esl_bridge.simulator` and the management command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from esl_bridge.simulator.config import Config, Mix
from esl_bridge.simulator.server import Server


def add_arguments(parser: argparse.ArgumentParser, defaults: Config) -> None:
    """Add every option, with these defaults."""
    mix = defaults.mix
    add = parser.add_argument
    add("--host", default=defaults.host)
    add("--port", type=int, default=defaults.port, help="0 takes a free port")
    add("--password", default=defaults.password)
    add("--seed", type=int, default=defaults.seed)
    add("--speed", type=float, default=defaults.speed, help="rings and talks take 1/SPEED of the time")
    add("--sessions-per-second", type=int, default=defaults.sessions_per_second)
    add("--max-sessions", type=int, default=defaults.max_sessions)
    add("--no-throttle", action="store_true", help="neither of the two limits")
    add("--heartbeat", type=float, default=defaults.heartbeat, help="seconds")
    add("--register", type=float, default=defaults.register, help="seconds between registrations; 0: never again")
    add("--restart-after", type=float, default=defaults.restart_after, help="seconds")
    add("--agents", default="", help="extensions that answer, e.g. 1100-1999,3000-3999")
    add("--no-machine-detection", action="store_true", help="as without mod_avmd")
    add("--log", default=defaults.log, help="JSONL file of every leg")
    add("--answer-rate", type=float, default=mix.answer_rate, help="share of live answers")
    add("--machine-rate", type=float, default=mix.machine_rate)
    add("--busy-rate", type=float, default=mix.busy_rate)
    add("--rejected-rate", type=float, default=mix.rejected_rate)
    add("--invalid-rate", type=float, default=mix.invalid_rate)
    add("--ring-mean", type=float, default=mix.ring_mean, help="seconds")
    add("--talk-mean", type=float, default=mix.talk_mean, help="seconds")
    add("--patience-mean", type=float, default=mix.patience_mean, help="seconds without an agent")


def config_from(options: argparse.Namespace) -> Config:
    """Options as a Config. Raises ValueError for impossible ones."""
    agents = Config().agents
    if options.agents:
        agents = tuple(_range(part) for part in options.agents.split(","))
    return Config(
        host=options.host,
        port=options.port,
        password=options.password,
        seed=options.seed,
        speed=options.speed,
        sessions_per_second=options.sessions_per_second,
        max_sessions=options.max_sessions,
        throttle=not options.no_throttle,
        heartbeat=options.heartbeat,
        register=options.register,
        restart_after=options.restart_after,
        agents=agents,
        machine_detection=not options.no_machine_detection,
        log=options.log,
        mix=Mix(
            answer_rate=options.answer_rate,
            machine_rate=options.machine_rate,
            busy_rate=options.busy_rate,
            rejected_rate=options.rejected_rate,
            invalid_rate=options.invalid_rate,
            ring_mean=options.ring_mean,
            talk_mean=options.talk_mean,
            patience_mean=options.patience_mean,
        ),
    )


def serve(config: Config) -> None:
    """Run until SIGINT, SIGTERM or `fsctl shutdown`."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config))


async def _serve(config: Config) -> None:
    server = Server(config)
    await server.start()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, server.stopped.set)
    print(f"simulated FreeSWITCH on {config.host}:{server.port}", file=sys.stderr, flush=True)
    await server.stopped.wait()
    await server.stop()


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python -m esl_bridge.simulator`."""
    parser = argparse.ArgumentParser(
        prog="python -m esl_bridge.simulator",
        description="A simulated FreeSWITCH: its event socket, its calls, and a log of every leg.",
    )
    add_arguments(parser, Config())
    options = parser.parse_args(arguments)
    try:
        config = config_from(options)
    except ValueError as error:
        parser.error(str(error))
    serve(config)


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.strip().partition("-")
    return int(low), int(high or low)
