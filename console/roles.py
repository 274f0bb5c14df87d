"""Who may do what, as one table: permission by role. Pure. docs/roles.md is the same in words.

A reach says how far a permission goes: `own` is the user's own agent and that agent's calls, `part` the teams and
campaigns that the user supervises, `all` the whole floor. Everything that is forbidden is forbidden here: commands
(`refusal`), sockets and pages (`Actor.may`, `Actor.reaches`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from console.protocol import (
    AlertControl,
    CallControl,
    CampaignControl,
    DisposeCall,
    Intent,
    ManualDial,
    PreviewControl,
    ReadMessage,
    SendMessage,
    SetAgentState,
)


class Reach(IntEnum):
    """How far; a wider one holds all narrower ones."""

    NONE = 0
    OWN = 1
    PART = 2
    ALL = 3


class Role(StrEnum):
    """A user may have several; the widest reach counts."""

    VIEWER = "viewer"
    AGENT = "agent"
    TEAM_SUPERVISOR = "team_supervisor"
    FLOOR_SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    SEE_FLOOR = "see_floor"
    SEE_PAGES = "see_pages"
    FULL_NUMBERS = "full_numbers"
    PLAY_RECORDINGS = "play_recordings"
    EXPORT = "export"
    SET_AGENT_STATE = "set_agent_state"
    SEND_MESSAGE = "send_message"
    READ_MESSAGE = "read_message"
    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"
    TAKE_OVER = "take_over"
    TRANSFER = "transfer"
    HOLD = "hold"
    MUTE = "mute"
    PARK = "park"
    HANG_UP = "hang_up"
    RECORD = "record"
    DISPOSE = "dispose"
    PREVIEW = "preview"
    DIAL_BY_HAND = "dial_by_hand"
    RUN_CAMPAIGN = "run_campaign"
    CAMPAIGN_MODE = "campaign_mode"
    CAMPAIGN_LIMITS = "campaign_limits"
    ALERTS = "alerts"
    AUDIT = "audit"
    CONFIGURE = "configure"


WORDS: Final[Mapping[Permission, str]] = {
    Permission.SEE_FLOOR: "see the live floor",
    Permission.SEE_PAGES: "see the pages of calls, agents, contacts and decisions",
    Permission.FULL_NUMBERS: "see telephone numbers in full",
    Permission.PLAY_RECORDINGS: "play recordings",
    Permission.EXPORT: "export as CSV and JSON",
    Permission.SET_AGENT_STATE: "change an agent's state",
    Permission.SEND_MESSAGE: "send messages to agents",
    Permission.READ_MESSAGE: "read messages",
    Permission.LISTEN: "listen to a call",
    Permission.WHISPER: "whisper to the agent",
    Permission.BARGE: "barge into a call",
    Permission.TAKE_OVER: "take a call over",
    Permission.TRANSFER: "transfer a call",
    Permission.HOLD: "hold a call",
    Permission.MUTE: "mute a call",
    Permission.PARK: "park a call",
    Permission.HANG_UP: "hang up a call",
    Permission.RECORD: "start, stop and pause recording",
    Permission.DISPOSE: "dispose of a call",
    Permission.PREVIEW: "act on a previewed contact",
    Permission.DIAL_BY_HAND: "dial by hand",
    Permission.RUN_CAMPAIGN: "start, pause and stop a campaign",
    Permission.CAMPAIGN_MODE: "change how a campaign dials",
    Permission.CAMPAIGN_LIMITS: "change a campaign's limits",
    Permission.ALERTS: "take on, put off and close alerts",
    Permission.AUDIT: "read the audit log",
    Permission.CONFIGURE: "configure",
}

# In the order of Role: viewer, agent, team supervisor, floor supervisor, administrator.
_LETTERS: Final = {"-": Reach.NONE, "o": Reach.OWN, "p": Reach.PART, "A": Reach.ALL}
_ROWS: Final[Mapping[Permission, str]] = {
    Permission.SEE_FLOOR: "A-pAA",
    Permission.SEE_PAGES: "A-pAA",
    Permission.FULL_NUMBERS: "-o--A",
    Permission.PLAY_RECORDINGS: "--pAA",
    Permission.EXPORT: "--pAA",
    Permission.SET_AGENT_STATE: "-opAA",
    Permission.SEND_MESSAGE: "--pAA",
    Permission.READ_MESSAGE: "-o---",
    Permission.LISTEN: "--pAA",
    Permission.WHISPER: "--pAA",
    Permission.BARGE: "--pAA",
    Permission.TAKE_OVER: "--pAA",
    Permission.TRANSFER: "-opAA",
    Permission.HOLD: "-opAA",
    Permission.MUTE: "-opAA",
    Permission.PARK: "-opAA",
    Permission.HANG_UP: "-opAA",
    Permission.RECORD: "-opAA",
    Permission.DISPOSE: "-opAA",
    Permission.PREVIEW: "-opAA",
    Permission.DIAL_BY_HAND: "-opAA",
    Permission.RUN_CAMPAIGN: "--pAA",
    Permission.CAMPAIGN_MODE: "--pAA",
    Permission.CAMPAIGN_LIMITS: "--pAA",
    Permission.ALERTS: "--pAA",
    Permission.AUDIT: "---AA",
    Permission.CONFIGURE: "----A",
}
TABLE: Final[Mapping[Permission, Mapping[Role, Reach]]] = {
    permission: {role: _LETTERS[letter] for role, letter in zip(Role, row, strict=True)}
    for permission, row in _ROWS.items()
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A user's rights at one moment. `agent_id`: the agent that this user is, or ''. `teams` (codes) and `campaigns`
    (ids): those this user supervises. `given` and `taken`: what an administrator has changed about the roles' rights.
    """

    user_id: int
    username: str
    roles: frozenset[Role] = frozenset()
    agent_id: str = ""
    extension: str = ""
    teams: frozenset[str] = frozenset()
    campaigns: frozenset[str] = frozenset()
    given: frozenset[Permission] = frozenset()
    taken: frozenset[Permission] = frozenset()

    @property
    def role(self) -> Role | None:
        """The one that reaches furthest, to be shown."""
        return max(self.roles, key=list(Role).index, default=None)

    def reach(self, permission: Permission) -> Reach:
        if permission in self.taken:
            return Reach.NONE
        by_role = max((TABLE[permission][role] for role in self.roles), default=Reach.NONE)
        return max(by_role, self._given_reach(permission)) if permission in self.given else by_role

    def _given_reach(self, permission: Permission) -> Reach:
        """What is given goes as far as the user sees; it never shows more than before."""
        if permission is Permission.SEE_FLOOR:
            return Reach.PART
        floor = self.reach(Permission.SEE_FLOOR)
        return floor if floor is not Reach.NONE else Reach.OWN

    def may(self, permission: Permission) -> bool:
        """Whether to anything at all; to what, `reaches` says."""
        return self.reach(permission) is not Reach.NONE

    def reaches(self, permission: Permission, target: Target | None) -> bool:
        """Whether to this. None: something that does not exist, within reach only of those who reach everything."""
        reach = self.reach(permission)
        if reach is Reach.ALL or target is None:
            return reach is Reach.ALL
        if reach >= Reach.OWN and self.agent_id and target.agent_id == self.agent_id:
            return True
        return reach >= Reach.PART and (target.team in self.teams or target.campaign_id in self.campaigns)

    @property
    def rights(self) -> list[str]:
        """Names of the permissions that the user has for anything at all, for pages."""
        return [str(permission) for permission in Permission if self.may(permission)]

    @property
    def sees_floor(self) -> bool:
        return self.may(Permission.SEE_FLOOR)

    @property
    def reads_audit(self) -> bool:
        return self.reach(Permission.AUDIT) is Reach.ALL

    @property
    def sees_every_page(self) -> bool:
        return self.reach(Permission.SEE_PAGES) is Reach.ALL


