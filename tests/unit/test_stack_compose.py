"""The composition runs what `make run` runs, keeps its secrets out of files and its servers out of reach."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from console import floor, health
from dialer import limits
from esl_bridge import bridge
from events import ingest, streams
from orchestrator import leaving
from orchestrator.servers import BASE_DIR
from orchestrator.stack import plan

SECRETS = ("SECRET_KEY", "DB_PASSWORD", "REDIS_PASSWORD", "FREESWITCH_ESL_PASSWORD")
FREESWITCH = BASE_DIR / "docker" / "freeswitch" / "freeswitch.xml"


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    return yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())


def test_it_has_every_process_of_the_stack_with_the_same_command(composition: dict[str, Any]) -> None:
    options = plan.Options("0.0.0.0", 8000, "simulator", Path("/var"))
    for service in plan.services(options, {}, "python", Path("/app")):
        ours = composition["services"][service.name]
        wanted = [
            part for part in service.command if part not in {"-m", "--quiet", "--without-gossip", "--without-mingle"}
        ]
        wanted = [part.removeprefix("/app/") for part in wanted]
        # The image's own command is the web server's.
        given = ours.get("command") or re.findall(r'"([^"]+)"', (BASE_DIR / "Dockerfile").read_text().split("CMD")[-1])
        assert wanted[-2:] == given[-2:] or set(wanted) - {"python"} <= set(given), service.name


def test_every_secret_must_be_given_and_none_is_in_a_file(composition: dict[str, Any]) -> None:
    text = (BASE_DIR / "docker-compose.yml").read_text()
    example = (BASE_DIR / "docker" / "env.example").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert re.search(rf"^{name}=$", example, re.MULTILINE)
    assert composition["x-orchestrator"]["environment"]["DEBUG"] == "0"


def test_the_databases_log_holds_no_rows_of_failed_statements(composition: dict[str, Any]) -> None:
    said = " ".join(composition["services"]["postgres"]["command"])
    assert "log_min_error_statement=panic" in said and "log_error_verbosity=terse" in said


def test_only_the_web_service_is_published_and_only_on_the_loopback_address(composition: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in composition["services"].items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}
    assert composition["networks"]["data"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert composition["services"][name]["networks"] == ["data"]


def test_redis_has_a_password_and_loses_nothing_it_was_given(composition: dict[str, Any]) -> None:
    script = composition["services"]["redis"]["command"][-1]
    for setting in ("requirepass $$REDIS_PASSWORD", "appendonly yes", "maxmemory-policy noeviction"):
        assert setting in script
    assert "$$REDIS_PASSWORD" not in script.split("exec ")[-1]


def test_every_lasting_service_has_a_health_check(composition: dict[str, Any]) -> None:
    lasting = {name for name, service in composition["services"].items() if service.get("restart") != "no"}
    assert lasting == {name for name, service in composition["services"].items() if "healthcheck" in service}


def test_each_health_check_asks_for_a_part_that_readyz_names(composition: dict[str, Any]) -> None:
    for name, service in composition["services"].items():
        test = service.get("healthcheck", {}).get("test", [])
        if "docker/healthcheck.py" in test:
            assert test[-1] == name
            assert name in health.BEATS or name in {"web", "simulator"}


def test_every_service_comes_back_and_has_longer_to_stop_than_it_needs(composition: dict[str, Any]) -> None:
    needed = {
        "web": leaving.FINISH_SECONDS + leaving.CLOSE_SECONDS,
        "bridge": bridge.DRAIN_SECONDS + streams.SOCKET_SECONDS,
        "ingest": 2 * ingest.THREADS_END_SECONDS,
        "floor": floor.RETRY_SECONDS + streams.SOCKET_SECONDS,
        "dialer": limits.LEASE_SECONDS,
        "default": 10.0,
    }
    for name, seconds in needed.items():
        service = composition["services"][name]
        assert service["restart"] == "unless-stopped" and service["init"] is True, name
        assert "stop_signal" not in service, "SIGTERM"
        assert float(service["stop_grace_period"].rstrip("s")) >= seconds + 5, name
    assert composition["services"]["postgres"]["stop_signal"] == "SIGINT", "SIGTERM would wait for its clients"


def test_freeswitch_starts_without_users_well_known_passwords_or_an_open_event_socket() -> None:
    text = FREESWITCH.read_text()
    root = ElementTree.fromstring(text)
    assert "ClueCon" not in text and root.findall(".//user") == []
    assert "disable_system_api_commands=true" in text and "disable_system_app_commands=true" in text
    socket = {
        param.get("name"): param.get("value")
        for param in root.findall(".//configuration[@name='event_socket.conf']/settings/param")
    }
    assert socket["password"] == "$${esl_password}" and socket["apply-inbound-acl"] == "orchestrator"
    for profile in root.findall(".//profile"):
        params = {param.get("name"): param.get("value") for param in profile.findall("settings/param")}
        assert params["auth-calls"] == "true" and params["accept-blind-reg"] == "false"
        assert params["apply-inbound-acl"] == "nobody"
    for lists in root.findall(".//network-lists/list"):
        assert lists.get("default") == "deny"


def test_the_event_socket_lets_in_the_address_of_the_bridge_alone(composition: dict[str, Any]) -> None:
    nodes = ElementTree.fromstring(FREESWITCH.read_text()).findall(".//list[@name='orchestrator']/node")
    bridge = composition["services"]["bridge"]["networks"]["switch"]["ipv4_address"]
    assert [(node.get("type"), node.get("cidr")) for node in nodes] == [("allow", f"{bridge}/32")]


def test_no_file_with_a_users_or_a_carriers_password_is_kept_in_the_repository() -> None:
    ignored = (BASE_DIR / ".gitignore").read_text().splitlines()
    assert {"docker/.env", "docker/freeswitch/gateways/*.xml", "docker/freeswitch/directory/*.xml", "var/"} <= set(
        ignored
    )


def test_uploads_lie_where_the_web_process_writes_and_a_worker_reads(composition: dict[str, Any]) -> None:
    using = {
        name for name, service in composition["services"].items() if "imports:/imports" in service.get("volumes", [])
    }
    assert using == {"web", "default"}
    assert composition["x-orchestrator"]["environment"]["IMPORT_DIR"] == "/imports"
    assert "-o orchestrator -m 0700 /imports" in (BASE_DIR / "Dockerfile").read_text()
