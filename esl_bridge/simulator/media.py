"""What a leg hears and records: hold and its music, playback, recording, muting, key presses."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from esl_bridge.simulator import hangup, sip
from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.legs import Application, Leg, Playback, Recording
from esl_bridge.simulator.protocol import Event, Value

MUSIC_DELAY = 0.18
"""Seconds until hold music starts."""
SETTLED = 0.2
"""Seconds a bridge must have run, unheld, before a leg of it can be played to: ten frames."""
FILE_SECONDS = 3.0
ENDLESS_SECONDS = 86_400.0
"""How long a file of unknown length plays."""


def hold(switch: Switch, leg: Leg) -> None:
    """`uuid_hold`: the held leg says so, the other one gets music."""
    if leg.held or not leg.answered:
        return
    leg.held = True
    leg.times.hold_since = leg.times.last_hold = switch.now_us()
    leg.profile_changed()
    switch.callstate(leg, "HELD")
    peer = leg.peer
    if peer is not None:
        music = Playback(
            switch.globals["hold_music"],
            -1,
            command(switch, "playback", switch.globals["hold_music"], loops=-1),
        )
        peer.playback = music
        if _unsettled(switch, leg) <= 0:
            switch.later(peer, MUSIC_DELAY, _start_playing, switch, peer, music)
    leg.touch("rtp_local_sdp_str")
    switch.emit("CHANNEL_HOLD", leg)
    sip.reinvited(leg, "recvonly")


def unhold(switch: Switch, leg: Leg) -> None:
    """`uuid_hold off`.

    Music that has not begun yet is not stopped: it begins afterwards and plays to the end of the bridge.
    """
    peer = leg.peer
    if not leg.held:
        return
    unsettled = _unsettled(switch, leg)
    _count_hold(switch, leg)
    if leg.is_agent:  # its re-INVITE named the callee again
        leg.profile.callee_name = leg.profile.callee_number
    switch.callstate(leg, "UNHELD")
    music = peer.playback if peer is not None else None
    # Which comes first, ACTIVE or UNHOLD, depends on the side, and on there being music to stop.
    active_first = leg.bridge_role == "a" and music is not None and music.running
    if active_first:
        switch.callstate(leg, "ACTIVE")
    if peer is not None and music is not None:
        sip.told_of_hold(peer, leg, "recvonly")
        if music.running:
            stop_playing(switch, peer, "break")
        elif unsettled > 0:
            switch.later(peer, unsettled + MUSIC_DELAY, _start_playing, switch, peer, music)
        sip.told_of_hold(peer, leg, "sendrecv")
    leg.touch("rtp_local_sdp_str")
    switch.emit("CHANNEL_UNHOLD", leg)
    sip.reinvited(leg, "sendrecv")
    if not active_first:
        switch.callstate(leg, "ACTIVE")


def end_hold(switch: Switch, leg: Leg) -> None:
    """A leg's bridge ends by a hangup: what it hears stops, and if it was held it no longer is."""
    if leg.playback is not None and leg.playback.running:
        stop_playing(switch, leg, "done")
    if not leg.held:
        return
    let_go(switch, leg)
    if leg.var_true("park_after_bridge"):
        switch.callstate(leg, "ACTIVE")


def moved(switch: Switch, leg: Leg) -> None:
    """A leg leaves its bridge: what it hears stops, and if it was held it no longer is."""
    if leg.playback is not None:
        _cancel_playing(leg)
    if leg.held:
        let_go(switch, leg)
        switch.callstate(leg, "ACTIVE")


def let_go(switch: Switch, leg: Leg) -> None:
    """A held leg that is hung up, or left alone, is told of first."""
    _count_hold(switch, leg)
    switch.callstate(leg, "UNHELD")
    switch.emit("CHANNEL_UNHOLD", leg)


def _unsettled(switch: Switch, held: Leg) -> float:
    """Simulated seconds the bridge of a leg must still run unheld before its legs can be played to."""
    until = held.times.last_hold if held.held else switch.now_us()
    return SETTLED - (until - held.times.bridged) / 1_000_000 * switch.config.speed


def _count_hold(switch: Switch, leg: Leg) -> None:
    leg.held = False
    now = switch.now_us()
    leg.times.hold_accum += now - leg.times.hold_since
    leg.hold_events.append((leg.times.hold_since, now))
    leg.profile_changed()


