"""`show ...`, `status` and the other answers that are text about the switch."""

from __future__ import annotations

import time
from typing import Any

from esl_bridge.simulator.core import VERSION, Switch, uptime_text
from esl_bridge.simulator.legs import SERVER, Leg
from esl_bridge.simulator.protocol import dump_json

Row = dict[str, Any]


def show(switch: Switch, argument: str) -> str:
    """`show channels|calls|bridged_calls|detailed_calls|registrations [like X] [count] [as json]`."""
    words = argument.split()
    if not words:
        return "-USAGE: codec|endpoint|application|api|dialplan|...\n"
    what = words[0].lower()
    as_json = argument.lower().endswith("as json")
    if what in ("channels", "calls", "bridged_calls", "detailed_calls", "detailed_bridged_calls"):
        rows = _call_rows(switch, what)
    elif what == "registrations":
        rows = [_registration(switch, user) for user in switch.registrations.known]
    elif what in ("modules", "tasks", "codec", "aliases", "complete", "nat_map", "interfaces"):
        rows = []
    else:
        return f"-ERR Invalid command {what}\n" if not as_json else '{"row_count": 0}\n'
    if "like" in words and words.index("like") + 1 < len(words):
        needle = words[words.index("like") + 1]
        rows = [row for row in rows if any(needle in str(value) for value in row.values())]
    if "count" in words:
        return f'{{"row_count":{len(rows)},"rows":[]}}' if as_json else f"\n{len(rows)} total.\n"
    if as_json:
        # The empty answer is another one than json of nothing: there is no `rows`.
        if not rows:
            return '{"row_count": 0}\n'
        raw = dump_json({"row_count": len(rows), "rows": rows})  # type: ignore[dict-item]
        return raw.decode("utf-8", "surrogateescape")
    lines = [",".join(rows[0])] if rows else []
    lines += [",".join(row.values()) for row in rows]
    table = "\n".join(lines) + "\n" if lines else ""
    return f"{table}\n{len(rows)} total.\n"


def _call_rows(switch: Switch, what: str) -> list[Row]:
    legs = [leg for leg in switch.table.values() if not leg.gone]
    if what == "channels":
        return [_channel(switch, leg) for leg in legs]
    rows = []
    for leg in legs:
        if leg.peer is not None and leg.bridge_role == "b":
            continue
        if "bridged" in what and leg.peer is None:
            continue
        rows.append(_call(switch, leg))
    return rows


def _basic(leg: Leg) -> Row:
    p = leg.profile
    created = leg.times.created // 1_000_000
    return {
        "uuid": leg.uuid,
        "direction": "outbound",
        "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created)),
        "created_epoch": str(created),
        "name": leg.name,
        "state": leg.state,
        "cid_name": p.cid_name,
        "cid_num": p.cid_number,
        "ip_addr": "",
        "dest": p.destination,
    }


def _callee(leg: Leg) -> Row:
    p = leg.profile
    return {
        "presence_id": leg.presence_id,
        "presence_data": "",
        "accountcode": leg.var("accountcode"),
        "callstate": leg.callstate,
        "callee_name": p.callee_name,
        "callee_num": p.callee_number,
        "callee_direction": "SEND" if leg.peer is not None else "RECV" if leg.answered else "",
        "call_uuid": leg.call_uuid,
    }


def _channel(switch: Switch, leg: Leg) -> Row:
    p = leg.profile
    codec = ("PCMU", "8000", "64000") if leg.has_codec else ("", "", "")
    application = leg.application
    return {
        **_basic(leg),
        "application": application.name if application else "",
        "application_data": application.data if application else "",
        "dialplan": "",
        "context": p.context,
        "read_codec": codec[0],
        "read_rate": codec[1],
        "read_bit_rate": codec[2],
        "write_codec": codec[0],
        "write_rate": codec[1],
        "write_bit_rate": codec[2],
        "secure": "",
        "hostname": switch.config.switchname,
        **_callee(leg),
        "sent_callee_name": leg.var("last_sent_callee_id_name"),
        "sent_callee_num": leg.var("last_sent_callee_id_number"),
        "initial_cid_name": p.orig_name,
        "initial_cid_num": p.orig_number,
        "initial_ip_addr": "",
        "initial_dest": leg.number,
        "initial_dialplan": "",
        "initial_context": p.context,
    }


