"""The variables a SIP leg collects, in the order mod_sofia sets them."""

from __future__ import annotations

import string

from esl_bridge.simulator.legs import SERVER, Leg
from esl_bridge.simulator.protocol import Value
from esl_bridge.simulator.tables import RECV_BYE, q850

_AGENT = "FreeSWITCH-mod_sofia/1.10.12-release~64bit"
_ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY"
_TOKEN = string.ascii_letters + string.digits
CARRIER_PORT = 5080
DEAD_PORT = 5999
PHONE_PORT = 5090


def invited(leg: Leg, given: dict[str, Value], gateway: str, user: str) -> None:
    """Variables at CHANNEL_CREATE. `given` are those of the originate command."""
    early = str(given.get("ignore_early_media", "")).lower() not in ("true", "yes", "1")
    port = DEAD_PORT if gateway == "deadcarrier" else CARRIER_PORT
    to = f"{leg.number}@{SERVER}:{port}" if gateway else f"{user}@{SERVER}:{PHONE_PORT}"
    parameters = "" if gateway else f";transport=udp;gw={user}"
    leg.put(
        direction="outbound",
        is_outbound="true",
        uuid=leg.uuid,
        call_uuid=leg.uuid,
        session_id=str(leg.session_id),
        sip_gateway_name=gateway,
        sip_local_network_addr=SERVER,
        sip_profile_name="gateway" if gateway else "internal",
        video_media_flow="disabled",
        text_media_flow="disabled",
        channel_name=leg.name,
        sip_destination_url=f"sip:{to}{parameters}",
    )
    leg.put(**given)
    leg.given = tuple(given)
    if not gateway:
        leg.put(
            dialed_user=user,
            dialed_domain=leg.presence_id.partition("@")[2],
            sip_invite_domain=leg.presence_id.partition("@")[2],
            presence_id=leg.presence_id,
        )
    media_port = leg.rng.randrange(16384, 32768, 2)
    leg.put(
        originate_early_media="true" if early else "false",
        originate_endpoint="sofia",
        rtp_use_codec_string="PCMU,PCMA",
        local_media_ip=SERVER,
        local_media_port=str(media_port),
        advertised_media_ip=SERVER,
        audio_media_flow="sendrecv",
        rtp_local_sdp_str=_sdp(leg, media_port, "0 8 101 13"),
        sip_outgoing_contact_uri=f"<sip:trunk@{SERVER}:5062;transport=udp;gw={gateway}>"
        if gateway
        else f"<sip:mod_sofia@{SERVER}:5060>",
        sip_req_uri=to + parameters,
        sip_to_host=to.partition("@")[2],
        sip_from_host=SERVER,
        sofia_profile_name="external" if gateway else "internal",
        recovery_profile_name="external" if gateway else "internal",
        sofia_profile_url=f"sip:mod_sofia@{SERVER}:{5062 if gateway else 5060}",
    )


def ringing(leg: Leg) -> None:
    """Variables after the first provisional answer."""
    user = leg.profile.destination
    port = PHONE_PORT if leg.is_agent else CARRIER_PORT
    caller, name = leg.profile.orig_number, leg.profile.orig_name
    to_tag, from_tag = token(leg), token(leg)
    display = f'"{name}" ' if name else ""
    parameters = f";transport=udp;gw={user}" if leg.is_agent else ""
    via = f"SIP/2.0/UDP {SERVER}:5062;rport=5062;branch=z9hG4bK{token(leg)}"
    leg.put(
        sip_local_network_addr=SERVER,
        sip_reply_host=SERVER,
        sip_reply_port=str(port),
        sip_network_ip=SERVER,
        sip_network_port=str(port),
        sip_user_agent=_AGENT,
        sip_allow=_ALLOW,
        sip_recover_contact=f"<sip:{user}@{SERVER}:{port};transport=udp>",
        sip_full_via=via,
        sip_recover_via=via,
        sip_from_display=name,
        sip_full_from=f"{display}<sip:{caller}@{SERVER}>;tag={from_tag}",
        sip_full_to=f"<sip:{user}@{SERVER}:{port}{parameters}>;tag={to_tag}",
        sip_from_user=caller,
        sip_from_uri=f"{caller}@{SERVER}",
        sip_from_host=SERVER,
        sip_to_params=parameters.removeprefix(";"),
        sip_to_user=user,
        sip_to_port=str(port),
        sip_to_uri=f"{user}@{SERVER}:{port}",
        sip_to_host=SERVER,
        sip_contact_params="transport=udp",
        sip_contact_user=user,
        sip_contact_port=str(port),
        sip_contact_uri=f"{user}@{SERVER}:{port}",
        sip_contact_host=SERVER,
        sip_to_tag=to_tag,
        sip_from_tag=from_tag,
        sip_cseq=str(leg.rng.randrange(10**8, 2 * 10**8)),
        sip_call_id=call_id(leg),
    )


