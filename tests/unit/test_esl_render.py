"""Order rendering: exactly one harmless command line, or refused."""

import re
import uuid
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer import orders
from esl_bridge.render import MAX_LINE_CHARACTERS, Command, DialPlan, Refused, follow_up, music, render

PLAN = DialPlan("sofia/gateway/carrier/{number}", "user/{extension}", ("+1212555", "+1646"), "/var/lib/rec")
ORDER, LEG, PEER, CALL = (str(uuid.UUID(int=number)) for number in range(1, 5))
BASE = {"order_id": ORDER, "expires_at": 1.0, "leg": LEG}
CUSTOMER = orders.OriginateCustomer(
    **BASE, number="+12125551234", call_id=CALL, campaign_id="7", agent_id="agent_101",
    caller_id_number="+12125550100", caller_id_name="Voice Orchestrator", timeout=25,
)  # fmt: skip


@pytest.mark.parametrize(
    ("order", "line"),
    [
        (
            CUSTOMER,
            (
                f"originate {{origination_uuid={LEG},origination_caller_id_number=+12125550100,"
                "origination_caller_id_name='Voice Orchestrator',originate_timeout=25,ignore_early_media=true,"
                "hangup_after_bridge=true,hold_hangup_xfer_exten=hangup:inline,RECORD_APPEND=true,orch_role=customer,"
                f"orch_call={CALL},orch_agent=agent_101,orch_campaign=7}}"
                "sofia/gateway/carrier/+12125551234 &park()"
            ),
        ),
        (
            orders.OriginateAgent(**BASE, extension="1001", agent_id="agent_101", timeout=20),
            (
                f"originate {{origination_uuid={LEG},originate_timeout=20,ignore_early_media=true,"
                "park_after_bridge=true,"
                "hangup_after_bridge=false,orch_role=agent,orch_agent=agent_101}user/1001 &park()"
            ),
        ),
        (
            orders.Eavesdrop(**BASE, extension="1003", target=PEER, supervisor="sup", mode="barge"),
            (
                f"originate {{origination_uuid={LEG},originate_timeout=20,ignore_early_media=true,"
                "eavesdrop_enable_dtmf=true,hangup_after_bridge=true,"
                f"orch_role=supervisor,orch_agent=sup}}user/1003 &eavesdrop({PEER})"
            ),
        ),
        (orders.ListenMode(**BASE, mode="listen"), f"uuid_recv_dtmf {LEG} 0"),
        (orders.ListenMode(**BASE, mode="whisper"), f"uuid_recv_dtmf {LEG} 2"),
        (orders.ListenMode(**BASE, mode="barge"), f"uuid_recv_dtmf {LEG} 3"),
        (
            orders.CallExtension(**BASE, extension="1003", role="supervisor", who="sup", caller_id_name="Take over"),
            (
                f"originate {{origination_uuid={LEG},origination_caller_id_name='Take over',originate_timeout=20,"
                "ignore_early_media=true,hangup_after_bridge=true,hold_hangup_xfer_exten=hangup:inline,"
                "orch_role=supervisor,orch_agent=sup}"
                "user/1003 &park()"
            ),
        ),
        (orders.Mute(**BASE), f"uuid_audio {LEG} start read mute -1"),
        (orders.Mute(**BASE, on=False), f"uuid_audio {LEG} stop"),
        (orders.Bridge(**BASE, peer=PEER), f"uuid_bridge {LEG} {PEER}"),
        (orders.Hold(**BASE), f"uuid_hold {LEG}"),
        (orders.Hold(**BASE, on=False), f"uuid_hold off {LEG}"),
        (orders.Park(**BASE), f"uuid_park {LEG}"),
        (orders.Transfer(**BASE, extension="1002"), f"uuid_transfer {LEG} 1002 XML default"),
        (orders.Hangup(**BASE), f"uuid_kill {LEG} NORMAL_CLEARING"),
        (orders.Record(**BASE, action="start", name=PEER), f"uuid_record {LEG} start /var/lib/rec/{PEER}.wav"),
        (orders.DetectMachine(**BASE), f"uuid_broadcast {LEG} avmd_start:: aleg"),
        (orders.Record(**BASE, action="mask", name=PEER), f"uuid_record {LEG} mask /var/lib/rec/{PEER}.wav"),
    ],
    ids=lambda value: orders.kind_of(value) if isinstance(value, orders.Order) else "",
)
def test_each_order_is_one_known_line(order, line):
    assert render(order, PLAN) == Command(line)


def test_a_probe_is_asked_directly():
    assert render(orders.Probe(**BASE), PLAN) == Command(f"uuid_exists {LEG}", direct=True)