@dataclass(frozen=True, slots=True)
class Target:
    """What a command or a page is about: '' where it has none. `agent_id`: whose it is. `team`: of that agent."""

    agent_id: str = ""
    team: str = ""
    campaign_id: str = ""


_ACTIONS: Final[Mapping[str, tuple[Permission, ...]]] = {
    "hangup": (Permission.HANG_UP,),
    "hold": (Permission.HOLD,),
    "unhold": (Permission.HOLD,),
    "mute": (Permission.MUTE,),
    "unmute": (Permission.MUTE,),
    "park": (Permission.PARK,),
    "unpark": (Permission.PARK,),
    "transfer": (Permission.TRANSFER,),
    "consult": (Permission.TRANSFER,),
    "consult_complete": (Permission.TRANSFER,),
    "consult_cancel": (Permission.TRANSFER,),
    "record_start": (Permission.RECORD,),
    "record_stop": (Permission.RECORD,),
    "record_pause": (Permission.RECORD,),
    "record_resume": (Permission.RECORD,),
    "listen": (Permission.LISTEN,),
    "whisper": (Permission.WHISPER,),
    "barge": (Permission.BARGE,),
    # It ends one's own listening: who may do any of the three may stop it.
    "stop_listening": (Permission.LISTEN, Permission.WHISPER, Permission.BARGE),
    "take_over": (Permission.TAKE_OVER,),
    "start": (Permission.RUN_CAMPAIGN,),
    "pause": (Permission.RUN_CAMPAIGN,),
    "stop": (Permission.RUN_CAMPAIGN,),
    "set_mode": (Permission.CAMPAIGN_MODE,),
    "set_limits": (Permission.CAMPAIGN_LIMITS,),
}


def needed(intent: Intent) -> tuple[Permission, ...]:
    """The permissions of which one is needed. Raises KeyError for an action that the table does not know."""
    match intent:
        case SetAgentState():
            return (Permission.SET_AGENT_STATE,)
        case CallControl(action=action) | CampaignControl(action=action):
            return _ACTIONS[action]
        case PreviewControl():
            return (Permission.PREVIEW,)
        case ManualDial():
            return (Permission.DIAL_BY_HAND,)
        case DisposeCall():
            return (Permission.DISPOSE,)
        case SendMessage():
            return (Permission.SEND_MESSAGE,)
        case ReadMessage():
            return (Permission.READ_MESSAGE,)
        case AlertControl():
            return (Permission.ALERTS,)


def refusal(who: Actor, intent: Intent, *targets: Target | None) -> str:
    """Why `who` may not do this to all of these, or ''. Without a target: whether they may do it to everything."""
    wanted = needed(intent)
    having = [permission for permission in wanted if who.may(permission)]
    if not having:
        return f"You have no right to {WORDS[wanted[0]]}."
    if any(all(who.reaches(permission, target) for target in targets or (None,)) for permission in having):
        return ""
    widest = max(who.reach(permission) for permission in having)
    whose = "your own calls and state" if widest is Reach.OWN else "your own teams and campaigns"
    return f"You may {WORDS[having[0]]} only within {whose}."
