"""The audit log: who did what to whom with which result, from where; and that nobody rewrites it."""

import datetime as dt
import uuid
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import InternalError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone

from console.models import ApiToken, Right
from dialer import tasks
from dialer.models import AppliedCommand, AuditEntry, CallLog, Contact
from dialer.services import audit, commands
from tests.fakes.console import make_team, make_user
from tests.fakes.floor import make_agents, make_campaign, reason_code

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

SOURCE = {"via": "token vo_abcdef", "page": "/ws/v1/floor/", "address": "192.0.2.7", "user_id": 41}


def of(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def command(**more):
    return {"command_id": str(uuid.uuid4()), "actor": "sup", "source": SOURCE, **more}


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


# --- append-only --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE dialer_auditentry SET actor = 'somebody else'",
        "DELETE FROM dialer_auditentry",
        "TRUNCATE dialer_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_remove_rows(statement):
    audit.write("test", actor="sup")
    with pytest.raises((ProgrammingError, InternalError), match="append-only"):
        execute(statement)
    assert AuditEntry.objects.get().actor == "sup"
    execute("ALTER TABLE dialer_auditentry DISABLE TRIGGER USER")  # and it is the trigger that refuses
    try:
        execute(statement)
    finally:
        execute("ALTER TABLE dialer_auditentry ENABLE TRIGGER USER")
    assert not AuditEntry.objects.filter(actor="sup").exists()


def test_trimming_needs_the_setting_and_is_itself_audited(settings):
    old = timezone.now() - dt.timedelta(days=400)
    for n in range(3):
        audit.write(f"old{n}", actor="sup", at=old)
    audit.write("new", actor="sup")
    settings.AUDIT_KEEP_DAYS = 0
    with pytest.raises(CommandError, match="AUDIT_KEEP_DAYS"):
        call_command("trim_audit")
    settings.AUDIT_KEEP_DAYS = 5
    with pytest.raises(CommandError, match="30"):
        call_command("trim_audit")
    settings.AUDIT_KEEP_DAYS = 365
    out = StringIO()
    call_command("trim_audit", "--dry-run", stdout=out)
    assert "3 rows" in out.getvalue() and AuditEntry.objects.count() == 4
    call_command("trim_audit", stdout=out)
    assert [row.action for row in AuditEntry.objects.order_by("id")] == ["new", "audit.trim"]
    assert of("audit.trim")[0].details["rows"] == 3
    with pytest.raises((ProgrammingError, InternalError)), transaction.atomic():
        AuditEntry.objects.all().delete()


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_command_is_written_with_its_answer_and_where_it_came_from():
    [agent] = make_agents(1)
    reason_code("break", "lunch")
    done = command(agent_id=agent.agent_id, state="break", reason="lunch")
    tasks.handle_agent_state(done)
    tasks.handle_agent_state(done)  # delivered twice: one effect, one row
    tasks.handle_agent_state(command(agent_id=agent.agent_id, state="break", reason="nonsense"))
    applied, rejected = of("set_agent_state")
    assert (applied.actor, applied.user_id, applied.target_kind, applied.target) == ("sup", 41, "agent", agent.agent_id)
    assert (applied.via, applied.page, applied.address) == ("token vo_abcdef", "/ws/v1/floor/", "192.0.2.7")
    assert applied.result == "applied" and applied.details == {"state": "break", "reason": "lunch"}
    assert str(applied.command_id) == done["command_id"]
    assert rejected.result == "rejected" and "no reason" in rejected.reason


def test_the_row_is_committed_with_the_effect_or_not_at_all(monkeypatch):
    [agent] = make_agents(1)
    monkeypatch.setattr(audit, "write", lambda *args, **more: (_ for _ in ()).throw(RuntimeError("no audit")))
    with pytest.raises(RuntimeError):
        tasks.handle_agent_state(command(agent_id=agent.agent_id, state="break"))
    agent.refresh_from_db()
    assert agent.status == "offline" and AppliedCommand.objects.count() == 0


def test_a_command_that_fails_by_a_fault_of_ours_is_answered_and_written_as_failed(monkeypatch):
    campaign = make_campaign([])

    def broken(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "_campaign_control", broken)
    asked = command(kind="campaign_control", campaign_id=str(campaign.campaign_id), action="pause")
    answer = tasks.handle_command(asked)
    assert answer["status"] == "failed" and "fault" in answer["reason"]
    [row] = of("campaign_control.pause")
    assert (row.result, row.target_kind, row.target) == ("failed", "campaign", str(campaign.campaign_id))


@pytest.mark.parametrize(
    ("written", "kept"), [("+12125550123", "+1212***23"), ("(212) 555-0123", "(212)***23"), ("555 0123", "55***23")]
)
def test_numbers_and_texts_of_people_are_not_in_it(written, kept):
    [agent] = make_agents(1)
    campaign = make_campaign([agent])
    tasks.handle_command(
        command(kind="manual_dial", agent_id=agent.agent_id, campaign_id=str(campaign.campaign_id), number=written)
    )
    tasks.handle_command(
        command(kind="send_message", agents=[agent.agent_id], teams=[], campaigns=[], text="call +12125550123 back")
    )
    text = str(list(AuditEntry.objects.values()))
    assert "0123" not in text and "call" not in str(of("send_message")[0].details)
    assert of("manual_dial")[0].details["number"] == kept, "however people write it"
    assert of("send_message")[0].details == {"agents": [agent.agent_id]}


# --- signing in and out -------------------------------------------------------------------------------------------


def test_signing_in_failing_to_and_signing_out_are_written_with_the_address():
    sup = make_user("sup", supervisor=True)
    browser = Client(REMOTE_ADDR="192.0.2.9")
    browser.post("/login/", {"username": "sup", "password": "wrong"})
    browser.post("/login/", {"username": "sup", "password": "not-secret-1"})
    browser.post("/logout/")
    failed, good = of("sign_in")
    [out] = of("sign_out")
    assert (failed.actor, failed.target, failed.result) == ("", "sup", "refused")
    assert (good.actor, good.user_id, good.result) == ("sup", sup.pk, "done")
    assert {row.address for row in (failed, good, out)} == {"192.0.2.9"} and out.actor == "sup"
    assert "wrong" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("proxied", "address"), [(None, "192.0.2.9"), (("HTTP_X_FORWARDED_PROTO", "https"), "198.51.100.4")]
)
def test_a_forwarded_address_counts_only_behind_a_proxy(settings, proxied, address):
    settings.SECURE_PROXY_SSL_HEADER = proxied
    make_user("sup")
    browser = Client(REMOTE_ADDR="192.0.2.9", headers={"x-forwarded-for": "203.0.113.1, 198.51.100.4"})
    browser.post("/login/", {"username": "sup", "password": "wrong"})
    assert of("sign_in")[0].address == address


