"""`manage.py seed_demo`: a floor to look at. Idempotent; what people have changed since is left as they made it."""

import uuid
from argparse import ArgumentParser
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password, get_hasher
from django.contrib.auth.models import Group, Permission
from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from kombu.exceptions import OperationalError

from dialer import announce, demo, inbox
from dialer.models import (
    DIALS_AHEAD,
    Agent,
    AgentStatus,
    CallLog,
    CampaignStatus,
    ComplianceProfile,
    Contact,
    ContactStatus,
    DialerCampaign,
    DialerTargetList,
    Disposition,
    Message,
    ReasonCode,
)

# What a supervisor may change in the admin; they may see everything of the two rooms. Calls and states are steered from
# the board, through the sequential worker.
_SUPERVISOR_CHANGES = (
    "agent", "dialercampaign", "dialertargetlist", "contact", "reasoncode", "callback",
    "donotcall", "consentrevocation", "disposition", "skill", "agentskill", "requiredskill", "assignment",
)  # fmt: skip
# The demo passwords are printed on the screen, so rounds of hashing protect nothing: 22 full hashes would cost 10 s of
# the first start. Django hashes in full at the first sign-in.
_HASH_ROUNDS = 10_000
_COMMANDS = uuid.UUID("5d1f3c52-2b1c-4d0e-9c3a-6f1f0a8f7f10")
# Contacts of one multi-row insert: well inside PostgreSQL's 65,535 parameters.
_INSERT_BATCH = 1_000


class Command(BaseCommand):
    help = "Fill the database with the demo floor: 20 agents, 2 campaigns, 2,000 fictional contacts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--force", action="store_true", help="also where DEBUG is off: well-known passwords!")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG and not options["force"]:
            raise CommandError(
                "seed_demo makes logins with well-known passwords: refused while DEBUG is off (--force)."
            )
        try:
            with transaction.atomic():
                # Two seeds at once would both find nothing and both create: the second waits for the first.
                Group.objects.get_or_create(name=demo.SUPERVISOR_GROUP)
                group = Group.objects.select_for_update().get(name=demo.SUPERVISOR_GROUP)
                _permit(group)
                _reason_codes()
                set_up_dispositions()
                _staff(group)
                agents = _agents()
                _campaigns(agents)
                ready_again = _ready_again()
        except IntegrityError as error:
            reason = str(error).splitlines()[0]
            raise CommandError(f"The demo collides with data that is already here: {reason}") from error
        _tell_the_floor(agents)
        if ready_again:
            self.stdout.write(f"{ready_again:,} demo contacts are ready to be called again.")
        # An agent at work has their softphone called: a real switch would ring real telephones for a demo.
        sent = _send_to_work(agents) if settings.SWITCH == "simulator" else 0
        if sent:
            self.stdout.write(f"{sent} agents are sent to their places as soon as the dialer worker runs.")
        self._print_logins()

    def _print_logins(self) -> None:
        first_agent = f"agent_{demo.FIRST_AGENT}"
        what = {demo.SUPERVISOR: "live board", first_agent: "agent panel", demo.ADMIN: "administration"}
        hashes = dict(get_user_model().objects.filter(username__in=what).values_list("username", "password"))
        self.stdout.write(f"{'login':<12} {'password':<18} for")
        for username, purpose in what.items():
            demo_password = demo.password_of(username)
            password = demo_password if check_password(demo_password, hashes[username]) else "(your own)"
            self.stdout.write(f"{username:<12} {password:<18} {purpose}")


def _permit(group: Group) -> None:
    rooms = Permission.objects.filter(content_type__app_label__in=("dialer", "events"))
    views = rooms.filter(codename__startswith="view_")
    changes = rooms.filter(
        content_type__app_label="dialer",
        content_type__model__in=_SUPERVISOR_CHANGES,
        codename__regex=r"^(add|change)_",
    )
    group.permissions.add(*views, *changes)


