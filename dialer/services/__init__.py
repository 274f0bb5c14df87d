"""Writes: one transaction each, run by the sequential worker only. Reads are in dialer/selectors.py
and dialer/floor_rows.py.

agents.py (the only writer of agent state), calls.py (attempts from order to outcome), dialing.py (whom to call now),
commands.py (what people ask for), facts.py (what the switch says), doubts.py (what nobody has said anything about).
"""