def broadcast(switch: Switch, leg: Leg, path: str, legs: str, execute: Callable[[Switch, Leg, str, str], None]) -> None:
    """`uuid_broadcast`: play a file to a leg (`aleg`), the other one (`bleg`), or `both`.

    `app::arguments` instead of a path is executed, on a leg that hears something once that is over.
    """
    targets = []
    if legs in ("aleg", "both", ""):
        targets.append(leg)
    if legs in ("bleg", "both") and leg.peer is not None:
        targets.append(leg.peer)
    name, application, data = path.partition("::")
    for target in targets:
        if application:
            if target.playback is None:
                execute(switch, target, name, data)
            else:
                target.after_playback.append(partial(execute, switch, target, name, data))
            continue
        playing = Playback(path, 1, command(switch, "playback", path, loops=1, b_leg=target is not leg))
        target.playback = playing
        unsettled = max(0.0, _unsettled(switch, target)) if target.peer is not None else 0.0
        switch.later(target, unsettled + MUSIC_DELAY, _start_playing, switch, target, playing)


def play_and_end(switch: Switch, leg: Leg, path: str, then: Callable[[], None] | None) -> None:
    """The playback application; what follows it, or the end of the leg, comes when the file is over."""
    playing = Playback(path, 1, None)
    leg.playback = playing
    switch.emit("PLAYBACK_START", leg, last=_playback_headers(path))
    switch.later(leg, _seconds(path), _played_out, switch, leg, leg.application, then)


def _played_out(switch: Switch, leg: Leg, application: Application | None, then: Callable[[], None] | None) -> None:
    if leg.application is not application:
        return  # taken somewhere else meanwhile
    end_playback(switch, leg, "done")
    hangup.leave_application(switch, leg)
    if then is not None:
        then()
    else:
        hangup.hangup(switch, leg, "NORMAL_CLEARING")


def end_playback(switch: Switch, leg: Leg, status: str) -> None:
    """The playback application plays no more."""
    if leg.playback is not None:
        last = {**_playback_headers(leg.playback.path), "Playback-Status": status}
        switch.emit("PLAYBACK_STOP", leg, last=last)
        leg.playback = None


def _start_playing(switch: Switch, leg: Leg, playing: Playback) -> None:
    if leg.playback is not playing or leg.hangup_cause:
        return
    playing.running = True
    leg.unset("current_application_response")
    leg.put(
        current_loop="1",
        total_loops=str(playing.loops),
        current_application="playback",
        current_application_data=playing.path,
    )
    leg.last_app, leg.last_arg = "playback", playing.path
    switch.emit(
        "CHANNEL_EXECUTE",
        leg,
        last=hangup.execute_headers(Application("playback", playing.path, playing.uuid)),
    )
    leg.touch("current_application")
    switch.emit("PLAYBACK_START", leg, last=_playback_headers(playing.path))
    playing.started = switch.now_us()
    if playing.loops > 0:
        playing.timer = switch.later(leg, _seconds(playing.path), stop_playing, switch, leg, "done")


