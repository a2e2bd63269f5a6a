"""What a request's first line asks of the door. Spec: docs/specs/session-onion.md §12.2."""

from __future__ import annotations

from enum import Enum

from relay.session.http import Head, Response


class Route(Enum):
    """The things that the door can be asked, with their methods and targets."""

    ONION = (b"POST", b"/onion_req/v2")
    STORAGE = (b"POST", b"/storage_rpc/v1")
    STATISTICS = (b"GET", b"/get_stats/v1")
    PING = (b"POST", b"/ping_test/v1")
    SEED = (b"POST", b"/json_rpc")


_ROUTES = {route.value: route for route in Route}


def route_of(head: Head, *, is_seed: bool) -> Route | Response:
    """What is asked, or the response to what nobody can ask.

    Args:
        is_seed: whether this relay hands out the list of nodes to whoever asks.
    """
    route = _ROUTES.get((head.method, head.target))
    if route is None or (route is Route.SEED and not is_seed):
        return Response(404, b"%b %b Not Found" % (head.method.lower(), head.target))
    return route
