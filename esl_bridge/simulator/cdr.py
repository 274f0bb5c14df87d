"""The variables of CHANNEL_HANGUP_COMPLETE: cause, stamps, durations, RTP statistics."""

from __future__ import annotations

import time

from esl_bridge.simulator import sip
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.tables import RECV_BYE, SEND_BYE, SEND_CANCEL, q850


def report(leg: Leg) -> None:
    """Set everything that is only known at the end of a leg, in the order of switch_core_state_machine."""
    t = leg.times
    if leg.disposition == RECV_BYE:
        sip.said_bye(leg)
    leg.put(
        hangup_cause=leg.hangup_cause,
        hangup_cause_q850=str(q850(leg.hangup_cause)),
        digits_dialed="none",
    )
    profile_start = leg.profile.created
    stamps = (
        ("start_stamp", t.created),
        ("profile_start_stamp", profile_start),
        ("answer_stamp", t.answered),
        ("bridge_stamp", t.bridged),
        ("hold_stamp", t.last_hold),
        ("progress_stamp", t.progress),
        ("progress_media_stamp", t.progress_media),
    )
    for name, moment in stamps:
        if moment:
            leg.set(name, _stamp(moment))
    if leg.hold_events:
        leg.set("hold_events", "{" + ",".join(f"{{{a},{b}}}" for a, b in leg.hold_events) + "}")
    leg.set("end_stamp", _stamp(t.hangup))
    for name, moment in (
        ("start", t.created),
        ("profile_start", profile_start),
        ("answer", t.answered),
        ("bridge", t.bridged),
        ("last_hold", t.last_hold),
    ):
        leg.set(f"{name}_epoch", str(moment // 1_000_000))
        leg.set(f"{name}_uepoch", str(moment))
    leg.put(
        hold_accum_seconds=str(t.hold_accum // 1_000_000),
        hold_accum_usec=str(t.hold_accum),
        hold_accum_ms=str(t.hold_accum // 1000),
    )
    for name, moment in (
        ("resurrect", 0),
        ("progress", t.progress),
        ("progress_media", t.progress_media),
        ("end", t.hangup),
    ):
        leg.set(f"{name}_epoch", str(moment // 1_000_000))
        leg.set(f"{name}_uepoch", str(moment))
    leg.put(last_app=leg.last_app, last_arg=leg.last_arg, caller_id=leg.caller_id())
    spans = (
        ("duration", "{}duration", t.created, t.hangup),
        ("bill", "bill{}sec", t.answered, t.hangup),
        ("progress", "progress{}sec", t.created if t.progress else 0, t.progress),
        ("answer", "answer{}sec", t.created if t.answered else 0, t.answered),
        ("wait", "wait{}sec", t.created if t.bridged else 0, t.bridged),
        (
            "progress_media",
            "progress_media{}sec",
            t.created if t.progress_media else 0,
            t.progress_media,
        ),
        ("flow_bill", "flow_bill{}sec", t.created if t.answered else 0, t.hangup),
    )
    for prefix, unit in (("", 1_000_000), ("m", 1000), ("u", 1)):
        for _, pattern, begin_us, end_us in spans:
            span = end_us // unit - begin_us // unit if begin_us else 0
            leg.set(pattern.format(prefix), str(span))
    if leg.disposition in (SEND_BYE, SEND_CANCEL):
        leg.set("sip_hangup_disposition", leg.disposition)
    if leg.disposition == SEND_CANCEL:
        leg.put(sip_invite_failure_status="487", sip_invite_failure_phrase="CANCEL")
    if leg.has_codec:
        leg.put(**sip.RTP_STATISTICS)


def _stamp(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment // 1_000_000))
