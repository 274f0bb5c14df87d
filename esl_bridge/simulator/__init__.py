"""A FreeSWITCH to develop and test against: its event socket, its calls, and a log that judges.

It speaks the event-socket protocol as FreeSWITCH 1.10.12 was captured doing (tests/data/esl),
places simulated calls, and keeps its own log of every INVITE, so that a fault test can ask it
what really happened. Nothing in this package imports Django.
"""

from esl_bridge.simulator.config import Config, Mix
from esl_bridge.simulator.thread import SimulatorThread

__all__ = ["Config", "Mix", "SimulatorThread"]
