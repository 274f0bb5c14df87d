"""How many calls to place now, and why. Pure: facts and floor in, a decision with its reason out.

`Progressive`, `Power` and `predictive.Predictive` are policies: told every fact, asked each second. Predictive is
imported by its own name, because it brings numpy. See docs/pacing.md.
"""

from dialer.pacing.decision import BindingReason, Decision, Mode
from dialer.pacing.observation import Ceilings, Observation, Policy, Stratum, WindowCount
from dialer.pacing.profile import CapWindow, Profile, standard
from dialer.pacing.ratio import Power, Progressive

__all__ = [
    "BindingReason",
    "CapWindow",
    "Ceilings",
    "Decision",
    "Mode",
    "Observation",
    "Policy",
    "Power",
    "Profile",
    "Progressive",
    "Stratum",
    "WindowCount",
    "standard",
]
