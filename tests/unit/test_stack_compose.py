"""The composition runs what `make run` runs, keeps its secrets out of files and its servers out of reach."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from console import floor, health
from dialer import limits
from esl_bridge import bridge, render
from events import ingest, streams
from orchestrator import leaving
from orchestrator.servers import BASE_DIR
from orchestrator.stack import plan

# Settings that are not for an environment file to change, and why.
FIXED = {
    "DB_USER DB_HOST DB_PORT CELERY_BROKER_URL CELERY_RESULT_BACKEND CACHE_URL": "the servers are services of it",
    "FREESWITCH_ESL_HOST FREESWITCH_ESL_PORT": "so is the switch; several are named by FREESWITCH_NODES",
    "IMPORT_DIR MESSAGES_DIR RECORDINGS_DIR": "where the volumes are mounted",
    "LOG_DIR": "of the image: all else is read-only",
    "DEBUG": "off",
    "HOST VAR_DIR": "of `make run`",
}
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


def test_every_setting_of_the_page_is_passed_through_or_fixed_for_a_reason(composition: dict[str, Any]) -> None:
    page = (BASE_DIR / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    fixed = {name for names in FIXED for name in names.split()}
    environment = composition["x-orchestrator"]["environment"]
    passed = {name for name, value in environment.items() if value is None or f"${{{name}" in str(value)}
    assert passed == named - fixed - {"PORT"} and "${PORT:-8000}" in composition["services"]["web"]["ports"][0]
    # `${NAME:-}` would set it to nothing, and the default would no longer be the application's.
    assert [name for name in passed if str(environment[name]).endswith("-}")] == []
    others = {name for name, one in composition["services"].items() if one.get("environment") != environment}
    assert others == {"postgres", "redis", "freeswitch"}


def test_a_restored_database_is_chosen_by_its_name(composition: dict[str, Any]) -> None:
    assert composition["x-orchestrator"]["environment"]["DB_NAME"] == "${DB_NAME:-voice_orchestrator}"
    assert composition["services"]["postgres"]["environment"]["POSTGRES_DB"] == "${DB_NAME:-voice_orchestrator}"


def test_customers_who_wait_hear_what_the_shipped_freeswitch_can_play(composition: dict[str, Any]) -> None:
    [music] = re.findall(r"\$\{HOLD_MUSIC-(.+)\}", composition["x-orchestrator"]["environment"]["HOLD_MUSIC"])
    root = ElementTree.fromstring(FREESWITCH.read_text())
    sets = [one.get("data", "") for one in root.iter("X-PRE-PROCESS") if one.get("cmd") == "set"]
    assert f"hold_music={music}" in sets, "on hold the switch plays its own"
    loaded = {one.get("module", "") for one in root.iter("load")}
    assert f"mod_{music.partition('://')[0]}" in loaded
    plan = render.DialPlan("{number}", "{extension}", ("+1",), "/r", "/m", music)
    assert render.music("00000000-0000-0000-0000-000000000000", plan) is not None


def mounted(composition: dict[str, Any], volume: str) -> dict[str, str]:
    return {
        name: place
        for name, service in composition["services"].items()
        for place in service.get("volumes", [])
        if place.startswith(f"{volume}:")
    }


def test_recordings_are_mounted_where_they_are_made_played_and_removed(composition: dict[str, Any]) -> None:
    folder = composition["x-orchestrator"]["environment"]["RECORDINGS_DIR"]
    found = mounted(composition, "recordings")
    assert found == {
        "freeswitch": f"recordings:{folder}",
        "web": f"recordings:{folder}:ro",
        "retention": f"recordings:{folder}",
        "tools": f"recordings:{folder}:ro",
    }
    assert composition["services"]["retention"]["command"] == ["python", "manage.py", "retention"]
    # Whoever makes them lets us read and remove them.
    image = (BASE_DIR / "Dockerfile").read_text()
    [uid] = re.findall(r"--uid (\d+)", image)
    assert f"-o orchestrator -m 0755 {folder}" in image
    started = composition["services"]["freeswitch"]["command"][0]
    assert f"chown {uid} {folder} && chmod 0755 {folder}" in started and "umask 022" in started


def test_freeswitch_is_started_with_our_configuration_whatever_its_images_entrypoint_does(
    composition: dict[str, Any],
) -> None:
    service = composition["services"]["freeswitch"]
    assert service["entrypoint"] == ["sh", "-c"] and "exec /usr/bin/freeswitch" in service["command"][0]
    [configuration] = re.findall(r" -conf (\S+)", service["command"][0])
    assert f"./docker/freeswitch:{configuration}:ro" in service["volumes"]


def test_the_doctor_can_be_well_in_the_tools(composition: dict[str, Any]) -> None:
    """Folders that it looks at are mounted, the switch can be asked: tests/integration/test_doctor.py says for what."""
    tools = composition["services"]["tools"]
    assert {"imports:/imports", "messages:/messages"} <= set(tools["volumes"])
    assert {"data", "switch"} == set(tools["networks"])
    for name in ("tools", "retention"):
        assert (
            composition["services"][name]["profiles"] == ["tools"] and composition["services"][name]["restart"] == "no"
        )


def test_who_posts_alerts_has_a_way_out(composition: dict[str, Any]) -> None:
    networks = composition["services"]["default"]["networks"]
    assert any(not (composition["networks"][name] or {}).get("internal") for name in networks)


def test_no_services_log_fills_the_disk(composition: dict[str, Any]) -> None:
    for name, service in composition["services"].items():
        logging = service.get("logging", {})
        assert logging.get("driver") in {"local", "json-file"}, name
        assert {"max-size", "max-file"} <= set(logging["options"]), name


def test_no_page_keeps_a_container_of_compose_run_in_a_services_place() -> None:
    """It has no restart policy, and `up` does not see it."""
    for page in (*BASE_DIR.glob("docs/*.md"), BASE_DIR / "README.md"):
        assert "docker rename" not in page.read_text(), page


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


def test_the_event_socket_lets_in_the_addresses_of_the_bridge_and_the_tools_alone(composition: dict[str, Any]) -> None:
    nodes = ElementTree.fromstring(FREESWITCH.read_text()).findall(".//list[@name='orchestrator']/node")
    asking = [composition["services"][name]["networks"]["switch"]["ipv4_address"] for name in ("bridge", "tools")]
    assert [(node.get("type"), node.get("cidr")) for node in nodes] == [("allow", f"{one}/32") for one in asking]


def test_no_file_with_a_users_or_a_carriers_password_is_kept_in_the_repository() -> None:
    ignored = (BASE_DIR / ".gitignore").read_text().splitlines()
    assert {"docker/.env", "docker/freeswitch/gateways/*.xml", "docker/freeswitch/directory/*.xml", "var/"} <= set(
        ignored
    )


def test_uploads_lie_where_the_web_process_writes_and_a_worker_reads(composition: dict[str, Any]) -> None:
    using = {
        name for name, service in composition["services"].items() if "imports:/imports" in service.get("volumes", [])
    }
    assert using == {"web", "default", "tools"}
    assert composition["x-orchestrator"]["environment"]["IMPORT_DIR"] == "/imports"
    assert "-o orchestrator -m 0700 /imports" in (BASE_DIR / "Dockerfile").read_text()
