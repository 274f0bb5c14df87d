"""axe-core on a page as it stands. Its rules: github.com/dequelabs/axe-core (MPL 2.0, vendor/axe.LICENSE.txt)."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_SOURCE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = ("serious", "critical")
# Of its rules the two that look at colours. The others find the same in light and in dark.
COLOURS = ("color-contrast", "link-in-text-block")
# Hover and changes of colour are over. Asked once, not waited for: that would need what the policy of the page forbids.
_SETTLED = """Promise.allSettled(document.getAnimations()
  .filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime)).map((one) => one.finished))"""
# WCAG 2.2 A and AA, and what the makers of axe call good practice.
_RUN = """async ([impacts, within, rules]) => {
  const options = { resultTypes: ["violations"], preload: false, ...(rules ? { runOnly: rules } : {}) };
  const found = await axe.run(within || document, options);
  return found.violations.filter((rule) => impacts.includes(rule.impact)).map((rule) => ({
    rule: rule.id, impact: rule.impact, help: rule.help,
    where: rule.nodes.map((node) => node.target.flat().join(" ")),
    why: rule.nodes.map((node) => node.failureSummary),
  }));
}"""


@cache
def _source() -> str:
    return _SOURCE.read_text(encoding="utf-8")


def serious_faults(
    page: Page, impacts: tuple[str, ...] = SERIOUS, *, within: str = "", rules: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What axe-core finds on the page as it stands, of these impacts: {rule, impact, help, where[], why[]} each.

    within: only in what this selector finds, for a page of which the rest has been looked at. rules: these alone.
    The debugger's own door runs it, so the page's content security policy stays as it is. Colours are judged as they
    are painted: emulate the scheme before, and let transitions end.
    """
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN, [list(impacts), within, list(rules) or None])
    return found


def by_day_and_night(page: Page, within: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The scheme and the fault, for each serious one in light and in dark. The page is left light."""
    for scheme, rules in (("dark", COLOURS), ("light", ())):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(_SETTLED)
        for fault in serious_faults(page, within=within, rules=rules):
            yield scheme, fault
