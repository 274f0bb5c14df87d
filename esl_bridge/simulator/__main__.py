"""`python -m esl_bridge.simulator`: a simulated FreeSWITCH on a TCP port."""

from esl_bridge.simulator.cli import main

main()
