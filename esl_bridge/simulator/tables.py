"""Constants of FreeSWITCH 1.10.12: where events are fired, what the cause numbers are."""

from __future__ import annotations

_CHANNEL = "switch_channel.c"
_ASYNC = "switch_ivr_async.c"
_PLAY = "switch_ivr_play_say.c"
_BUG = "switch_core_media_bug.c"
_MACHINE = "switch_core_state_machine.c"
_SCHEDULER = "switch_scheduler.c"

FIRED_AT: dict[str, tuple[str, str, int]] = {
    "ADD_SCHEDULE": (_SCHEDULER, "switch_scheduler_add_task_ex", 266),
    "API": ("switch_loadable_module.c", "switch_api_execute", 2954),
    "BACKGROUND_JOB": ("mod_event_socket.c", "api_exec", 1572),
    "CALL_UPDATE": ("mod_sofia.c", "sofia_receive_message", 2100),
    "CALL_UPDATE flip": (_CHANNEL, "switch_channel_flip_cid", 3277),
    "CHANNEL_ANSWER": (_CHANNEL, "switch_channel_perform_mark_answered", 3846),
    "CHANNEL_BRIDGE": ("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", 1689),
    "CHANNEL_CALLSTATE": (_CHANNEL, "switch_channel_perform_set_callstate", 301),
    "CHANNEL_CREATE": (_MACHINE, "switch_core_session_run", 626),
    "CHANNEL_DATA": ("mod_commands.c", "uuid_dump_function", 6468),
    "CHANNEL_DESTROY": ("switch_core_session.c", "switch_core_session_perform_destroy", 1584),
    "CHANNEL_EXECUTE": ("switch_core_session.c", "switch_core_session_exec", 2944),
    "CHANNEL_EXECUTE bridge a": ("switch_ivr_bridge.c", "uuid_bridge_on_soft_execute", 1236),
    "CHANNEL_EXECUTE bridge b": ("switch_ivr_bridge.c", "uuid_bridge_on_soft_execute", 1243),
    "CHANNEL_EXECUTE_COMPLETE": ("switch_core_session.c", "switch_core_session_exec", 2967),
    "CHANNEL_HANGUP": (_CHANNEL, "switch_channel_perform_hangup", 3445),
    "CHANNEL_HANGUP_COMPLETE": (_MACHINE, "switch_core_session_reporting_state", 943),
    "CHANNEL_HOLD": ("switch_ivr.c", "switch_ivr_hold", 1558),
    "CHANNEL_ORIGINATE": (_MACHINE, "switch_core_session_run", 632),
    "CHANNEL_OUTGOING": ("switch_core_session.c", "switch_core_session_outgoing_channel", 768),
    "CHANNEL_PARK": ("switch_ivr.c", "switch_ivr_park", 1002),
    "CHANNEL_PROGRESS": (_CHANNEL, "switch_channel_perform_mark_ring_ready_value", 3505),
    "CHANNEL_PROGRESS_MEDIA": (_CHANNEL, "switch_channel_perform_mark_pre_answered", 3599),
    "CHANNEL_STATE": (_CHANNEL, "switch_channel_perform_set_running_state", 2408),
    "CHANNEL_UNBRIDGE": ("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", 1879),
    "CHANNEL_UNHOLD": ("switch_ivr.c", "switch_ivr_unhold", 1638),
    "CHANNEL_UNPARK": ("switch_ivr.c", "switch_ivr_park", 1213),
    "CODEC read": ("switch_core_codec.c", "switch_core_session_set_real_read_codec", 168),
    "CODEC eavesdrop": ("switch_core_codec.c", "switch_core_session_set_read_codec", 279),
    "CODEC write": ("switch_core_codec.c", "switch_core_session_set_write_codec", 450),
    "COMMAND": (_ASYNC, "switch_ivr_broadcast", 5731),
    "COMMAND b": (_ASYNC, "switch_ivr_broadcast", 5699),
    "CUSTOM": ("mod_event_socket.c", "parse_command", 2275),
    "sofia::expire": ("sofia_reg.c", "sofia_reg_del_callback", 762),
    "sofia::register": ("sofia_reg.c", "sofia_reg_handle_register_token", 2059),
    "sofia::unregister": ("sofia_reg.c", "sofia_reg_handle_register_token", 2218),
    "DEL_SCHEDULE": (_SCHEDULER, "task_thread_loop", 151),
    "DTMF": (_CHANNEL, "switch_channel_dequeue_dtmf", 677),
    "HEARTBEAT": ("switch_core.c", "send_heartbeat", 95),
    "MEDIA_BUG_START": (_BUG, "switch_core_media_bug_add", 1014),
    "MEDIA_BUG_STOP": (_BUG, "switch_core_media_bug_destroy", 84),
    "MODULE_UNLOAD": ("switch_loadable_module.c", "switch_loadable_module_unprocess", 1240),
    "PLAYBACK_START": (_PLAY, "switch_ivr_play_file", 1646),
    "PLAYBACK_STOP": (_PLAY, "switch_ivr_play_file", 2020),
    "PRESENCE_IN": (_CHANNEL, "switch_channel_perform_presence", 805),
    "PRIVATE_COMMAND": ("switch_ivr.c", "switch_ivr_parse_next_event", 804),
    "RECORD_START": (_ASYNC, "record_callback", 1481),
    "RECORD_STOP": (_ASYNC, "send_record_stop_event", 1240),
    "RELOADXML": ("switch_xml.c", "switch_xml_open_root", 2385),
    "RE_SCHEDULE": (_SCHEDULER, "switch_scheduler_execute", 73),
    "SESSION_HEARTBEAT": ("switch_core_io.c", "switch_core_session_read_frame", 157),
    "SHUTDOWN": ("switch_core.c", "switch_core_destroy", 3023),
    "SHUTDOWN_REQUESTED": ("switch_core.c", "switch_core_session_ctl", 2711),
}