def _reason_codes() -> None:
    ReasonCode.objects.bulk_create(
        [
            ReasonCode(
                status=reason.status,
                code=reason.code,
                label=reason.label,
                is_productive=reason.is_productive,
                limit_seconds=reason.limit_seconds,
                position=position,
            )
            for position, reason in enumerate(demo.REASONS)
        ],
        ignore_conflicts=True,
    )


def set_up_dispositions() -> None:
    """Those of the demo, for all campaigns."""
    Disposition.objects.bulk_create(
        [
            Disposition(
                code=planned.code,
                label=planned.label,
                hot_key=planned.hot_key,
                retry_delay_minutes=planned.retry_delay_minutes,
                position=position,
                **dict.fromkeys(planned.flags, True),
            )
            for position, planned in enumerate(demo.DISPOSITIONS)
        ],
        ignore_conflicts=True,
    )


def _staff(group: Group) -> None:
    user, created = _user(demo.SUPERVISOR, first_name="Sofia", last_name="Keller", is_staff=True)
    if created:
        user.groups.add(group)
    _user(demo.ADMIN, first_name="Ada", last_name="Minh", is_staff=True, is_superuser=True)


def _user(username: str, **fields: Any) -> tuple[Any, bool]:
    """The user, and whether it is new. One who exists is never changed: it may be a person's own login."""
    users = get_user_model().objects
    user = users.filter(username=username).first()
    if user is not None:
        return user, False
    return users.create(username=username, password=_hashed(demo.password_of(username)), **fields), True


def _hashed(password: str) -> str:
    hasher: Any = get_hasher()
    if hasher.algorithm == "pbkdf2_sha256":
        return str(hasher.encode(password, hasher.salt(), iterations=_HASH_ROUNDS))
    return str(hasher.encode(password, hasher.salt()))


def _agents() -> dict[str, Agent]:
    """Every demo agent with a login. Status is not written here: only the sequential worker changes it."""
    found: dict[str, Agent] = {}
    for planned in demo.agents():
        given, _, family = planned.name.partition(" ")
        user, _ = _user(planned.agent_id, first_name=given, last_name=family)
        found[planned.agent_id], _ = Agent.objects.get_or_create(
            agent_id=planned.agent_id,
            defaults={
                "name": planned.name,
                "extension": planned.extension,
                "phone_number": planned.phone_number,
                "user": None if Agent.objects.filter(user=user).exists() else user,
            },
        )
    return found


def _campaigns(agents: dict[str, Agent]) -> None:
    # With a real switch nothing may start to dial because somebody looked at the demo.
    status = CampaignStatus.ACTIVE if settings.SWITCH == "simulator" else CampaignStatus.PAUSED
    now = timezone.now()
    author = get_user_model().objects.get(username=demo.SUPERVISOR)
    profile, _ = ComplianceProfile.objects.get_or_create(
        name=demo.PROFILE, defaults={"description": demo.PROFILE_WHY, "calling_hours": demo.CALLING_HOURS}
    )
    message = _message()
    for planned in demo.CAMPAIGNS:
        targets, created = DialerTargetList.objects.get_or_create(
            name=planned.list_name,
            defaults={
                "description": "Invented people on fictional numbers.",
                "source": "seed_demo",
                "imported_at": now,
                "created_by": author,
            },
        )
        if created:
            rows = [
                Contact(
                    target_list=targets,
                    number=contact.number,
                    name=contact.name,
                    time_zone=contact.time_zone,
                    custom_fields=contact.custom_fields,
                    next_attempt_at=now,
                )
                for contact in demo.contacts(planned)
            ]
            Contact.objects.bulk_create(rows, batch_size=_INSERT_BATCH)
            DialerTargetList.objects.filter(pk=targets.pk).update(total_contacts=len(rows))
        if DialerCampaign.objects.filter(name=planned.name, target_list=targets).exists():
            continue
        campaign = DialerCampaign.objects.create(
            name=planned.name,
            description=planned.description,
            status=status,
            target_list=targets,
            calls_per_agent_per_hour=demo.CALLS_PER_AGENT_PER_HOUR,
            max_retry_attempts=demo.MAX_RETRY_ATTEMPTS,
            retry_delay_minutes=demo.RETRY_DELAY_MINUTES,
            wrap_up_seconds=demo.WRAP_UP_SECONDS,
            profile=profile,
            mode=planned.mode,
            message=message if planned.mode in DIALS_AHEAD else None,
            caller_id_number=planned.caller_id_number,
            caller_id_name=planned.caller_id_name,
            created_by=author,
        )
        campaign.assigned_agents.set([agents[agent_id] for agent_id in demo.agent_ids(planned)])


