"""The protocol is closed: what is not in the types is refused, and the page about it is generated from them."""

import json
from pathlib import Path

import msgspec
import pytest
from django.conf import settings

from console import codes, protocol, protocol_docs
from console.rows import AgentRow


def test_the_protocol_page_is_what_the_types_say():
    page = Path(settings.BASE_DIR) / "docs" / "protocol.md"
    assert page.read_text(encoding="utf-8") == protocol_docs.markdown(), "run `manage.py write_protocol_docs`"


def test_the_page_names_every_message_and_every_code():
    text = protocol_docs.markdown()
    for kind in (*protocol.SERVER_MESSAGES, *protocol.CLIENT_MESSAGES):
        assert f"### `{kind.__struct_config__.tag}`" in text
    for code in (*codes.ERROR_CODES, *codes.CLOSE_CODES):
        assert str(code) in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "not json",
        '{"type": "fly"}',
        '{"type": "ping", "extra": 1}',
        '{"type": "resume", "epoch": "1.1"}',
        '{"type": "resume", "epoch": "1.1", "seq": -1}',
        '{"type": "resume", "epoch": "' + "9" * 65 + '", "seq": 1}',
        '{"type": "set_agent_state", "id": "", "agent_id": "a", "state": "break"}',
        '{"type": "set_agent_state", "id": "' + "x" * 65 + '", "agent_id": "a", "state": "break"}',
        '{"type": "set_agent_state", "id": "1", "agent_id": "a", "state": "on_call"}',
        '{"type": "set_agent_state", "id": "1", "agent_id": "a b", "state": "break"}',
        '{"type": "set_agent_state", "id": "1", "agent_id": "a\\n", "state": "break"}',
        '{"type": "set_agent_state", "id": "1", "agent_id": "a", "state": "break", "reason": "<script>"}',
        '{"type": "call_control", "id": "1", "call_id": "c", "action": "originate"}',
        '{"type": "call_control", "id": "1", "call_id": "c", "action": "transfer", "extension": "100;reload"}',
        '{"type": "campaign_control", "id": "1", "campaign_id": "c", "action": "delete"}',
        '{"type": "subscribe", "campaigns": "all"}',
        '{"type": "hello", "protocol": 1, "server_time": 1}',
        "[" * 3000,
    ],
)
def test_what_is_no_client_message_is_refused_in_words(text):
    with pytest.raises(protocol.InvalidMessage) as refused:
        protocol.read_client(text)
    assert str(refused.value)


def test_bytes_that_are_no_utf8_are_refused():
    with pytest.raises(protocol.InvalidMessage):
        protocol.read_client(b'{"type": "ping", "\xff": 1}')


@pytest.mark.parametrize(
    "message",
    [
        protocol.Resume(epoch="17.1", seq=4),
        protocol.Subscribe(campaigns=("a", "b")),
        protocol.SetAgentState(id="1", agent_id="agent_101", state="break", reason="lunch", sent_at=1),
        protocol.CallControl(id="2", call_id="c", action="transfer", extension="1001"),
        protocol.CampaignControl(id="3", campaign_id="c", action="pause"),
        protocol.Ping(),
    ],
)
def test_every_client_message_is_read_as_it_was_written(message):
    assert protocol.read_client(protocol.encode(message)) == message


def test_a_server_message_with_an_unknown_field_is_refused():
    text = json.loads(protocol.text(protocol.Pong(server_time=1))) | {"new": 1}
    with pytest.raises(msgspec.ValidationError):
        protocol.read_server(json.dumps(text))


def test_a_row_with_an_unknown_field_is_refused():
    row = msgspec.to_builtins(AgentRow(id="a", name="A", extension="1", status="available")) | {"password": "x"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(row, AgentRow)
