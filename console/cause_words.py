"""Hangup causes, outcomes and who ended a leg, in words for people. Pure. Causes: FreeSWITCH's names (Q.850 and its
own); dispositions: mod_sofia's `sip_hangup_disposition`, of the leg it stands on."""

from __future__ import annotations

# The causes that floors see; any other is shown by its name.
CAUSES = {
    "NORMAL_CLEARING": "hung up in the normal way",
    "NORMAL_UNSPECIFIED": "hung up, without a reason",
    "NONE": "ended, the switch gave no cause",
    "USER_BUSY": "the line was busy",
    "NO_ANSWER": "nobody answered",
    "NO_USER_RESPONSE": "the telephone did not respond",
    "ALLOTTED_TIMEOUT": "nobody answered within the ring time",
    "PROGRESS_TIMEOUT": "the carrier did not begin to ring in time",
    "MEDIA_TIMEOUT": "no sound came any more",
    "SUBSCRIBER_ABSENT": "the subscriber cannot be reached",
    "CALL_REJECTED": "the called party, or a machine in their name, refused the call",
    "UNALLOCATED_NUMBER": "the number does not exist",
    "INVALID_NUMBER_FORMAT": "the carrier says that this is no number",
    "NUMBER_CHANGED": "the number has changed",
    "NO_ROUTE_DESTINATION": "there is no route to this number",
    "NO_ROUTE_TRANSIT_NET": "there is no route to this network",
    "ORIGINATOR_CANCEL": "cancelled while it rang",
    "LOSE_RACE": "another leg was answered first",
    "PICKED_OFF": "somebody else picked it up",
    "DESTINATION_OUT_OF_ORDER": "the switch or the trunk could not place it",
    "INVALID_GATEWAY": "there is no such gateway",
    "GATEWAY_DOWN": "the gateway is down",
    "SWITCH_CONGESTION": "the switch or the network had no free line",
    "NORMAL_CIRCUIT_CONGESTION": "the network had no free line",
    "NORMAL_TEMPORARY_FAILURE": "the network failed for the moment",
    "RECOVERY_ON_TIMER_EXPIRE": "no answer came to a signal in time",
    "NETWORK_OUT_OF_ORDER": "the network is out of order",
    "BEARERCAPABILITY_NOTAVAIL": "the kind of call is not available",
    "INCOMPATIBLE_DESTINATION": "the two sides have no codec in common",
    "CHAN_NOT_IMPLEMENTED": "the switch does not know this kind of line",
    "MANDATORY_IE_MISSING": "the order was incomplete",
    "EXCHANGE_ROUTING_ERROR": "the exchange could not route it",
    "ATTENDED_TRANSFER": "handed over by an attended transfer",
    "BLIND_TRANSFER": "transferred",
    "MANAGER_REQUEST": "ended by an order to the switch",
    "SYSTEM_SHUTDOWN": "the switch was shut down",
    "LOST": "the switch no longer had it when asked",
    "EXPIRED": "the order came too late and was not carried out",
    "REFUSED": "the switch refused the order",
    "NEVER_SENT": "the order never left",
}
OUTCOMES = {
    "conversation": "Conversation",
    "busy": "Busy",
    "no_answer": "No answer",
    "failed": "Failed",
    "rejected": "Refused",
    "cancelled": "Cancelled",
    "machine": "Answering machine",
    "abandoned": "Abandoned",
    "hung_up": "Hung up before an agent came",
    "invalid": "No such number",
    "not_dialled": "Not dialled",
}
# Whose end it was of a leg with this disposition: theirs, at the far end, or ours.
_FAR_END = frozenset({"recv_bye", "recv_cancel", "recv_refuse"})
_OUR_END = frozenset({"send_bye", "send_cancel", "send_refuse"})


def cause(name: str) -> str:
    """`USER_BUSY` -> "the line was busy"; a name that is not known here in plain letters."""
    return CAUSES.get(name, name.replace("_", " ").lower()) if name else ""


def outcome(name: str) -> str:
    return OUTCOMES.get(name, name.replace("_", " ").capitalize())


def far_end(disposition: str) -> bool | None:
    """Whether the far end of the leg ended it; None where the disposition does not say."""
    word = disposition.strip().lower()
    return True if word in _FAR_END else False if word in _OUR_END else None