@pytest.mark.parametrize(
    ("mode", "line"), [("listen", None), ("whisper", f"uuid_recv_dtmf {LEG} 2"), ("barge", f"uuid_recv_dtmf {LEG} 3")]
)
def test_a_supervisor_whispers_to_the_leg_listened_to_and_barges_into_both(mode, line):
    order = orders.Eavesdrop(**BASE, extension="1003", target=PEER, mode=mode)
    assert follow_up(order) == (Command(line) if line else None)
    assert follow_up(CUSTOMER) is None


def changed(order, **fields):
    return msgspec.structs.replace(order, **fields)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (changed(CUSTOMER, number="+447700900123"), "DIAL_ALLOWED_PREFIXES"),
        (changed(CUSTOMER, number="+12125551234 &system(reboot)"), "not a valid order"),
        (changed(CUSTOMER, number="+12125551234\n"), "not a valid order"),
        (changed(CUSTOMER, caller_id_name="x'}user/1"), "not a valid order"),
        (changed(CUSTOMER, caller_id_name="x\r\nbgapi y"), "not a valid order"),
        (changed(CUSTOMER, campaign_id="1,hangup=2"), "not a valid order"),
        (changed(CUSTOMER, agent_id="a}b"), "not a valid order"),
        (changed(CUSTOMER, leg="${uuid}"), "not a valid order"),
        (changed(CUSTOMER, timeout=301), "not a valid order"),
        (changed(CUSTOMER, timeout="30\n"), "not a valid order"),
        (orders.Hangup(**BASE, cause="NORMAL CLEARING"), "not a valid order"),
        (orders.Transfer(**BASE, extension="0012125551234"), "not a valid order"),
        (orders.Transfer(**BASE, extension="2125551234"), "telephone number"),
        (orders.OriginateAgent(**BASE, extension="2125551234", agent_id="a"), "telephone number"),
        (orders.Eavesdrop(**BASE, extension="2125551234", target=PEER), "telephone number"),
        (orders.CallExtension(**BASE, extension="2125551234", role="consulted"), "telephone number"),
        (orders.Eavesdrop(**BASE, extension="1003", target=LEG), "itself"),
        (orders.Bridge(**BASE, peer=LEG), "itself"),
        (orders.Record(**BASE, action="start", name="../../etc/passwd"), "not a valid order"),
    ],
)
def test_what_is_not_allowed_is_refused(order, said):
    with pytest.raises(Refused, match=said):
        render(order, PLAN)


@pytest.mark.parametrize("prefixes", [(), ("",), ("1212",), ("+",)])
def test_without_a_matching_prefix_no_customer_is_dialled(prefixes):
    with pytest.raises(Refused, match="DIAL_ALLOWED_PREFIXES"):
        render(CUSTOMER, DialPlan(PLAN.customer, PLAN.agent, prefixes, PLAN.recordings_dir))


@pytest.mark.parametrize(
    "template",
    [
        "",
        "sofia/gateway/carrier/",
        "{number} &system(x)",
        "user/{number}\nexit",
        "{a=b}x/{number}",
        "x'/{number}",
        "{{number}}",
        "user/{number},user/1001",
        "sofia/gateway/a/{number}|sofia/gateway/b/{number}",
        "user/{number}:_:user/1001",
        "[:_:user/1001,a=b]user/{number}",  # found by the fuzzer: it is looked for before the brackets are
        "user/{number}[a=b]",
    ],
)
def test_a_dial_string_that_could_break_the_line_is_refused(template):
    with pytest.raises(Refused, match="dial string"):
        render(CUSTOMER, DialPlan(template, PLAN.agent, PLAN.allowed_prefixes, PLAN.recordings_dir))


@pytest.mark.parametrize("field", ["campaign_id", "agent_id"])
def test_no_value_makes_several_calls_of_one(field):
    """Found by the fuzzer: the switch looks for `:_:` before it reads anything, and an id may have these signs."""
    with pytest.raises(Refused, match=":_:"):
        render(msgspec.structs.replace(CUSTOMER, **{field: "a:_:b"}), PLAN)


def test_a_command_longer_than_any_of_ours_is_refused():
    endless = f"sofia/gateway/{'a' * MAX_LINE_CHARACTERS}/{{number}}"
    with pytest.raises(Refused, match="one line"):
        render(CUSTOMER, DialPlan(endless, PLAN.agent, PLAN.allowed_prefixes, PLAN.recordings_dir))


def test_a_dial_string_may_have_variables_of_its_own_before_its_one_destination():
    template = "[leg_timeout=20,absolute_codec_string=PCMA]sofia/gateway/carrier/{number}"
    plan = DialPlan(template, PLAN.agent, PLAN.allowed_prefixes, PLAN.recordings_dir)
    assert render(CUSTOMER, plan).line.endswith("PCMA]sofia/gateway/carrier/+12125551234 &park()")


@pytest.mark.parametrize("directory", ["", "relative", "/a b", "/a/../b", "/a;b", "/a\nb"])
def test_a_recordings_folder_that_could_break_the_line_is_refused(directory):
    with pytest.raises(Refused, match="RECORDINGS_DIR"):
        render(orders.Record(**BASE, action="start", name=PEER), DialPlan("", "", (), directory))