_B_COLUMNS = (
    "uuid",
    "direction",
    "created",
    "created_epoch",
    "name",
    "state",
    "cid_name",
    "cid_num",
    "ip_addr",
    "dest",
    "presence_id",
    "presence_data",
    "accountcode",
    "callstate",
    "callee_name",
    "callee_num",
    "callee_direction",
)


def _call(switch: Switch, leg: Leg) -> Row:
    row = {
        **_basic(leg),
        **_callee(leg),
        "hostname": switch.config.switchname,
        "sent_callee_name": leg.var("last_sent_callee_id_name"),
        "sent_callee_num": leg.var("last_sent_callee_id_number"),
    }
    other = leg.peer
    b = {**_basic(other), **_callee(other)} if other is not None else {}
    row.update({f"b_{column}": b.get(column, "") for column in _B_COLUMNS})
    row["b_sent_callee_name"] = other.var("last_sent_callee_id_name") if other else ""
    row["b_sent_callee_num"] = other.var("last_sent_callee_id_number") if other else ""
    row["call_created_epoch"] = str(leg.times.bridged // 1_000_000) if other else ""
    return row


def _registration(switch: Switch, user: str) -> Row:
    return {
        "reg_user": user,
        "realm": switch.config.domain,
        "token": f"simulated-{user}",
        "url": contact(user),
        "expires": str(int(switch.started) + 3600),
        "network_ip": SERVER,
        "network_port": "5090",
        "network_proto": "udp",
        "hostname": switch.config.switchname,
        "metadata": "",
    }


def contact(user: str) -> str:
    """Where a registered telephone is."""
    return f"sofia/internal/sip:{user}@{SERVER}:5090;transport=udp;gw={user}"


def status(switch: Switch) -> str:
    """The `status` api."""
    ready = "not ready" if switch.paused else "ready"
    return (
        f"UP {uptime_text(time.time() - switch.started)}\n"
        f"FreeSWITCH (Version {VERSION}  64bit) is {ready}\n"
        f"{switch.sessions_since_startup} session(s) since startup\n"
        f"{len(switch.legs)} session(s) - peak {switch.peak_sessions}, "
        f"last 5min {switch.peak_sessions} \n"
        f"{switch.last_rate} session(s) per Sec out of max {switch.sessions_per_second}, "
        f"peak {switch.peak_rate}, last 5min {switch.peak_rate} \n"
        f"{switch.max_sessions} session(s) max\n"
        "min idle cpu 0.00/100.00\n"
        "Current Stack Size/Max 240K/240K\n"
    )


def sofia(switch: Switch, argument: str) -> str:
    """A simple `sofia status`; gateways are always up, `deadcarrier` included, as they do not register."""
    words = argument.split()
    if words[:2] == ["status", "gateway"] and len(words) > 2:
        if words[2] not in ("carrier", "deadcarrier"):
            return "Invalid Gateway!\n"
        rule = "=" * 97
        return (
            f"{rule}\nName    \t{words[2]}\nProfile \texternal\nScheme  \tDigest\n"
            f"Realm   \t{SERVER}\nUsername\ttrunk\nState   \tNOREG\nStatus  \tUP\n{rule}\n"
        )
    if words[:1] == ["status"]:
        rule = "=" * 97
        return (
            "                     Name\t   Type\t                                      Data\tState\n"
            f"{rule}\n"
            f"                 external\tprofile\t              sip:mod_sofia@{SERVER}:5062\tRUNNING (0)\n"
            f"    external::deadcarrier\tgateway\t                  sip:trunk@{SERVER}:5999\tNOREG\n"
            f"        external::carrier\tgateway\t                  sip:trunk@{SERVER}:5080\tNOREG\n"
            f"                 internal\tprofile\t              sip:mod_sofia@{SERVER}:5060\tRUNNING (0)\n"
            f"{rule}\n2 profiles 0 alias\n"
        )
    if words[:1] == ["profile"] and words[2:3] == ["flush_inbound_reg"]:
        for user in [words[3].partition("@")[0]] if words[3:] else list(switch.registrations.known):
            switch.registrations.expire(user)
        return "+OK flushing all registrations matching specified criteria\n"
    if words[:1] == ["profile"] and words[-1:] == ["rescan"]:
        return "Reload XML [Success]\n+OK scan complete\n"
    return "-USAGE: sofia <command> ...\n"
