"""A relay's whole data plane, without sockets, tasks or clocks.

Bytes of a link go in, ``Actions`` come out, and a driver carries them out: ``links`` over sockets, the simulations
over an event heap. A packet's way:

    receive -> admission -> peel -> replay memory -> forwarding: the next link's write, an exchange that waits
                                                  -> serve: an action, an exchange that a service works on
    receive (reply) -> forwarding -> the exchange ends -> replies: sealed once more -> the previous link's write
    answered                      -> the exchange ends -> replies: sealed           -> the previous link's write

and a call of our own to another relay:

    ask -> asks: the link's write -> receive (answer) -> asks: an action, what came of it

Every public method is one step: it handles what came, and then settles, which closes links that hold too much. While
frames are handled no link goes away; the one whose peer broke the rules does afterwards.

Spec: docs/specs/link.md, docs/specs/onion-native.md. What it leaves to others: connections (driver), services
(registry), what is refused unopened (``admission``) and how much is opened (``openings``), the way to the next relay
(``forwarding``), how exchanges end (``replies``), what our services are asked (``calls``) and what we ask ourselves
(``asks``), who a relay is (``acquaintance``), which relays exist and which keys are valid (``use_network``,
``use_keys``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.link.frames import CallBody, Frame, Kind
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Forward, HopKey, Packet, Serve
from onionpath.onion.replay import Remembered, ReplayMemory
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Reply
from relay.acquaintance import Acquaintance, Greeting
from relay.admission import Admission
from relay.asks import Asks
from relay.calls import Calls
from relay.exchanges import Exchanges, Origin, Queued, Sent, Served
from relay.forwarding import Forwarding
from relay.limits import SwitchLimits
from relay.link import Link, LinkState
from relay.link_table import LinkTable
from relay.openings import Openings, cost_of
from relay.refusals import OF_REPLAY, Refusal
from relay.replies import Replies
from relay.step import Actions, Desk, Step, Watch
from relay.switch_statistics import SwitchStatistics


class Switch:
    """See the module's first lines.

    Args:
        onion: the packet format of this network.
        identity: our name among relays.
        network_id: 32 bytes.
        link_key_hash: of our own TLS certificate, which callers prove themselves against.
        replay: what we have seen.
        limits: sizes, rates and times.
        entropy: for nonces of replies and proofs.
        watch: only in experiments.
    """

    def __init__(
        self,
        onion: NativeOnion,
        identity: IdentityKey,
        *,
        network_id: bytes,
        link_key_hash: bytes,
        replay: ReplayMemory,
        limits: SwitchLimits,
        entropy: Entropy,
        watch: Watch | None = None,
    ) -> None:
        self._onion = onion
        self._geometry = onion.geometry
        self._replay = replay
        self._limits = limits
        self._watch = watch
        self._key_hashes: Mapping[RelayId, bytes] = {}
        self._counts: Counter[str] = Counter()
        self._links = links = LinkTable(onion.geometry, limits)
        self._openings = Openings(limits.openings_per_second)
        self._desk = Desk(onion.geometry, links, watch)
        self._exchanges = exchanges = Exchanges()
        self._replies = replies = Replies(onion, links, self._counts, entropy=entropy)
        self._admission = Admission(replay, links, exchanges, replies, self._counts, limits)
        self._calls = Calls(onion.geometry, self._admission, exchanges, replies, self._counts, limits)
        self._forwarding = Forwarding(identity.relay_id, links, exchanges, replies, self._counts, limits)
        self._asks = Asks(onion.geometry, links, self._forwarding, exchanges, self._counts, limits)
        self._acquaintance = Acquaintance(
            identity, network_id=network_id, link_key_hash=link_key_hash, entropy=entropy
        )

    # What the relay is told by its keeper.

    def use_network(self, key_hashes: Mapping[RelayId, bytes]) -> None:
        """The relays of the newest document, each with the hash of its link key."""
        self._key_hashes = key_hashes
        self._forwarding.use_network(key_hashes.keys())

    def use_keys(self, keys: Mapping[int, HopKey]) -> None:
        """Our packet keys that may be used now, by generation."""
        self._admission.keys = keys

    def statistics(self) -> SwitchStatistics:
        """A snapshot."""
        calls = self._exchanges.calls
        waiting = len(self._exchanges) - calls
        queued_bytes = self._links.queued_bytes + self._exchanges.queued_bytes
        in_flight, asks = self._links.in_flight, len(self._asks)
        return SwitchStatistics(
            dict(self._counts), len(self._links), in_flight, waiting, calls, asks, queued_bytes
        )

    # Links come and go.

    def opened(self, link_id: int, *, now: UnixTime, peer: RelayId | None = None) -> Actions:
        """A connection stands: we called ``peer``, whose TLS key was checked, or somebody (None) called us."""
        step = self._desk.step(now)
        state = LinkState.OPEN if peer is None else LinkState.CLAIMING
        link = self._links.add(link_id, state, peer, now)
        if peer is not None:
            self._greet(step, link, self._acquaintance.begin(link))
        return self._settle(step)

    def closed(self, link_id: int, *, now: UnixTime, reason: str = "peer_closed") -> Actions:
        """A connection is gone; whatever waited for it fails now rather than at its deadline."""
        step = self._desk.step(now)
        self._forget_link(step, link_id, reason)
        return self._settle(step)

    def dial_failed(self, relay_id: RelayId, *, now: UnixTime) -> Actions:
        """No connection to this relay could be made; what waited for it fails, and we don't try again at once."""
        step = self._desk.step(now)
        self._not_reached(step, relay_id)
        return self._settle(step)

    def written(self, link_id: int, size: int) -> None:
        """The driver has given so many bytes of our writes to the network."""
        self._links.written(link_id, size)

    def drain(self, *, now: UnixTime) -> Actions:
        """Take nothing new, finish what is under way, and let every neighbour know."""
        step = self._desk.step(now)
        self._admission.is_draining = True
        for link in self._links:
            step.write(link, Kind.GOING_AWAY)
        return self._settle(step)

    def adapt(self, idle_share: float, *, now: UnixTime) -> None:
        """The driver had nothing to do for this part of the time since it last said so, 0 to 1."""
        self._openings.adapt(idle_share, now)

    @property
    def is_idle(self) -> bool:
        """True when nothing is under way and nothing waits to be written."""
        is_used = len(self._exchanges) or len(self._asks) or self._exchanges.is_dialling
        return not (is_used or self._links.queued_bytes)

    # Bytes come in.

    def receive(self, link_id: int, data: bytes | memoryview, *, now: UnixTime) -> Actions:
        """Take bytes of a link and handle every complete frame in them.

        Args:
            data: may point into a buffer that is reused afterwards; empty data go on after a pause.
        """
        step = self._desk.step(now)
        link = self._links.get(link_id)
        if link is None:
            return step.actions
        link.reader.feed(data)
        try:
            self._read_frames(step, link)
            link.reader.keep()
        except FaultyPeerError as error:
            self._close(step, link, error.fault.value)
        return self._settle(step)

    def _read_frames(self, step: Step, link: Link) -> None:
        while True:
            before = link.reader.waiting
            frame = link.reader.next_frame()
            if frame is None:
                break
            is_request = frame.kind is Kind.REQUEST
            stale = self._admission.stale(link, frame, step.now) if is_request else None
            paused_until = self._pause(step, link, frame, is_opened=is_request and stale is None)
            if paused_until is not None:
                link.reader.unread(before)
                step.actions.pauses.append((link.link_id, paused_until))
                link.incomplete_since = None
                return
            self._note(step, link, frame)
            self._handle(step, link, frame, stale)
        if not link.reader.waiting:
            link.incomplete_since = None
        elif link.incomplete_since is None:
            link.incomplete_since = step.now

    def _pause(self, step: Step, link: Link, frame: Frame, *, is_opened: bool) -> UnixTime | None:
        """Until when this frame must wait to be handled, if so."""
        if not _LIMITED[frame.kind]:
            return None
        until = self._openings.wait_until(link, step.now)
        if until is not None:
            self._counts["openings_used_up"] += 1
            return until
        if not link.rate.take(step.now):
            self._counts["reading_paused"] += 1
            return link.rate.next_at()
        self._openings.draw(link, cost_of(frame, is_opened=is_opened))
        return None

    def _note(self, step: Step, link: Link, frame: Frame) -> None:
        link.heard_at = step.now
        link.incomplete_since = None
        if self._watch:
            size = self._geometry.frame_size(frame.size_class)
            self._watch.saw(link.link_id, sent=False, kind=frame.kind, size=size)

    def _handle(self, step: Step, link: Link, frame: Frame, stale: Refusal | None) -> None:
        match frame.kind:
            case Kind.REQUEST:
                self._request(step, link, frame, stale)
            case Kind.REPLY | Kind.REJECT:
                self._forwarding.take_reply(step, link, frame)
            case Kind.CALL:
                self._calls.take_call(step, link, frame)
            case Kind.PING:
                step.write(link, Kind.PONG, exchange_id=frame.exchange_id)
            case Kind.CLAIM | Kind.CHALLENGE | Kind.PROOF:
                self._greet(step, link, self._acquaintance.take(link, frame, self._key_hashes))
            case Kind.GOING_AWAY:
                link.going_away = True
                if link.peer is not None:
                    # Otherwise a relay that says so on every link would have us make ever more of them.
                    self._forwarding.avoid(link.peer, step.now)
            case Kind.ANSWER:
                self._asks.take_answer(step, link, frame)
            case Kind.PADDING | Kind.PONG:
                self._counts[f"{frame.kind.name.lower()}_ignored"] += 1

    def _greet(self, step: Step, link: Link, greeting: Greeting) -> None:
        if greeting.kind is not None:
            step.write(link, greeting.kind, body=greeting.body)
        if greeting.known is not None:
            self._links.proven(link, greeting.known, step.now)
            if self._watch:
                self._watch.proven(link.link_id, greeting.known)
            self._forwarding.reached(step, link, greeting.known)
            self._asks.reached(step, link, greeting.known)

    # A request: refuse cheaply, open, remember, then act.

    def _request(self, step: Step, link: Link, frame: Frame, stale: Refusal | None) -> None:
        refusal = stale or self._admission.overload(step, link)
        if refusal is None:
            refusal = self._open(step, link, frame)
        if refusal is not None:
            self._counts[refusal.value] += 1
            step.write(link, Kind.REJECT, exchange_id=frame.exchange_id)

    def _open(self, step: Step, link: Link, frame: Frame) -> Refusal | None:
        packet = Packet(frame.size_class, frame.depth, frame.generation, frame.slot, frame.body)
        try:
            peeled = self._onion.peel(packet, self._admission.keys[frame.generation])
        except BadLayerError:
            return self._wasted(link, Refusal.LAYER_BAD)
        except MalformedError:
            return self._wasted(link, Refusal.LAYER_MALFORMED)
        remembered = self._replay.remember(frame.slot, peeled.seed, now=step.now)
        if remembered is not Remembered.FRESH:
            return self._wasted(link, OF_REPLAY[remembered])
        self._take(step, link, frame, peeled)
        return None

    def _wasted(self, link: Link, refusal: Refusal) -> Refusal:
        link.charge_bad_packet(self._limits)
        return refusal

    def _take(self, step: Step, link: Link, frame: Frame, peeled: Forward | Serve) -> None:
        deadline = UnixTime(step.now + self._limits.patience_s(self._geometry.last_depth - frame.depth))
        key = peeled.reply_key
        origin = Origin(
            link.link_id, frame.exchange_id, key.reply_class, key, frame.depth, step.now, deadline
        )
        link.in_flight += 1
        match peeled:
            case Serve():
                self._calls.take_sealed(step, link, peeled, origin)
            case Forward() if self._forwarding.knows(peeled.next_relay):
                self._forwarding.forward(step, peeled, origin)
            case Forward():
                link.charge_bad_packet(self._limits)
                self._replies.fail_edge(step, origin, Reason.NEXT_UNKNOWN)

    # Calls: what our services are asked, and what we ask others.

    def answered(self, call_id: int, reply: Reply, *, now: UnixTime) -> Actions:
        """A service has answered."""
        step = self._desk.step(now)
        self._calls.answered(step, call_id, reply)
        return self._settle(step)

    def ask(
        self, number: int, relay_id: RelayId, call: CallBody, *, now: UnixTime, timeout_s: float
    ) -> Actions:
        """Ask a relay of the newest document; ``Actions.answers`` of this or a later step says what came of it.

        Args:
            number: the driver's own, for this ask alone.

        Raises:
            UsageError: no frame is large enough for this call.
        """
        step = self._desk.step(now)
        self._asks.ask(step, number, relay_id, call, UnixTime(now + timeout_s))
        return self._settle(step)

    def forget_ask(self, number: int) -> None:
        """Whoever asked does not want to know any more."""
        self._asks.forget(number)

    # Time passes.

    def tick(self, now: UnixTime) -> Actions:
        """Enforce deadlines and shed slow peers; once a second is often enough."""
        step = self._desk.step(now)
        for origin, place in self._exchanges.take_overdue(now):
            match place:
                case Sent():
                    self._replies.fail_edge(step, origin, Reason.NEXT_TIMED_OUT)
                case Queued():
                    self._replies.fail_edge(step, origin, Reason.NEXT_UNREACHABLE)
                case Served():
                    self._counts["service_timed_out"] += 1
                    self._replies.end(step, origin, Reply.refused(Reason.SERVICE_TIMED_OUT))
        self._asks.end_overdue(step)
        for link in self._links:
            overdue = self._overdue(link, now)
            if overdue is not None:
                self._close(step, link, overdue)
        self._forwarding.forget(now)
        self._openings.forget(now)
        return self._settle(step)

    def _overdue(self, link: Link, now: UnixTime) -> str | None:
        if link.state is LinkState.PROVEN and link.peer not in self._key_hashes:
            return Fault.PEER_LEFT_NETWORK.value
        awaits = self._exchanges.awaits(link.link_id) or self._asks.awaits(link.link_id)
        is_used = bool(link.in_flight) or awaits
        return link.overdue(self._limits, now, is_used=is_used)

    def _settle(self, step: Step) -> Actions:
        """End a step: close links that hold too much, largest first, until none does."""
        while (too_much := self._links.holder_of_too_much()) is not None:
            self._close(step, *too_much)
        return step.actions

    def _close(self, step: Step, link: Link, reason: str) -> None:
        step.actions.closes.append((link.link_id, reason))
        self._forget_link(step, link.link_id, reason)

    def _forget_link(self, step: Step, link_id: int, reason: str) -> None:
        link = self._links.remove(link_id)
        if link is None:
            return
        self._counts[f"link_{reason}"] += 1
        if link.state is LinkState.CLAIMING and link.peer is not None:
            self._not_reached(step, link.peer)
        self._forwarding.lost(step, link_id)
        self._asks.lost(step, link_id)

    def _not_reached(self, step: Step, relay_id: RelayId) -> None:
        self._forwarding.not_reached(step, relay_id)
        self._asks.not_reached(step, relay_id)


# Frames that draw from the link's rate. Replies cost work too, but each belongs to a request of ours; the ones that
# don't are handled in ``Forwarding.take_reply`` and ``Asks.take_answer``.
_LIMITED = [number not in (Kind.REPLY, Kind.REJECT, Kind.ANSWER) for number in range(max(Kind) + 1)]