def _message() -> Message | None:
    """What the predictive campaign plays when nobody is free; None, and no predictive dialling, where the switch's
    folder is not ours to write to."""
    found = Message.objects.filter(name=demo.MESSAGE).first()
    if found is not None:
        return found
    try:
        return Message.objects.create(
            name=demo.MESSAGE,
            text=demo.MESSAGE_TEXT,
            file=ContentFile(demo.message_sound(), "message.wav"),
        )
    except OSError:
        return None


def _ready_again() -> int:
    """Make the demo contacts ready again once most of them are used up; returns how many."""
    lists = DialerTargetList.objects.filter(name__in=[planned.list_name for planned in demo.CAMPAIGNS])
    mine = Contact.objects.filter(target_list__in=list(lists.values_list("pk", flat=True)))
    if mine.filter(status=ContactStatus.READY).count() >= demo.READY_ENOUGH:
        return 0
    # A contact that is being dialled, or is before an agent, belongs to the worker until its call has ended.
    being_called = CallLog.objects.filter(contact=OuterRef("pk"), ended_at__isnull=True)
    changed = (
        mine.exclude(status__in=[ContactStatus.DIALING, ContactStatus.RESERVED])
        .exclude(Exists(being_called))
        .update(status=ContactStatus.READY, attempts=0, next_attempt_at=timezone.now(), last_outcome="", blocked_by="")
    )
    lists.update(processed_contacts=0)
    return changed


def _tell_the_floor(agents: dict[str, Agent]) -> None:
    """For a board that is running already. After the commit: what was rolled back is not announced."""
    with transaction.atomic():
        for agent in agents.values():
            announce.changed("agent", agent.pk)
        lists = [planned.list_name for planned in demo.CAMPAIGNS]
        for pk in DialerCampaign.objects.filter(target_list__name__in=lists).values_list("pk", flat=True):
            announce.changed("campaign", pk)


def _send_to_work(agents: dict[str, Agent]) -> int:
    """Ask the sequential worker for each agent's state; the queue keeps the requests until it runs.

    Only agents who are offline or have never had a state: who is at work, on a break or sent home stays there. The
    command's id holds the agent's version, so that two seeds before the worker starts have one effect.
    """
    commands = []
    for planned in demo.agents():
        agent = agents[planned.agent_id]
        never_set = agent.status_since is None
        if planned.state == AgentStatus.OFFLINE or not agent.is_active:
            continue
        if not never_set and (agent.status != AgentStatus.OFFLINE or planned.state != AgentStatus.AVAILABLE):
            continue
        commands.append(
            {
                "command_id": str(uuid.uuid5(_COMMANDS, f"{agent.pk}:{agent.created_at}:{agent.version}")),
                "actor": "seed_demo",
                "agent_id": agent.agent_id,
                "state": planned.state,
                "reason": planned.reason,
                # No time of asking: it may wait for the worker as long as it has to, and must not count as stale.
                "requested_at": None,
                "cancel_pending": False,
            }
        )
    try:
        for command in commands:
            inbox.submit(inbox.AGENT_STATE, command)
    except (OperationalError, redis.RedisError) as error:
        reason = str(error).splitlines()[0]
        raise CommandError(
            f"The demo is stored, but Redis takes no commands, so nobody is at work: {reason}"
        ) from error
    return len(commands)
