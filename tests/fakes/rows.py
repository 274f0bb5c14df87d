"""Rows as the rooms announce them to the floor, made by hand or generated."""

from typing import Any

from hypothesis import strategies as st

from console.projection import Projection

AGENTS, CALLS, CAMPAIGNS = ["a1", "a2", "a.3"], ["c1", "c2", "c3"], ["k1", "k2"]
TEAMS = ["t1", "t2"]
STATES = ["initiated", "alerting", "answered", "bridged", "held", "ended"]


def agent(key: str, version: int = 0, **fields: Any) -> dict[str, Any]:
    base = {"id": key, "name": key.upper(), "extension": "100", "active": True, "status": "available", "reason": ""}
    return base | {"since": 1, "softphone": "open", "campaigns": ["k1"], "calls_today": 0, "version": version} | fields


def campaign(key: str, version: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": key, "name": key, "status": "active", "today": {}, "version": version} | fields


def call(key: str, version: int = 0, **fields: Any) -> dict[str, Any]:
    base = {"id": key, "campaign_id": "k1", "agent_id": "a1", "number": "+1212***34", "contact": "Ann", "attempt": 1}
    return base | {"status": "dialing", "started": 5, "ended_at": None, "version": version} | fields


def leg(key: str, state: str = "alerting", **fields: Any) -> dict[str, Any]:
    return {"leg": key, "role": "customer", "state": state, "since": 10, "call_id": key} | fields


changes = st.one_of(
    st.tuples(
        st.just("agent"),
        st.sampled_from(AGENTS),
        st.one_of(
            st.none(),
            st.builds(
                lambda team, status, version, member, busy: {
                    "team": team, "status": status, "version": version, "campaigns": member, "call_id": busy,
                },
                st.sampled_from(["", *TEAMS]),
                st.sampled_from(["available", "busy", "break", "offline", "on_call"]),
                st.integers(0, 5),
                st.lists(st.sampled_from(CAMPAIGNS), unique=True, max_size=2),
                st.one_of(st.none(), st.sampled_from(CALLS)),
            ),
        ),
    ),
    st.tuples(
        st.just("campaign"),
        st.sampled_from(CAMPAIGNS),
        st.one_of(
            st.none(),
            st.builds(
                lambda n, version: {"version": version, "today": {"attempts": n, "answered": n // 2}},
                st.integers(0, 50),
                st.integers(0, 5),
            ),
        ),
    ),
    st.tuples(
        st.just("call"),
        st.sampled_from(CALLS),
        st.one_of(
            st.none(),
            st.builds(
                lambda owner, member, ended, version: {
                    "agent_id": owner, "campaign_id": member, "ended_at": ended, "version": version,
                },
                st.one_of(st.none(), st.sampled_from(AGENTS)),
                st.one_of(st.none(), st.sampled_from(CAMPAIGNS)),
                st.one_of(st.none(), st.just(99)),
                st.integers(0, 5),
            ),
        ),
    ),
    st.tuples(
        st.just("leg"),
        st.sampled_from([*CALLS, "x1"]),
        st.one_of(st.none(), st.builds(lambda state: {"state": state}, st.sampled_from(STATES))),
    ),
)  # fmt: skip
makers = {"agent": agent, "campaign": campaign, "call": call, "leg": leg}


def tell(projection: Projection, change: tuple[str, str, dict[str, Any] | None]) -> None:
    kind, key, fields = change
    projection.change(kind, key, None if fields is None else makers[kind](key, **fields))


def fresh(*told: tuple[str, str, dict[str, Any] | None]) -> Projection:
    projection = Projection()
    projection.start_epoch("1.1", 0)
    for kind, key, row in told:
        projection.change(kind, key, row)
    projection.frame(1)
    return projection
