"""Taking an import back: its contacts that were never called are removed, the others stay and are counted by reason.

In short transactions of some thousand contacts, each passing over what somebody else holds: the dialer goes on with the
list, and finds either a contact or none. Broken off, it is begun again and goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from dialer.models import FINISHED_CONTACTS, Contact, ContactStatus, DialerTargetList, ImportRun

from . import tell_the_floor
from .errors import ImportRefusedError

# Some 50 ms of one transaction; and keys looked through at a time, those of others between them.
BATCH = 2_000
# Of a batch in which somebody wrote to a contact at the same moment.
_TRIES = 3
State = ImportRun.State


@dataclass(slots=True)
class Undone:
    """`kept` by reason, as people read it."""

    removed: int = 0
    kept: Counter[str] = field(default_factory=Counter)


def undo(pk: int, actor: str, on_progress: Callable[[int], None] | None = None) -> Undone:
    """Take back what the import brought; returns what became of it. Raises ImportRefusedError.

    `on_progress` gets the number of contacts removed so far.
    """
    run = _begin(pk, actor)
    assert run.first_contact is not None
    assert run.last_contact is not None
    for low in range(run.first_contact, run.last_contact + 1, BATCH):
        removed = _batch(run, low, min(low + BATCH - 1, run.last_contact))
        if removed and on_progress:
            on_progress(removed)
    return _end(run)


def kept(run: ImportRun) -> Counter[str]:
    """Its contacts that an undo would leave, by reason."""
    found: Counter[str] = Counter()
    of_run = _of(run)
    dialing = Q(status=ContactStatus.DIALING)
    found["being dialled"] = of_run.filter(dialing).count()
    rest = of_run.exclude(dialing)
    found["already called"] = rest.filter(_called()).count()
    found["has an appointment or other records"] = rest.exclude(_called()).filter(_referred_to()).count()
    return +found


def _begin(pk: int, actor: str) -> ImportRun:
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().filter(pk=pk).first()
        if run is None:
            raise ImportRefusedError(f"There is no import {pk}.")
        if not run.undoable or run.first_contact is None or run.last_contact is None:
            raise ImportRefusedError(f"Import {pk} is {run.get_state_display()}: there is nothing to undo.")
        run.state, run.undone_by, run.undone_at = State.UNDOING, actor[:150], timezone.now()
        run.save(update_fields=["state", "undone_by", "undone_at"])
    return run


def _batch(run: ImportRun, low: int, high: int) -> int:
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return _remove(run, low, high)
        except IntegrityError:
            # An appointment was made in this very moment: looked at again, its contact is kept.
            continue
    return 0


def _remove(run: ImportRun, low: int, high: int) -> int:
    """Within a transaction: contacts first, then their list, as the worker locks them."""
    never = _of(run).filter(pk__range=(low, high), attempts=0).exclude(status=ContactStatus.DIALING)
    # Only what nobody holds; then, holding them, what has come to refer to them meanwhile.
    keys = list(never.order_by("pk").select_for_update(skip_locked=True).values_list("pk", flat=True))
    if not keys:
        return 0
    gone = Contact.objects.filter(pk__in=keys).exclude(_called()).exclude(_referred_to())
    counted = gone.filter(status__in=FINISHED_CONTACTS).count()
    # Without Django's collector, which would read every row: nothing refers to these.
    removed = int(gone._raw_delete(gone.db))
    if removed:
        DialerTargetList.objects.filter(pk=run.target_list_id).update(
            total_contacts=Greatest(F("total_contacts") - removed, 0),
            processed_contacts=Greatest(F("processed_contacts") - counted, 0),
            updated_at=timezone.now(),
        )
        ImportRun.objects.filter(pk=run.pk).update(removed=F("removed") + removed)
    return removed


def _end(run: ImportRun) -> Undone:
    left = kept(run)
    others = _of(run).count() - sum(left.values())
    if others > 0:
        left["held by somebody at that moment; undo it again"] = others
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().get(pk=run.pk)
        # With some left that could have gone, it may be undone again.
        run.state, run.kept = State.DONE if others > 0 else State.UNDONE, dict(left)
        run.save(update_fields=["state", "kept"])
    if run.target_list_id is not None and run.removed:
        tell_the_floor(run.target_list_id)
    return Undone(run.removed, left)


def _of(run: ImportRun) -> QuerySet[Contact]:
    return Contact.objects.filter(pk__range=(run.first_contact, run.last_contact), import_run=run.pk)


def _called() -> Q:
    calls = Contact._meta.get_field("calls")
    return Q(attempts__gt=0) | Q(Exists(_rows_of(calls)))


def _referred_to() -> Q:
    """Any other row that names the contact, of whatever kind: removing it would take that along."""
    found = Q()
    for relation in Contact._meta.related_objects:
        if relation.name != "calls":
            found |= Q(Exists(_rows_of(relation)))
    return found


def _rows_of(relation: Any) -> QuerySet[Any]:
    return relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