def media(leg: Leg) -> None:
    """Variables once there is a remote SDP: at 183 or 200."""
    remote = leg.rng.randrange(40000, 60000, 2)
    leg.put(
        switch_r_sdp=_sdp(leg, remote, "0 101 13"),
        ep_codec_string="CORE_PCM_MODULE.PCMU@8000h@20i@64000b",
        rtp_use_codec_string="PCMU,PCMA",
        remote_video_media_flow="inactive",
        remote_text_media_flow="inactive",
        remote_audio_media_flow="sendrecv",
        rtp_audio_recv_pt="0",
        rtp_use_codec_name="PCMU",
        rtp_use_codec_rate="8000",
        rtp_use_codec_ptime="20",
        rtp_use_codec_channels="1",
        rtp_last_audio_codec_string="PCMU@8000h@20i@1c",
        read_codec="PCMU",
        original_read_codec="PCMU",
        read_rate="8000",
        original_read_rate="8000",
        write_codec="PCMU",
        write_rate="8000",
        dtmf_type="rfc2833",
        local_media_ip=SERVER,
        local_media_port=leg.var("local_media_port"),
        advertised_media_ip=SERVER,
        rtp_use_timer_name="soft",
        rtp_use_pt="0",
        rtp_use_ssrc=str(leg.rng.randrange(2**32)),
        rtp_2833_send_payload="101",
        rtp_2833_recv_payload="101",
        remote_media_ip=SERVER,
        remote_media_port=str(remote),
    )


def originated(leg: Leg) -> None:
    """Variables when the originate has succeeded, before the caller id is flipped."""
    leg.set("endpoint_disposition", "ANSWER" if leg.answered else "EARLY MEDIA")
    if leg.is_agent:
        user = leg.profile.destination
        leg.put(
            record_stereo="true",
            user_context="default",
            effective_caller_id_name=f"Agent {user}",
            effective_caller_id_number=user,
            accountcode=user,
        )
        leg.touch("max_forwards", "originator_codec", "originator")
        leg.touch(*leg.given, "originate_early_media", "originating_leg_uuid")
        leg.set("originate_endpoint", "user")
        if "originator" in leg.variables:
            leg.touch("call_uuid")


_REINVITE = (
    "sip_local_network_addr sip_reply_host sip_reply_port sip_network_ip sip_network_port sip_user_agent sip_allow "
    "sip_recover_contact sip_full_via sip_recover_via sip_from_display sip_full_from sip_full_to sip_from_user "
    "sip_from_uri sip_from_host sip_to_params sip_to_user sip_to_port sip_to_uri sip_to_host sip_contact_params "
    "sip_contact_user sip_contact_port sip_contact_uri sip_contact_host sip_to_tag sip_from_tag sip_cseq sip_call_id "
    "switch_r_sdp ep_codec_string rtp_use_codec_string remote_video_media_flow remote_text_media_flow "
    "remote_audio_media_flow remote_media_ip remote_media_port rtp_audio_recv_pt dtmf_type rtp_2833_send_payload "
    "rtp_2833_recv_payload"
).split()


def reinvited(leg: Leg, direction: str) -> None:
    """The held (or no longer held) leg answered our re-INVITE: nearly all of its variables are set again."""
    leg.replace("remote_audio_media_flow", direction)
    leg.touch(*_REINVITE)


def told_of_hold(leg: Leg, other: Leg, direction: str) -> None:
    """What the other side of a held leg gets to know."""
    leg.put(
        switch_m_sdp=other.variables.get("switch_r_sdp", ""),
        video_media_flow="inactive",
        text_media_flow="inactive",
        audio_media_flow=direction,
    )