# --- the admin and rights -----------------------------------------------------------------------------------------


@pytest.fixture
def root() -> Client:
    browser = Client(REMOTE_ADDR="192.0.2.10")
    browser.force_login(make_user("root", is_staff=True, is_superuser=True))
    return browser


def test_changes_in_the_admin_are_written_one_row_for_each_object(root):
    for code in ("one", "two"):
        root.post("/admin/dialer/skill/add/", {"code": code, "label": code.title()})
    added = of("admin.add")
    assert [(row.actor, row.target_kind, row.details["object"]) for row in added] == [
        ("root", "skill", "One"), ("root", "skill", "Two"),
    ]  # fmt: skip
    first = added[0].target
    root.post(f"/admin/dialer/skill/{first}/change/", {"code": "one", "label": "1"})
    assert of("admin.change")[0].details == {"object": "1", "changed": ["Label"]}
    assert added[0].address == "192.0.2.10" and added[0].page == "/admin/dialer/skill/add/"
    chosen = {"action": "delete_selected", "_selected_action": [row.target for row in added], "post": "yes"}
    root.post("/admin/dialer/skill/", chosen)
    assert sorted(row.details["object"] for row in of("admin.delete")) == ["1", "Two"]


def test_changes_of_roles_and_rights_are_written_with_who_made_them(root):
    ann = make_user("ann")
    ann.groups.add(Group.objects.get_or_create(name="supervisor")[0])
    [row] = of("role.groups.add")
    assert (row.target, row.details["with"], row.via) == ("ann", ["supervisor"], "command line")
    team = make_team("north")
    root.post(f"/admin/dialer/team/{team.pk}/change/", {"code": "north", "name": "North", "supervisors": [ann.pk]})
    [row] = of("role.team_supervisors.add")
    assert (row.actor, row.target, row.details["with"]) == ("root", "North", ["ann"])
    root.post(
        "/admin/console/right/add/", {"user": ann.pk, "permission": "listen", "given": "False", "reason": "learning"}
    )
    assert Right.objects.get().user == ann
    [row] = of("right.taken")
    assert (row.actor, row.target, row.details) == ("root", "ann", {"permission": "listen", "why": "learning"})
    ann.is_superuser = True
    ann.save()
    assert of("role.user")[-1].details == {"is_superuser": True}
    before = len(of("role.user"))
    ann.save()
    assert len(of("role.user")) == before
    ApiToken.issue(ann)
    assert of("token.create")[0].target == "ann"


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_is_searched_by_person_action_target_result_and_time(root):
    [agent] = make_agents(1)
    for state in ("break", "nonsense"):
        tasks.handle_agent_state(command(agent_id=agent.agent_id, state=state))
    audit.write("call_control.listen", actor="<b>eve</b>", target_kind="call", target="c1", result="rejected")

    def page(**query) -> str:
        answer = root.get("/console/audit/", query)
        assert answer.status_code == 200
        return answer.content.decode().partition('id="found"')[2]

    text = page()
    assert "&lt;b&gt;eve&lt;/b&gt;" in text and "<b>eve" not in text and agent.agent_id in text
    assert "call_control.listen" not in page(actor="sup") and "set_agent_state" in page(actor="sup")
    assert "set_agent_state" not in page(action="call_control")
    assert "call_control.listen" in page(action="call_control")
    assert page(target=agent.agent_id).count("set_agent_state") >= 2
    assert "nonsense" not in page(target=agent.agent_id, result="applied")
    assert "Nothing in the audit log" in page(until="2001-01-01T00:00")
    for wrong in ({"until": "x"}, {"result": "x"}, {"address": "x"}, {"before": "x"}):
        assert root.get("/console/audit/", wrong).status_code == 404


