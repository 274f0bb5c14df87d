"""Orders that a dead worker had committed and not sent, and whose campaign or number has been stopped since: the mark
for the bridge (dialer/stops.py) may be gone by now with all that Redis had, the database knows."""

from django.db.models import Exists, F, OuterRef, Q

from dialer.models import DoNotCall, Order
from dialer.services import calls
from dialer.services.acting import Act


def stopped(act: Act) -> int:
    """End the attempts whose orders must not leave any more; returns how many."""
    later = DoNotCall.objects.filter(number=OuterRef("call__to_number"), created_at__gte=OuterRef("created_at"))
    paused = ~Q(call__campaign__status="active") & Q(call__campaign__updated_at__gte=F("created_at"))
    due = Order.objects.select_for_update(of=("self",)).filter(
        Exists(later) | paused, status=Order.Status.PENDING, kind="originate_customer"
    )
    count = 0
    for order in due:
        order.status, order.reply, order.settled_at = Order.Status.REFUSED, "stopped before it was sent", act.now
        order.save(update_fields=["status", "reply", "settled_at"])
        if (call := calls.locked(str(order.leg_uuid))) is not None:
            calls.ended(act, call, "REFUSED", act.now, reached=False)
        count += 1
    return count