def refused(leg: Leg, status: int, phrase: str, cause: str, *, dead: bool) -> None:
    """Variables at CHANNEL_HANGUP when the far end refused the INVITE."""
    port = PHONE_PORT if leg.is_agent else CARRIER_PORT
    leg.set("sip_call_id", leg.var("sip_call_id") or call_id(leg))
    leg.put(
        sip_local_network_addr=SERVER,
        sip_reply_host="" if dead else SERVER,
        sip_reply_port="0" if dead else str(port),
        sip_network_ip="" if dead else SERVER,
        sip_network_port="0" if dead else str(port),
        sip_hangup_disposition="recv_refuse",
        sip_invite_failure_status=str(status),
        sip_invite_failure_phrase=phrase,
        sip_term_status=str(status),
        proto_specific_hangup_cause=f"sip:{status}",
        sip_term_cause=str(q850(cause)),
    )


def byed(leg: Leg, *, cause: str = "NORMAL_CLEARING") -> None:
    """Variables at CHANNEL_HANGUP when the far end sent BYE."""
    leg.put(
        sip_reason=f'Q.850;cause=16;text="{cause}"',
        sip_term_status="200",
        proto_specific_hangup_cause="sip:200",
        sip_term_cause="16",
    )


def said_bye(leg: Leg) -> None:
    """Variables a tick later, when the BYE has been read through."""
    if "sip_hangup_disposition" not in leg.variables:
        leg.touch("sip_user_agent")
        leg.set("sip_hangup_disposition", RECV_BYE)


def call_id(leg: Leg) -> str:
    """A SIP Call-ID as sofia makes them."""
    r = leg.rng
    return f"{r.randrange(16**8):08x}-{r.randrange(16**4):04x}-1240-{r.randrange(16**4):04x}-{r.randrange(16**12):012x}"


def token(leg: Leg) -> str:
    """A SIP tag or branch."""
    return "".join(leg.rng.choices(_TOKEN, k=13))


def _sdp(leg: Leg, port: int, formats: str) -> str:
    origin = leg.times.created // 1_000_000 - port
    lines = [
        "v=0",
        f"o=FreeSWITCH {origin} {origin + 1} IN IP4 {SERVER}",
        "s=FreeSWITCH",
        f"c=IN IP4 {SERVER}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {formats}",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=rtpmap:13 CN/8000",
        "a=ptime:20",
    ]
    return "\r\n".join(lines) + "\r\n"


RTP_STATISTICS: dict[str, Value] = {
    "rtp_audio_in_raw_bytes": "0",
    "rtp_audio_in_media_bytes": "0",
    "rtp_audio_in_packet_count": "0",
    "rtp_audio_in_media_packet_count": "0",
    "rtp_audio_in_skip_packet_count": "0",
    "rtp_audio_in_jitter_packet_count": "0",
    "rtp_audio_in_dtmf_packet_count": "0",
    "rtp_audio_in_cng_packet_count": "0",
    "rtp_audio_in_flush_packet_count": "0",
    "rtp_audio_in_largest_jb_size": "0",
    "rtp_audio_in_jitter_min_variance": "0.00",
    "rtp_audio_in_jitter_max_variance": "0.00",
    "rtp_audio_in_jitter_loss_rate": "0.00",
    "rtp_audio_in_jitter_burst_rate": "0.00",
    "rtp_audio_in_mean_interval": "0.00",
    "rtp_audio_in_flaw_total": "0",
    "rtp_audio_in_quality_percentage": "100.00",
    "rtp_audio_in_mos": "4.50",
    "rtp_audio_out_raw_bytes": "0",
    "rtp_audio_out_media_bytes": "0",
    "rtp_audio_out_packet_count": "0",
    "rtp_audio_out_media_packet_count": "0",
    "rtp_audio_out_skip_packet_count": "0",
    "rtp_audio_out_dtmf_packet_count": "0",
    "rtp_audio_out_cng_packet_count": "0",
    "rtp_audio_rtcp_packet_count": "0",
    "rtp_audio_rtcp_octet_count": "0",
}
