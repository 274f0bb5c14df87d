"""Orders that a dead worker had committed and not sent, and whose campaign or number has been stopped since (listed, or
its consent revoked): the mark for the bridge (dialer/stops.py) may be gone by now with all that Redis had, the database
knows."""

from django.db.models import Exists, F, OuterRef, Q

from dialer.models import ConsentRevocation, DoNotCall, Order
from dialer.services import calls
from dialer.services.acting import Act


def _later(entry: type[DoNotCall] | type[ConsentRevocation]) -> Exists:
    """Whether the call's number has been entered since its order was given, for every campaign or the call's own."""
    whose = Q(campaign=None) | Q(campaign=OuterRef("call__campaign"))
    since = entry._default_manager.filter(number=OuterRef("call__to_number"), created_at__gte=OuterRef("created_at"))
    return Exists(since.filter(whose))


def stopped(act: Act) -> int:
    """End the attempts whose orders must not leave any more; returns how many."""
    listed, revoked = _later(DoNotCall), _later(ConsentRevocation)
    paused = ~Q(call__campaign__status="active") & Q(call__campaign__updated_at__gte=F("created_at"))
    due = Order.objects.select_for_update(of=("self",)).filter(
        listed | revoked | paused, status=Order.Status.PENDING, kind="originate_customer"
    )
    count = 0
    for order in due:
        order.status, order.reply, order.settled_at = Order.Status.REFUSED, "stopped before it was sent", act.now
        order.save(update_fields=["status", "reply", "settled_at"])
        if (call := calls.locked(str(order.leg_uuid))) is not None:
            calls.ended(act, call, "REFUSED", act.now, reached=False)
        count += 1
    return count
