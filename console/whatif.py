"""What if: the pacing simulation as a page. One run at a time on the queue `default`; a result is kept by its
parameters and seed."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import urlencode

import redis
from celery import current_app
from django import forms
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods
from kombu.exceptions import OperationalError

from console import charts
from console.permissions import Actor, Permission
from console.views import with_permission
from dialer import figures, measured, whatif
from dialer.figures import exact_percent, percent
from dialer.models import DialerCampaign
from dialer.whatif import MODES, Parameters, seconds

log = logging.getLogger(__name__)

# A minute of computing at most: the workers of the queue also store what the switch says.
MOST_AGENTS, MOST_HOURS, MOST_DAYS = 500, 8.0, 90
# Longer than whatif_runs allows a run, so that a lost one does not close the page for ever.
BUSY_SECONDS = 240
KEPT_SECONDS = 86_400
BUSY = "whatif:busy"
DEFINITIONS = {
    "utilisation": f"{figures.DEFINITIONS['occupancy'].formula}; nobody has a break here",
    "abandoned": f"{figures.DEFINITIONS['abandon_rate'].formula} (here: within the patience)",
    "worst": "The largest share abandoned in any 30 minutes of the run",
    "mean": "Mean seconds from the answer to the agent, of the people who were joined",
    "wait95": "95 of 100 people joined waited no longer",
    "dialled": "Calls placed",
}


def _sigma(label: str, initial: float) -> forms.FloatField:
    text = "Deviation of its logarithm"
    return forms.FloatField(label=label, min_value=0.01, max_value=2, initial=initial, help_text=text, required=False)


class WhatIfForm(forms.Form):
    agents = forms.IntegerField(min_value=1, max_value=MOST_AGENTS, initial=30)
    answer_rate = forms.FloatField(
        label="Answer rate, %", min_value=0.1, max_value=100, initial=25, help_text="Of 100 dials, answered by a person"
    )
    talk = forms.FloatField(label="Talk, s", min_value=5, max_value=3600, initial=120, help_text="Mean")
    wrap_up = forms.FloatField(label="Wrap-up, s", min_value=1, max_value=3600, initial=15, help_text="Mean")
    ring = forms.FloatField(
        label="Ring, s", min_value=1, max_value=60, initial=8, help_text="Mean until a person answers"
    )
    ring_timeout = forms.FloatField(label="Ring at most, s", min_value=15, max_value=120, initial=25)
    hours = forms.FloatField(label="Hours", min_value=0.25, max_value=MOST_HOURS, initial=4)
    cap = forms.FloatField(label="Abandon cap, %", min_value=0.1, max_value=50, initial=3)
    ratio = forms.FloatField(
        label="Power ratio", min_value=1, max_value=10, initial=3, help_text="Calls per idle agent"
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=1, help_text="The same gives the same")
    modes = forms.MultipleChoiceField(
        choices=[(mode, mode) for mode in MODES], initial=list(MODES), widget=forms.CheckboxSelectMultiple
    )
    talk_sigma = _sigma("Talk", 0.8)
    wrap_up_sigma = _sigma("Wrap-up", 0.5)
    ring_sigma = _sigma("Ring", 0.5)

    def plain_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name != "modes" and not field.name.endswith("_sigma")]

    def spread_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name.endswith("_sigma")]

    def spread_is_unusual(self) -> bool:
        return any(
            field.value() not in (None, "", field.field.initial, str(field.field.initial))
            for field in self.spread_fields()
        )

    def clean(self) -> dict[str, Any]:
        cleaned = dict(super().clean() or {})
        if not self.errors:
            try:
                cleaned["parameters"] = _parameters(cleaned)
            except ValueError as error:
                self.add_error(None, str(error))
        return cleaned


def _parameters(cleaned: dict[str, Any]) -> Parameters:
    values = {key: value for key, value in cleaned.items() if value is not None}
    values |= {"answer_rate": cleaned["answer_rate"] / 100, "cap": cleaned["cap"] / 100}
    values["modes"] = [mode for mode in MODES if mode in cleaned["modes"]]
    return Parameters.of(values).within(MOST_AGENTS, MOST_HOURS)


class CampaignForm(forms.Form):
    campaign = forms.ModelChoiceField(DialerCampaign.objects.all(), to_field_name="campaign_id", empty_label=None)
    days = forms.IntegerField(min_value=1, max_value=MOST_DAYS, initial=7)


@require_http_methods(["GET", "HEAD", "POST"])
@with_permission(Permission.SEE_PAGES, whole=True)
def page(request: HttpRequest, actor: Actor) -> HttpResponse:
    """POST starts a run and leads to its address; GET shows what the parameters in the address give."""
    context: dict[str, Any] = {"page": "whatif", "actor": actor, "limits": (MOST_AGENTS, MOST_HOURS)}
    given = request.POST if request.method == "POST" else request.GET
    form = WhatIfForm(given) if "agents" in given else WhatIfForm()
    source = CampaignForm(request.GET) if "campaign" in request.GET else CampaignForm()
    if "campaign" in request.GET and source.is_valid():
        found = measured.measure(source.cleaned_data["campaign"], source.cleaned_data["days"], timezone.now())
        form = WhatIfForm(initial=_initial(found))
        context |= {"measured": found, "measured_name": source.cleaned_data["campaign"].name}
    if form.is_bound and form.is_valid():
        asked: Parameters = form.cleaned_data["parameters"]
        try:
            if request.method == "POST":
                problem = _start(asked, actor)
                if not problem:
                    return redirect(f"{request.path}?{_address(form)}")
                form.add_error(None, problem)
            context |= _state(asked)
        except redis.RedisError as error:
            log.warning("the runs of the simulation cannot be read: %s", type(error).__name__)
            form.add_error(None, "Redis does not answer, so nothing can be run now.")
    context |= {"form": form, "source": source, "definitions": DEFINITIONS}
    return render(request, "console/whatif.html", context)


def _address(form: WhatIfForm) -> str:
    """The form as a query that gives the very same parameters; whole numbers without a point."""
    given = {key: form.cleaned_data[key] for key in form.fields if form.cleaned_data[key] is not None}
    whole = {key: int(value) for key, value in given.items() if isinstance(value, float) and value.is_integer()}
    return urlencode(given | whole, doseq=True)


def _initial(found: measured.Measured) -> dict[str, Any]:
    values = found.parameters()
    if "answer_rate" in values:
        values["answer_rate"] = round(100 * values["answer_rate"], 2)
    for name, field in WhatIfForm.base_fields.items():
        # What was measured may lie outside of what the page runs; the nearest that it does.
        if name in values and isinstance(field, (forms.FloatField, forms.IntegerField)):
            values[name] = min(max(values[name], field.min_value), field.max_value)
    return values


def _start(asked: Parameters, actor: Actor) -> str:
    """Put the run on the queue; why not, or ''."""
    if cache.get(f"whatif:{asked.key}") is not None:
        return ""
    if not cache.add(BUSY, {"key": asked.key, "user": actor.user_id, "at": time.time()}, BUSY_SECONDS):
        busy = cache.get(BUSY) or {}
        if busy.get("key") == asked.key:
            return ""
        whose = "Your last run" if busy.get("user") == actor.user_id else "Somebody else's run"
        return f"{whose} is still going on. One runs at a time; try again in a moment."
    try:
        current_app.send_task("dialer.tasks.simulate_pacing", args=[asked.as_dict(), BUSY, KEPT_SECONDS], retry=False)
    except OperationalError:
        cache.delete(BUSY)
        return "The queue does not answer, so nothing can be run now."
    return ""


def _state(asked: Parameters) -> dict[str, Any]:
    """What is known of a run: its result, that it failed, or since when it is going on."""
    found = cache.get(f"whatif:{asked.key}")
    if found is not None and "failed" in found:
        return {"failed": found["failed"]}
    if found is not None:
        return {"rows": rows(found), "charts": drawn(found), "asked": asked}
    busy = cache.get(BUSY) or {}
    return {"running": round(time.time() - busy["at"])} if busy.get("key") == asked.key else {}


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A line of the table for each mode."""
    return [
        {
            "mode": mode,
            "utilisation": percent(one["utilisation"], 2),
            "abandoned": percent(one["abandon_rate"], 2),
            "lost": one["abandoned"],
            "answered": one["answered"],
            "over": (one["abandon_rate"] or 0) > found["parameters"]["cap"],
            "worst": percent(one["worst_half_hour"], 2),
            "mean": seconds(one["mean_wait"]),
            "wait95": seconds(one["wait_95"]),
            "dialled": one["dialled"],
        }
        for mode, one in found["modes"].items()
    ]


