"""The command line of the simulator, and the thread that runs it in tests."""

from __future__ import annotations

import argparse
import socket

import pytest

from esl_bridge.simulator import Config, SimulatorThread
from esl_bridge.simulator.cli import add_arguments, config_from


def _config(*arguments: str) -> Config:
    parser = argparse.ArgumentParser()
    add_arguments(parser, Config())
    return config_from(parser.parse_args(arguments))


def test_without_options_the_defaults_of_the_real_switch_hold() -> None:
    assert _config() == Config()
    assert (Config().port, Config().password, Config().host) == (8021, "ClueCon", "127.0.0.1")
    assert (Config().sessions_per_second, Config().max_sessions, Config().heartbeat) == (200, 5000, 20.0)


def test_every_option_reaches_the_config() -> None:
    config = _config(
        "--port=0", "--seed=7", "--speed=5", "--no-throttle", "--agents=1100-1199,3000", "--answer-rate=0.5",
        "--ring-mean=3", "--log=/tmp/legs.jsonl",
    )  # fmt: skip
    assert (config.port, config.seed, config.speed, config.throttle) == (0, 7, 5.0, False)
    assert config.agents == ((1100, 1199), (3000, 3000))
    assert (config.mix.answer_rate, config.mix.ring_mean) == (0.5, 3.0)
    assert config.log == "/tmp/legs.jsonl"


@pytest.mark.parametrize("argument", ["--speed=0", "--answer-rate=2", "--agents=x-y"])
def test_impossible_options_are_refused(argument: str) -> None:
    with pytest.raises(ValueError):
        _config(argument)


def test_a_port_in_use_is_reported_to_who_starts_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError), SimulatorThread(Config(port=taken.getsockname()[1])):
            pass


def test_a_stopped_simulator_frees_its_port() -> None:
    with SimulatorThread(Config(port=0)) as simulator:
        port = simulator.port
        socket.create_connection(("127.0.0.1", port)).close()
    with SimulatorThread(Config(port=port)) as again:
        assert again.port == port
