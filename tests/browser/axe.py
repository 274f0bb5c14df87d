"""axe-core on a page as it stands. Its rules: github.com/dequelabs/axe-core (MPL 2.0, vendor/axe.LICENSE.txt)."""

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_SOURCE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = ("serious", "critical")
# WCAG 2.2 A and AA, and what the makers of axe call good practice.
_RUN = """async ([impacts]) => {
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
  return found.violations.filter((rule) => impacts.includes(rule.impact)).map((rule) => ({
    rule: rule.id, impact: rule.impact, help: rule.help,
    where: rule.nodes.map((node) => node.target.flat().join(" ")),
    why: rule.nodes.map((node) => node.failureSummary),
  }));
}"""


@cache
def _source() -> str:
    return _SOURCE.read_text(encoding="utf-8")


def serious_faults(page: Page, impacts: tuple[str, ...] = SERIOUS) -> list[dict[str, Any]]:
    """What axe-core finds on the page as it stands, of these impacts: {rule, impact, help, where[], why[]} each.

    The debugger's own door runs it, so the page's content security policy stays as it is. Colours are judged as they
    are painted: emulate the scheme before, and let transitions end.
    """
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN, [list(impacts)])
    return found