def drawn(found: dict[str, Any]) -> list[charts.Chart]:
    modes, step = found["modes"], found["slice_seconds"]
    agents, cap = found["parameters"]["agents"], found["parameters"]["cap"]
    ends = [step * (n + 1) / 3600 for n in range(max((len(one["slices"]) for one in modes.values()), default=0))]
    hours = next(step for least, step in ((4, 1.0), (2, 0.5), (0, 0.25)) if found["parameters"]["hours"] >= least)
    busy = {mode: [_occupied(part[0], agents * step) for part in one["slices"]] for mode, one in modes.items()}
    lost = {mode: _running(one["slices"]) for mode, one in modes.items()}
    waits = {mode: [100 - 100 * share for share in one["within"]] for mode, one in modes.items() if one["within"]}
    return [
        charts.chart(
            "Occupancy", DEFINITIONS["utilisation"] + ", in each five minutes", ends, busy,
            x_text=clock, y_text=whole, least_top=100, x_step=hours,
        ),
        charts.chart(
            "Abandoned until then", DEFINITIONS["abandoned"] + ", from the start of the run", ends, lost,
            x_text=clock, y_text=fine, least_top=100 * cap * 1.2, x_step=hours, mark=100 * cap,
            mark_text=f"cap {exact_percent(cap)}",
        ),
        charts.chart(
            "Waited longer than", "Of the people joined to an agent, the share who waited longer", whatif.WITHIN, waits,
            x_text=lambda x: f"{x:.1f} s", y_text=fine, least_top=1,
        ),
    ]  # fmt: skip


def _occupied(busy: float, logged_in: float) -> float:
    """Per cent; both in seconds."""
    return 100 * (figures.occupancy(busy, 0, 0, logged_in - busy).value or 0.0)


def _running(slices: list[list[float]]) -> list[float | None]:
    """Share abandoned so far, in per cent, at the end of each slice."""
    answered = lost = 0.0
    shares: list[float | None] = []
    for _, heard, abandoned in slices:
        answered, lost = answered + heard, lost + abandoned
        share = figures.abandon_rate(lost, answered).value
        shares.append(None if share is None else 100 * share)
    return shares


def clock(hours: float) -> str:
    minutes = round(60 * hours)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def whole(value: float) -> str:
    return f"{value:.0f} %"


def fine(value: float) -> str:
    return f"{round(value, 2):g} %"