VERBOSE = frozenset(
    {
        "CALL_UPDATE",
        "CHANNEL_ANSWER",
        "CHANNEL_BRIDGE",
        "CHANNEL_CREATE",
        "CHANNEL_DATA",
        "CHANNEL_DESTROY",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_HOLD",
        "CHANNEL_ORIGINATE",
        "CHANNEL_PARK",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_UNHOLD",
        "CHANNEL_UNPARK",
        "MEDIA_BUG_START",
        "MEDIA_BUG_STOP",
        "PLAYBACK_START",
        "PLAYBACK_STOP",
        "RECORD_START",
        "RECORD_STOP",
        "SESSION_HEARTBEAT",
    }
)
"""Events that carry the channel's variables."""

EVENT_NAMES = frozenset(
    """
    CUSTOM CLONE CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER
    CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD
    CHANNEL_UNHOLD CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA
    CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE CHANNEL_UUID
    API LOG INBOUND_CHAN OUTBOUND_CHAN STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK SESSION_CRASH
    MODULE_LOAD MODULE_UNLOAD DTMF MESSAGE PRESENCE_IN NOTIFY_IN PRESENCE_OUT PRESENCE_PROBE
    MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC BACKGROUND_JOB DETECTED_SPEECH DETECTED_TONE
    PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE EXE_SCHEDULE RE_SCHEDULE RELOADXML
    NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE REQUEST_PARAMS
    CHANNEL_DATA GENERAL COMMAND SESSION_HEARTBEAT CLIENT_DISCONNECTED SERVER_DISCONNECTED
    SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE NAT RECORD_START
    RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA MEDIA_BUG_START
    MEDIA_BUG_STOP CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ CALL_SETUP_RESULT
    CALL_DETAIL DEVICE_STATE TEXT SHUTDOWN_REQUESTED ALL
    """.split()
)
"""What `event` and `nixevent` accept (switch_event.c)."""

_Q850: dict[str, int] = {
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_DESTINATION": 3,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22,
    "DESTINATION_OUT_OF_ORDER": 27,
    "INVALID_NUMBER_FORMAT": 28,
    "NORMAL_UNSPECIFIED": 31,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "SWITCH_CONGESTION": 42,
    "OUTGOING_CALL_BARRED": 52,
    "CHAN_NOT_IMPLEMENTED": 66,
    "INCOMPATIBLE_DESTINATION": 88,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
    "INTERWORKING": 127,
}
_OWN_CAUSES = frozenset(
    """
    ORIGINATOR_CANCEL LOSE_RACE MANAGER_REQUEST BLIND_TRANSFER ATTENDED_TRANSFER ALLOTTED_TIMEOUT
    USER_CHALLENGE MEDIA_TIMEOUT PICKED_OFF USER_NOT_REGISTERED PROGRESS_TIMEOUT INVALID_GATEWAY
    GATEWAY_DOWN INVALID_URL INVALID_PROFILE NO_PICKUP SYSTEM_SHUTDOWN CRASH
    """.split()
)


def known_cause(cause: str) -> bool:
    """Whether FreeSWITCH has a hangup cause of that name."""
    return cause in _Q850 or cause in _OWN_CAUSES


def q850(cause: str) -> int:
    """The Q.850 number FreeSWITCH reports; its own causes beyond 127 come out as 16."""
    return _Q850.get(cause, 16)


RECV_BYE = "recv_bye"
SEND_BYE = "send_bye"
SEND_CANCEL = "send_cancel"
RECV_REFUSE = "recv_refuse"
# Values of variable_sip_hangup_disposition: who ended the leg, and how.

CALLSTATE_NUMBER = {
    "DOWN": 0,
    "DIALING": 1,
    "RINGING": 2,
    "EARLY": 3,
    "ACTIVE": 4,
    "HELD": 5,
    "RING_WAIT": 6,
    "HANGUP": 7,
    "UNHELD": 8,
}

MODULES = (
    "mod_sofia mod_dptools mod_commands mod_dialplan_xml mod_conference mod_loopback mod_callcenter "
    "mod_hash mod_db mod_tone_stream mod_local_stream mod_sndfile mod_native_file mod_event_socket"
).split()
