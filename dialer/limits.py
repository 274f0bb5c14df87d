"""Named limits of the dialer, each with its reason, and the arithmetic of rate limits. Pure."""

from __future__ import annotations

from datetime import timedelta

# The safety net under "at once": an agent who becomes free triggers a decision without waiting for it.
TICK_SECONDS = 1.0
# Longer than any task takes; shorter than a person's patience should a tick be lost with its worker.
TICK_PENDING_SECONDS = 5
# How long the sequential worker's lease lasts unrenewed: the pause before another takes over from one that is frozen or
# cut off, in which nobody dials or joins. Three renewals may be missed; the fence makes a needless change harmless.
LEASE_SECONDS = 4
LEASE_RENEW_SECONDS = 0.9
# An order that waited longer is not executed: the customer or the agent it was meant for has moved on.
ORDER_SECONDS = 10.0
# An attempt the switch has not mentioned is in doubt once its order can no longer be executed.
IN_DOUBT_AFTER = timedelta(seconds=ORDER_SECONDS + 3)
PROBE_EVERY = timedelta(seconds=5)
# Open calls and legs missing from the live state are asked for, this long after they were begun: an order that left has
# brought its leg there by then, and to ask for one that is only late does no harm.
MISSING_AFTER = timedelta(seconds=5)
# A hang-up that has come to nothing is ordered again, this long after it was ordered: by then a link that was lost is
# mostly back, and the comparison that follows has told who is joined or gone.
HANG_UP_AGAIN_AFTER = timedelta(seconds=5)
# US and UK rules: a person who answers waits at most this long for an agent.
ANSWER_GRACE = timedelta(seconds=2)
# An ordered bridge is given this long to be made before the customer is let go.
BRIDGE_PATIENCE = timedelta(seconds=3)
# A softphone that fails this often in a row is left alone; the agent is told.
SOFTPHONE_TRIES = 3
SOFTPHONE_RETRY_SECONDS = (1, 5, 15)
SOFTPHONE_STEADY = timedelta(seconds=10)
# A softphone that has told the switch it is gone is not called until it registers again; or for this long, should that
# event have been lost. Nor is one whose leg is open given anybody meanwhile: by then the switch has ended a leg that
# brings no sound (its rtp-timeout-sec, 300 as it comes).
UNREGISTERED_WAIT = timedelta(minutes=5)
# A softphone that comes under another Call-ID has restarted, and its leg is hung up; but some take another with every
# registration, and two may share an extension: after one such hang-up that says nothing for this long.
SOFTPHONE_CHANGES = timedelta(minutes=15)
# Panels are looked for this often; a lost one has a grace time of its own (PANEL_GRACE_SECONDS).
PRESENCE_EVERY_SECONDS = 2.0
# Shares among campaigns are of calls within RATE_WINDOW, and counted again after this long.
SHARES_EVERY_SECONDS = 0.5
# A switch link not heard of for this long stops new calls (heartbeats come every 2 s).
LINK_STALE_SECONDS = 8.0
# Placed per campaign and decision: bounds one tick's work; the next comes within a second.
MAX_PLACED_PER_DECISION = 50
# Contacts looked at per campaign and decision to find the wanted ones: bounds one tick's work. Those found blocked
# leave the front of the index, so the next decision sees others.
MAX_EXAMINED = 400
# A contact behind a gate that only a person opens is looked at again this often. Entries that are removed and rules
# that are changed set contacts free at once; this finds what was changed past the forms, with SQL say.
RECHECK = timedelta(hours=6)
# A number on a call, for whatever campaign: looked at again this much later.
ON_CALL_RECHECK = timedelta(seconds=20)
# Where several campaigns dial one list, what one may not call and another may is looked at by the first again this much
# later: in each decision it would cost as much as dialling it, and be all that is looked at.
PASSED_OVER_RECHECK = timedelta(minutes=1)
# For a contact that an agent dials by hand while somebody else writes it: longer than any short transaction holds it,
# and a pause that nobody on the floor notices. An import would hold it for minutes.
CONTACT_WAIT_MS = 500
# Of contacts set free in one statement: locks are held for milliseconds.
FREED_AT_ONCE = 5_000
# A floor known only from before this is no ground to dial ahead of the agents.
OBSERVATION_STALE_SECONDS = 3.0
# Facts that lag this much: whoever answered now would not be joined in time, so nobody is called at all.
OBSERVATION_USELESS_SECONDS = 5.0
# Below this many agents one misjudged call is most of the team: nothing is dialled ahead.
MIN_AGENTS_AHEAD = 3
RATE_WINDOW = timedelta(hours=1)
# A command older than this when the worker reads it is refused: what was asked no longer fits what is.
COMMAND_SECONDS = 60.0

# A command's task comes within milliseconds, or behind a queue that moves; one that has not come is looked for then.
OVERLOOKED_AFTER = timedelta(seconds=5)
OVERLOOKED_LIMIT = 200

# A softphone or an extension that is called for a live call rings this long: a customer may be waiting.
SIDE_RING_SECONDS = 20
# A bridge, park or transfer that the switch has not confirmed after this long counts as not done: the order itself
# expires after ORDER_SECONDS.
OPERATION_PATIENCE = timedelta(seconds=ORDER_SECONDS + 5)
# Between the end of a bridge and CHANNEL_PARK lie milliseconds. Should that event be lost, it goes on after this.
PARK_PATIENCE = timedelta(seconds=1.5)
# A customer whose agent's softphone goes is hung up by the switch within milliseconds. One who by its word is with
# nobody for this long was sent elsewhere, by none of our orders.
PARTED_PATIENCE = timedelta(seconds=3)
# The eavesdropping of a softphone that has just answered hears digits after half a second (esl_bridge/order_runner.py).
LISTEN_SETTLES = timedelta(seconds=1)
# A mute that nobody has taken back is ordered off again this often: each loss is one of the link, and they are rare.
UNMUTE_TRIES = 10
# Whatever a command asks of the switch is done by then, or is not done: the longest is a ring and two operations.
CONFIRM_WITHIN = timedelta(seconds=SIDE_RING_SECONDS + 40)


def calls_left(placed_in_window: int, per_hour: int) -> int:
    """How many more calls an agent may get within the rolling hour."""
    return max(0, per_hour - placed_in_window)
