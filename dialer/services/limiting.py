"""A supervisor changes what bounds a campaign's dialling, from the next decision on."""

from decimal import Decimal, InvalidOperation
from typing import Any

from dialer import announce
from dialer.models import DialerCampaign
from dialer.models_modes import LARGEST_RATIO, SMALLEST_RATIO
from dialer.services import wake
from dialer.services.acting import Rejected

# More at once is a typing mistake; the system's own limits bind besides.
MOST_LINES, MOST_CALLS_PER_SECOND = 10_000, 1_000


def set_limits(campaign: DialerCampaign, command: dict[str, Any]) -> dict[str, Any]:
    """{max_lines, calls_per_second, power_ratio}: those that are given; 0 calls per second means only the system's
    limit. What rings, rings on. Raises Rejected, and changes nothing, when one of them is out of its bounds."""
    wanted: dict[str, Any] = {}
    if (lines := command.get("max_lines")) is not None:
        wanted["max_lines"] = _whole(lines, "lines", MOST_LINES)
    if (rate := command.get("calls_per_second")) is not None:
        wanted["max_calls_per_second"] = _whole(rate, "calls per second", MOST_CALLS_PER_SECOND) or None
    if (ratio := command.get("power_ratio")) is not None:
        wanted["power_ratio"] = _ratio(ratio)
    if not wanted:
        raise Rejected("no limit is named: max_lines, calls_per_second or power_ratio")
    fresh = {name: value for name, value in wanted.items() if getattr(campaign, name) != value}
    if fresh:
        for name, value in fresh.items():
            setattr(campaign, name, value)
        campaign.version += 1
        campaign.save(update_fields=[*fresh, "version", "updated_at"])
        announce.changed("campaign", campaign.pk)
        wake.dialer()
    return {
        "campaign_id": str(campaign.campaign_id),
        "max_lines": campaign.max_lines,
        "calls_per_second": campaign.max_calls_per_second,
        "power_ratio": float(campaign.power_ratio),
    }


def _whole(value: Any, what: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Rejected(f"{what}: a whole number from 0 to {most:,}")
    return value


def _ratio(value: Any) -> Decimal:
    try:
        ratio = Decimal(str(value)).quantize(Decimal("0.01"))
        within = SMALLEST_RATIO <= ratio <= LARGEST_RATIO
    except InvalidOperation:  # no number, infinite, or a NaN, which cannot be compared
        within = False
    if not within:
        raise Rejected(f"calls for each idle agent: a number from {SMALLEST_RATIO} to {LARGEST_RATIO}")
    return ratio
