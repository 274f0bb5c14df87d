"""How many calls to place now, and why. Pure: facts and floor in, a decision with its reason out.

`progressive` answers from counts alone; `Progressive`, `Power` and `predictive.Predictive` are policies that are told
every fact. Predictive is imported by its own name, because it brings numpy. See docs/pacing.md.
"""

from dialer.pacing.decision import BindingReason, Decision, Mode
from dialer.pacing.observation import Ceilings, Observation, Policy, Stratum, WindowCount
from dialer.pacing.profile import CapWindow, Profile, standard
from dialer.pacing.ratio import Inputs, Power, Progressive, progressive

__all__ = [
    "BindingReason",
    "CapWindow",
    "Ceilings",
    "Decision",
    "Inputs",
    "Mode",
    "Observation",
    "Policy",
    "Power",
    "Profile",
    "Progressive",
    "Stratum",
    "WindowCount",
    "progressive",
    "standard",
]