def test_who_may_not_read_it_does_not(root):
    browser = Client()
    for user in (make_user("vic", group="viewer"), make_user("tom"), make_user("bob")):
        if user.username == "tom":
            make_team("north", supervisors=[user])
        browser.force_login(user)
        assert browser.get("/console/audit/").status_code == 403
    sup = make_user("sup", supervisor=True)
    browser.force_login(sup)
    assert browser.get("/console/audit/").status_code == 200
    Right.objects.create(user=sup, permission="audit", given=False)
    assert browser.get("/console/audit/").status_code == 403


def test_the_admin_shows_it_and_changes_nothing(root):
    audit.write("test", actor="sup")
    row = AuditEntry.objects.get(action="test")
    assert "test" in root.get("/admin/dialer/auditentry/").content.decode()
    assert root.get(f"/admin/dialer/auditentry/{row.pk}/change/").status_code == 200
    assert root.post(f"/admin/dialer/auditentry/{row.pk}/change/", {"actor": "x"}).status_code == 403
    assert root.post(f"/admin/dialer/auditentry/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_exports_are_written(root):
    CallLog.objects.create(to_number="+12125550101", freeswitch_uuid="x", initiated_at=timezone.now())
    make_campaign([], contacts=1)
    keys = list(Contact.objects.values_list("pk", flat=True))
    answer = root.post("/admin/dialer/contact/", {"action": "export_csv", "_selected_action": keys})
    assert answer.status_code == 200
    [row] = of("export")
    assert (row.actor, row.target, row.details["full_numbers"], row.address) == ("root", "contacts", True, "192.0.2.10")