def test_no_refusal_holds_the_number():
    for order in (changed(CUSTOMER, number="+447700900123"), changed(CUSTOMER, number="+447700900123x")):
        with pytest.raises(Refused) as caught:
            render(order, PLAN)
        assert "7700900123" not in str(caught.value)


hostile = st.one_of(
    st.text(max_size=50),
    st.sampled_from(
        ["", LEG, "+12125551234", "+1646555000", "1001", "a b", "'", '"', "{", "}", "\n", "\r", "x\n\nexit", "&park()",
         "${x}", "\u2028", "\x00", "1,a=b", "[x]", "|", ";", "`id`", "NORMAL_CLEARING", "start", "listen"]
    ),
    st.tuples(st.sampled_from(["+1212555", "", LEG, "a"]), st.text(max_size=8)).map("".join),
)  # fmt: skip
anything = st.one_of(hostile, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=True))
KINDS = [
    orders.OriginateCustomer, orders.OriginateAgent, orders.Eavesdrop, orders.Bridge, orders.Hold, orders.Park,
    orders.Transfer, orders.Hangup, orders.Record, orders.Probe, orders.ListenMode, orders.CallExtension, orders.Mute,
]  # fmt: skip
# The whole language that may ever reach the switch, written a second time, independently of the renderer.
U = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VALUE = r"(?:[A-Za-z0-9_.:+-]+|'[A-Za-z0-9 ._-]+')"
ALLOWED = re.compile(
    rf"originate \{{[A-Za-z_]+={VALUE}(?:,[A-Za-z_]+={VALUE})*\}}"
    rf"(?:sofia/gateway/carrier/\+(?:1212555|1646)[0-9]+ &park\(\)|user/[0-9]{{2,6}} &(?:park\(\)|eavesdrop\({U}\)))"
    rf"|uuid_bridge {U} {U}|uuid_hold (?:off )?{U}|uuid_park {U}|uuid_transfer {U} [0-9]{{2,6}} XML default"
    rf"|uuid_kill {U} [A-Z0-9_]+|uuid_record {U} (?:start|stop|mask|unmask) /var/lib/rec/{U}\.wav|uuid_exists {U}"
    rf"|uuid_recv_dtmf {U} [023]|uuid_audio {U} (?:start read mute -1|stop)"
)


@settings(max_examples=600)
@given(st.sampled_from(KINDS), st.data())
def test_whatever_is_in_an_order_it_is_exactly_one_known_command_or_refused(kind, draw):
    fields = {}
    valid = {
        "order_id": ORDER, "expires_at": 1.0, "leg": LEG, "peer": PEER, "target": PEER, "number": "+12125551234",
        "call_id": CALL, "caller_id_number": "+12125550100", "extension": "1001", "agent_id": "a", "action": "start",
        "name": PEER, "cause": "NORMAL_CLEARING", "timeout": 20, "on": True, "mode": "listen", "supervisor": "s",
        "campaign_id": "1", "caller_id_name": "A B", "role": "consulted", "who": "s", "unless_joined": True,
    }  # fmt: skip
    for name in kind.__struct_fields__:
        fields[name] = draw.draw(st.one_of(st.just(valid[name]), st.just(valid[name]), anything))
    try:
        command = render(kind(**fields), PLAN)
    except Refused:
        return
    assert ALLOWED.fullmatch(command.line), command.line
    assert len(command.line) <= MAX_LINE_CHARACTERS


@pytest.mark.parametrize(
    "stream",
    [
        "local_stream://moh", "tone_stream://%(1000,0,600)", "tone_stream://%(200,100,440,480);loops=-1",
        "/var/lib/freeswitch/music/waiting-1.wav", "/m/a.mp3",
    ],
)  # fmt: skip
def test_who_waits_apart_is_played_what_the_settings_name(stream):
    assert music(LEG, replace(PLAN, hold_music=stream)) == Command(f"uuid_broadcast {LEG} {stream} aleg", direct=True)
    assert music(LEG, PLAN) is None


@pytest.mark.parametrize(
    "stream",
    [
        "hangup::NORMAL_CLEARING", "local_stream://moh both", "m.wav", "local_stream://moh\n\nexit", "/m/../etc/x.wav",
        "shout://example.org/live.mp3", "/m/a.wav!b", "system::rm", "local_stream://", "/m/a.sh", "http://x/a.wav",
        "tone_stream://%(1,2,3)'", "${system(x)}",
    ],
)  # fmt: skip
def test_music_that_is_more_than_a_stream_or_a_file_is_refused(stream):
    with pytest.raises(Refused, match="HOLD_MUSIC"):
        music(LEG, replace(PLAN, hold_music=stream))