def stop_playing(switch: Switch, leg: Leg, status: str) -> None:
    """PLAYBACK_STOP, CHANNEL_EXECUTE_COMPLETE and the PRIVATE_COMMAND that asked for the music."""
    playing = leg.playback
    if playing is None:
        return
    _cancel_playing(leg)
    if playing.running:
        ms = (switch.now_us() - playing.started) // 1000
        leg.put(
            playback_last_offset_pos=str(ms * 8),
            playback_seconds=str(ms // 1000),
            playback_ms=str(ms),
            playback_samples=str(ms * 8),
        )
        switch.emit(
            "PLAYBACK_STOP",
            leg,
            last={**_playback_headers(playing.path), "Playback-Status": status},
        )
        leg.set("current_application_response", "FILE PLAYED")
        headers = hangup.execute_headers(Application("playback", playing.path, playing.uuid), done=True)
        headers["Application-Response"] = "FILE PLAYED"
        switch.emit("CHANNEL_EXECUTE_COMPLETE", leg, last=headers)
    leg.unset("current_loop", "total_loops")
    if playing.command is not None:
        private_command(switch, leg, playing.command)
    waiting, leg.after_playback = leg.after_playback, []
    for execute in waiting:
        switch.later(leg, MUSIC_DELAY, _unless_over, leg, execute)


def _unless_over(leg: Leg, execute: Callable[[], None]) -> None:
    if not leg.hangup_cause:
        execute()


def _cancel_playing(leg: Leg) -> None:
    if leg.playback is not None and leg.playback.timer is not None:
        leg.playback.timer.cancel()
    leg.playback = None


def command(switch: Switch, name: str, data: str, *, loops: int, b_leg: bool = False) -> Event:
    """The COMMAND event queued for a leg; it is sent later, inside a PRIVATE_COMMAND."""
    last: dict[str, Value] = {
        "call-command": "execute",
        "execute-app-name": name,
        "execute-app-arg": data,
    }
    if loops:
        last["event-lock"] = "true"
        last["lead-frames"] = "5"
    if loops < 0:
        last["loops"] = str(loops)
    return switch.make("COMMAND", last=last, fired_at="COMMAND b" if b_leg else None)


def private_command(switch: Switch, leg: Leg, command: Event) -> None:
    """PRIVATE_COMMAND holds the whole header block twice, with two names and two sequences."""
    event = switch.make("PRIVATE_COMMAND", leg)
    event.blocks[:0] = command.blocks
    switch.fire(event)


def _playback_headers(path: str) -> dict[str, Value]:
    kind, separator, _ = path.partition("://")
    return {
        "Playback-File-Type": kind if separator else "file",
        "Playback-File-Path": path,
    }


def _seconds(path: str) -> float:
    """How long a path plays, as far as its text tells."""
    if (match := re.match(r"silence_stream://(\d+)", path)) is not None:
        return int(match.group(1)) / 1000
    if path.startswith("local_stream://") or path.endswith(";loops=-1"):
        return ENDLESS_SECONDS
    tones = re.findall(r"%\((\d+)\\?,(\d+)", path)
    if path.startswith("tone_stream://") and tones:
        return sum(int(on) + int(off) for on, off in tones) / 1000
    return FILE_SECONDS


def record(switch: Switch, leg: Leg, path: str, limit: float) -> bool:
    """`uuid_record start`. False without media or if the path cannot be written; twice the same file is no event."""
    if path in leg.recordings:
        return True
    if not leg.has_codec:
        return False
    if not path.startswith("/") or path.startswith(("/proc/", "/sys/", "/no/")):
        return False
    leg.recordings[path] = Recording(path, switch.now_us())
    switch.emit("RECORD_START", leg, last={"Record-File-Path": path})
    switch.emit(
        "MEDIA_BUG_START",
        leg,
        first={"Media-Bug-Function": "session_record", "Media-Bug-Target": path},
    )
    if limit > 0:
        switch.later(leg, limit, _record_limit, switch, leg, path)
    return True


def _record_limit(switch: Switch, leg: Leg, path: str) -> None:
    if path in leg.recordings:
        hangup.stop_recording(switch, leg, path, "success-maxtime")


def stop_record(switch: Switch, leg: Leg, path: str) -> bool:
    """`uuid_record stop`; `all` stops everything."""
    paths = list(leg.recordings) if path == "all" else [path]
    if any(one not in leg.recordings for one in paths):
        return False
    for one in paths:
        hangup.stop_recording(switch, leg, one, "success-silence")
    return True


def mute(switch: Switch, leg: Leg, on: bool) -> None:
    """`uuid_audio start read mute` and `stop`: a media bug, no other event."""
    if leg.muted == on:
        return
    leg.muted = on
    switch.emit(
        "MEDIA_BUG_START" if on else "MEDIA_BUG_STOP",
        leg,
        first={"Media-Bug-Function": "audio", "Media-Bug-Target": "mute"},
    )


def receive_dtmf(switch: Switch, leg: Leg, digits: str) -> None:
    """`uuid_recv_dtmf`: as if the leg's telephone had sent the digits."""
    keys, _, duration = digits.partition("@")
    for key in keys:
        if key in "0123456789*#ABCDabcd":
            last: dict[str, Value] = {
                "DTMF-Digit": key,
                "DTMF-Duration": str(int(duration) * 8) if duration.isdigit() else "2000",
                "DTMF-Source": "APP",
            }
            switch.emit("DTMF", leg, last=last)
