"""Pages of the console as tests read them, and calls for them to show."""

import uuid

from django.utils import timezone

from dialer.models import CallLog

CALLS = "/console/calls/"


def text_of(answer) -> str:
    """Of a page that was shown."""
    assert answer.status_code == 200, answer.headers.get("Location")
    return answer.content.decode()


def made(campaign=None, **fields) -> CallLog:
    """A call that is over."""
    moment = fields.pop("at", timezone.now())
    known = {"freeswitch_uuid": str(uuid.uuid4()), "to_number": "+12125550100", "initiated_at": moment,
             "status": "completed", "ended_at": moment}  # fmt: skip
    return CallLog.objects.create(campaign=campaign, **(known | fields))
