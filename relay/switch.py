"""A relay's whole data plane, without sockets, tasks or clocks.

Bytes of a link go in, ``Actions`` come out, and a driver carries them out: ``links`` over sockets, the simulations
over an event heap. A packet's way:

    receive -> cheap refusals -> peel -> replay memory -> forward: the next link's write, an exchange that waits
                                                       -> serve:   an action, an exchange that a service works on
    receive (reply) -> the exchange ends -> sealed once more -> the previous link's write
    answered        -> the exchange ends -> sealed           -> the previous link's write

Every public method is one step: it handles what came, and then settles, which closes links that hold too much. While
frames are handled no link goes away; the one whose peer broke the rules does afterwards.

Spec: docs/specs/link.md, docs/specs/onion-native.md. What it leaves to others: connections (driver), services
(registry), which exchange ends when (``exchanges``), who a relay is (``acquaintance``), which relays exist and which
keys are valid (``use_network``, ``use_keys``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.link.frames import (
    AnswerBody,
    Frame,
    Kind,
    call_capacity,
    decode_call,
    encode_answer,
    encode_frame,
)
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Forward, HopKey, Packet, ReplyHead, Serve
from onionpath.onion.replay import Remembered, ReplayMemory
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import Call, Reply
from relay.acquaintance import Acquaintance, Step
from relay.exchanges import Exchanges, Origin
from relay.limits import BAD_PACKETS_PER_SECOND, SwitchLimits
from relay.link_table import LinkTable
from relay.peers import Link, LinkState


class Watch(Protocol):
    """Looks on for experiments: what an observer of this relay's links could note."""

    def saw(self, link_id: int, *, sent: bool, kind: Kind, size: int) -> None: ...

    def proven(self, link_id: int, peer: RelayId) -> None: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """A call for the registry; answer it with ``Switch.answered(call_id, …)``."""

    call_id: int
    call: Call
    from_client: bool
    last_depth: bool


@dataclass(slots=True)
class Actions:
    """What a driver must do now, in this order of fields; each list in the order of its making."""

    writes: list[tuple[int, bytes]] = field(default_factory=list)
    dials: list[RelayId] = field(default_factory=list)
    serves: list[Serving] = field(default_factory=list)
    closes: list[tuple[int, str]] = field(default_factory=list)
    pauses: list[tuple[int, UnixTime]] = field(default_factory=list)  # read no more from it until then


@dataclass(frozen=True, slots=True)
class SwitchStatistics:
    """Counts by named reason since the start, and what is held now.

    Args:
        in_flight: requests and calls that neighbours sent and that aren't answered.
        waiting: of these, how many wait for another relay.
        calls: and how many a service works on.
    """

    counts: Mapping[str, int]
    links: int
    in_flight: int
    waiting: int
    calls: int
    queued_bytes: int


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
        self._our_id = identity.relay_id
        self._acquaintance = Acquaintance(
            identity, network_id=network_id, link_key_hash=link_key_hash, entropy=entropy
        )
        self._replay = replay
        self._limits = limits
        self._entropy = entropy
        self._watch = watch
        self._keys: Mapping[int, HopKey] = {}
        self._key_hashes: Mapping[RelayId, bytes] = {}
        self._links = LinkTable(onion.geometry, limits)
        self._exchanges = Exchanges()
        self._refused_until: dict[RelayId, UnixTime] = {}
        self._draining = False
        self._counts: Counter[str] = Counter()

    # What the relay is told by its keeper.

    def use_network(self, key_hashes: Mapping[RelayId, bytes]) -> None:
        """The relays of the newest document, each with the hash of its link key."""
        self._key_hashes = key_hashes

    def use_keys(self, keys: Mapping[int, HopKey]) -> None:
        """Our packet keys that may be used now, by generation."""
        self._keys = keys

    def statistics(self) -> SwitchStatistics:
        """A snapshot."""
        calls = self._exchanges.calls
        waiting = len(self._exchanges) - calls
        queued_bytes = self._links.queued_bytes + self._exchanges.queued_bytes
        return SwitchStatistics(
            dict(self._counts), len(self._links), self._links.in_flight, waiting, calls, queued_bytes
        )

    # Links come and go.

    def opened(self, link_id: int, *, now: UnixTime, peer: RelayId | None = None) -> Actions:
        """A connection stands: we called ``peer``, whose TLS key was checked, or somebody (None) called us."""
        actions = Actions()
        state = LinkState.OPEN if peer is None else LinkState.CLAIMING
        link = self._links.add(link_id, state, peer, now)
        if peer is not None:
            self._follow(actions, link, self._acquaintance.begin(link), now)
        return self._settle(actions, now)

    def closed(self, link_id: int, *, now: UnixTime, reason: str = "peer_closed") -> Actions:
        """A connection is gone; whatever waited for it fails now rather than at its deadline."""
        actions = Actions()
        self._forget_link(actions, link_id, reason, now)
        return self._settle(actions, now)

    def dial_failed(self, relay_id: RelayId, *, now: UnixTime) -> Actions:
        """No connection to this relay could be made; what waited for it fails, and we don't try again at once."""
        actions = Actions()
        self._give_up_dialling(actions, relay_id, now)
        return self._settle(actions, now)

    def written(self, link_id: int, size: int) -> None:
        """The driver has given so many bytes of our writes to the network."""
        self._links.written(link_id, size)

    def drain(self, *, now: UnixTime) -> Actions:
        """Take nothing new, finish what is under way, and let every neighbour know."""
        actions = Actions()
        self._draining = True
        for link in self._links:
            self._write(actions, link, Kind.GOING_AWAY, now)
        return self._settle(actions, now)

    @property
    def is_idle(self) -> bool:
        """True when nothing is under way and nothing waits to be written."""
        return not (len(self._exchanges) or self._exchanges.is_dialling or self._links.queued_bytes)

    # Bytes come in.

    def receive(self, link_id: int, data: bytes | memoryview, *, now: UnixTime) -> Actions:
        """Take bytes of a link and handle every complete frame in them.

        Args:
            data: may point into a buffer that is reused afterwards; empty data go on after a pause.
        """
        actions = Actions()
        link = self._links.get(link_id)
        if link is None:
            return actions
        link.reader.feed(data)
        try:
            self._read_frames(actions, link, now)
            link.reader.keep()
        except FaultyPeerError as error:
            self._close(actions, link, error.fault.value, now)
        return self._settle(actions, now)

    def _read_frames(self, actions: Actions, link: Link, now: UnixTime) -> None:
        while True:
            before = link.reader.waiting
            frame = link.reader.next_frame()
            if frame is None:
                break
            if _LIMITED[frame.kind] and not link.rate.take(now):
                link.reader.unread(before)
                self._counts["reading_paused"] += 1
                actions.pauses.append((link.link_id, link.rate.next_at()))
                link.incomplete_since = None
                return
            link.heard_at = now
            link.incomplete_since = None
            if self._watch:
                size = self._geometry.frame_size(frame.size_class)
                self._watch.saw(link.link_id, sent=False, kind=frame.kind, size=size)
            self._handle(actions, link, frame, now)
        if not link.reader.waiting:
            link.incomplete_since = None
        elif link.incomplete_since is None:
            link.incomplete_since = now

    def _handle(self, actions: Actions, link: Link, frame: Frame, now: UnixTime) -> None:
        match frame.kind:
            case Kind.REQUEST:
                self._request(actions, link, frame, now)
            case Kind.REPLY | Kind.REJECT:
                self._reply(actions, link, frame, now)
            case Kind.CALL:
                self._call(actions, link, frame, now)
            case Kind.PING:
                self._write(actions, link, Kind.PONG, now, exchange_id=frame.exchange_id)
            case Kind.CLAIM | Kind.CHALLENGE | Kind.PROOF:
                self._follow(actions, link, self._acquaintance.take(link, frame, self._key_hashes), now)
            case Kind.GOING_AWAY:
                link.going_away = True
                if link.peer is not None:
                    # Otherwise a relay that says so on every link would have us make ever more of them.
                    self._refused_until[link.peer] = UnixTime(now + self._limits.redial_after_s)
            case Kind.PADDING | Kind.PONG | Kind.ANSWER:
                self._counts[f"{frame.kind.name.lower()}_ignored"] += 1

    # A request: refuse cheaply, open, remember, then act.

    def _request(self, actions: Actions, link: Link, frame: Frame, now: UnixTime) -> None:
        refusal = self._cheap_refusal(link, frame, now) or self._overload(actions, link, now)
        if refusal is None:
            refusal = self._take_request(actions, link, frame, now)
        if refusal is not None:
            self._counts[refusal] += 1
            self._write(actions, link, Kind.REJECT, now, exchange_id=frame.exchange_id)

    def _cheap_refusal(self, link: Link, frame: Frame, now: UnixTime) -> str | None:
        """Whatever can be refused before the key encapsulation, which is the cost, is refused here."""
        if frame.depth and link.state is not LinkState.PROVEN:
            return "depth_from_client"
        if frame.generation not in self._keys:
            return "generation_unknown"
        if not self._replay.is_open(frame.slot, now):
            return "slot_closed"
        return None

    def _overload(self, actions: Actions, link: Link, now: UnixTime) -> str | None:
        """Why nothing more is taken over this link now, if so; for requests and calls alike."""
        if self._draining:
            return "draining"
        if link.in_flight >= link.in_flight_limit:
            return "peer_in_flight_full"
        if len(self._exchanges) >= self._limits.in_flight and not self._make_room(actions, link, now):
            return "node_in_flight_full"
        return None

    def _make_room(self, actions: Actions, link: Link, now: UnixTime) -> bool:
        """End the oldest exchanges of whoever holds most, unless that is this link or one that holds little more."""
        holder = max(self._links, key=lambda each: each.in_flight)
        if holder.in_flight <= 2 * link.in_flight + 1:
            return False
        # Several at once, because finding them costs as much as finding one.
        shed = self._exchanges.oldest_from(holder.link_id, 1 + holder.in_flight // 8)
        for origin in shed:
            self._counts["shed_oldest"] += 1
            self._end(actions, origin, Reply.refused(Reason.HOP_BUSY), now)
        return bool(shed)

    def _take_request(self, actions: Actions, link: Link, frame: Frame, now: UnixTime) -> str | None:
        packet = Packet(frame.size_class, frame.depth, frame.generation, frame.slot, frame.body)
        try:
            peeled = self._onion.peel(packet, self._keys[frame.generation])
        except BadLayerError:
            return self._wasted(link, "layer_bad")
        except MalformedError:
            return self._wasted(link, "layer_malformed")
        remembered = self._replay.remember(frame.slot, peeled.seed, now=now)
        if remembered is not Remembered.FRESH:
            return self._wasted(link, f"replay_{remembered.name.lower()}")
        deadline = UnixTime(now + self._limits.patience_s(self._geometry.last_depth - frame.depth))
        key = peeled.reply_key
        origin = Origin(link.link_id, frame.exchange_id, key.reply_class, key, frame.depth, now, deadline)
        link.in_flight += 1
        match peeled:
            case Forward():
                self._forward(actions, peeled, origin, now)
            case Serve():
                self._serve(actions, link, peeled, origin)
        return None

    def _wasted(self, link: Link, refusal: str) -> str:
        """A packet was opened in vain, and is refused."""
        self._charge(link.link_id)
        return refusal

    def _charge(self, link_id: int) -> None:
        """A client had us open a packet that no honest client sends."""
        link = self._links.get(link_id)
        if link is not None and link.is_client:
            link.rate.charge(link.rate.per_second / BAD_PACKETS_PER_SECOND)

    def _forward(self, actions: Actions, peeled: Forward, origin: Origin, now: UnixTime) -> None:
        next_relay = peeled.next_relay
        if next_relay not in self._key_hashes or next_relay == self._our_id:
            self._charge(origin.link_id)
            self._fail_edge(actions, origin, Reason.NEXT_UNKNOWN, now)
            return
        link = self._links.to(next_relay)
        if link is not None:
            self._send_packet(actions, link, peeled.packet, origin, now)
        elif self._refused_until.get(next_relay, now) > now:
            self._fail_edge(actions, origin, Reason.NEXT_UNREACHABLE, now)
        else:
            if self._exchanges.dial(next_relay):
                actions.dials.append(next_relay)
            limits = self._limits
            if not self._exchanges.queue(
                next_relay, peeled.packet, origin, at_most=limits.dial_queue, at_most_bytes=limits.dial_bytes
            ):
                self._fail_edge(actions, origin, Reason.NEXT_CONGESTED, now)

    def _send_packet(
        self, actions: Actions, link: Link, packet: Packet, origin: Origin, now: UnixTime
    ) -> None:
        if link.backlog.size >= self._limits.queued_bytes_per_peer:
            self._fail_edge(actions, origin, Reason.NEXT_CONGESTED, now)
            return
        exchange_id = link.fresh_exchange_id()
        self._exchanges.wait(link.link_id, exchange_id, origin)
        self._counts["forwarded"] += 1
        self._write(
            actions, link, Kind.REQUEST, now, body=packet.layer, size_class=packet.size_class,
            depth=packet.depth, generation=packet.generation, slot=packet.slot, exchange_id=exchange_id,
        )  # fmt: skip

    def _serve(self, actions: Actions, link: Link, peeled: Serve, origin: Origin) -> None:
        capacity = self._geometry.reply_capacity(origin.reply_class, origin.depth)
        call = Call(
            peeled.service, peeled.body, peeled.idempotency_key, capacity, link.link_id, origin.deadline
        )
        last = origin.depth == self._geometry.last_depth
        self._add_call(actions, call, origin, from_client=link.is_client, last_depth=last)

    def _call(self, actions: Actions, link: Link, frame: Frame, now: UnixTime) -> None:
        """A neighbour's unsealed call, under the same limits as a request."""
        called = decode_call(frame.body)
        deadline = UnixTime(now + self._limits.patience_s(0))
        origin = Origin(link.link_id, frame.exchange_id, called.reply_class, None, 0, now, deadline)
        overload = self._overload(actions, link, now)
        if overload is not None:
            self._counts[f"call_{overload}"] += 1
            self._write_answer(actions, link, origin, Reply.refused(Reason.HOP_BUSY), now)
            return
        link.in_flight += 1
        capacity = call_capacity(self._geometry, called.reply_class)
        call = Call(called.service, called.body, bytes(16), capacity, link.link_id, deadline)
        self._add_call(actions, call, origin, from_client=link.is_client, last_depth=False)

    def _add_call(
        self, actions: Actions, call: Call, origin: Origin, *, from_client: bool, last_depth: bool
    ) -> None:
        self._counts["served"] += 1
        actions.serves.append(Serving(self._exchanges.serve(origin), call, from_client, last_depth))

    # Replies go back.

    def answered(self, call_id: int, reply: Reply, *, now: UnixTime) -> Actions:
        """A service has answered; a second answer, or one after the deadline, is counted and dropped."""
        actions = Actions()
        origin = self._exchanges.by_call(call_id)
        if origin is None:
            self._counts["answer_too_late"] += 1
        else:
            self._end(actions, origin, reply, now)
        return self._settle(actions, now)

    def _reply(self, actions: Actions, link: Link, frame: Frame, now: UnixTime) -> None:
        origin = self._exchanges.by_reply(link.link_id, frame.exchange_id)
        if origin is None:
            self._counts["reply_unexpected"] += 1
            if link.is_client:
                # Nobody ever asks a client, so this one is only making us work.
                raise FaultyPeerError(Fault.REPLY_FROM_CLIENT)
        elif frame.kind is Kind.REJECT:
            self._fail_edge(actions, origin, Reason.NEXT_REJECTED, now)
        elif frame.size_class is not origin.reply_class or frame.depth != origin.depth + 1:
            self._fail_edge(actions, origin, Reason.NEXT_MALFORMED, now)
        else:
            self._counts["reply_relayed"] += 1
            self._seal(actions, origin, ReplyStatus.RELAYED, Reason.NONE, frame.body, now)

    def _fail_edge(self, actions: Actions, origin: Origin, reason: Reason, now: UnixTime) -> None:
        self._counts[f"edge_{reason.name.lower()}"] += 1
        self._seal(actions, origin, ReplyStatus.EDGE_FAILED, reason, b"", now)

    def _end(self, actions: Actions, origin: Origin, reply: Reply, now: UnixTime) -> None:
        if origin.reply_key is not None:
            self._seal(actions, origin, reply.status, reply.reason, reply.body, now)
            return
        link = self._links.get(origin.link_id)
        if link is not None:
            link.in_flight -= 1
            self._write_answer(actions, link, origin, reply, now)

    def _write_answer(
        self, actions: Actions, link: Link, origin: Origin, reply: Reply, now: UnixTime
    ) -> None:
        body = encode_answer(AnswerBody(reply.status, reply.reason, reply.body))
        self._write(
            actions, link, Kind.ANSWER, now,
            body=body, size_class=origin.reply_class, exchange_id=origin.exchange_id,
        )  # fmt: skip

    def _seal(
        self,
        actions: Actions,
        origin: Origin,
        status: ReplyStatus,
        reason: Reason,
        inner: bytes | memoryview,
        now: UnixTime,
    ) -> None:
        link = self._links.get(origin.link_id)
        if link is None or origin.reply_key is None:
            self._counts["reply_for_gone_link"] += 1
            return
        head = ReplyHead(status, reason, max(0, int((now - origin.received_at) * 1000)))
        layer = self._onion.seal_reply(origin.reply_key, head, inner, entropy=self._entropy)
        link.in_flight -= 1
        self._write(
            actions, link, Kind.REPLY, now, body=layer, size_class=origin.reply_class,
            depth=origin.depth, exchange_id=origin.exchange_id,
        )  # fmt: skip

    # Two relays get to know each other.

    def _follow(self, actions: Actions, link: Link, step: Step, now: UnixTime) -> None:
        if step.kind is not None:
            self._write(actions, link, step.kind, now, body=step.body)
        if step.known is not None:
            self._proven(actions, link, step.known, now)

    def _proven(self, actions: Actions, link: Link, peer: RelayId, now: UnixTime) -> None:
        self._links.proven(link, peer, now)
        if self._watch:
            self._watch.proven(link.link_id, peer)
        for packet, origin in self._exchanges.by_dial(peer):
            self._send_packet(actions, link, packet, origin, now)

    # Time passes.

    def tick(self, now: UnixTime) -> Actions:
        """Enforce deadlines and shed slow peers; once a second is often enough."""
        actions = Actions()
        for origin, reason in self._exchanges.overdue(now):
            self._fail_edge(actions, origin, reason, now)
        for origin in self._exchanges.overdue_calls(now):
            self._counts["service_timed_out"] += 1
            self._end(actions, origin, Reply.refused(Reason.SERVICE_TIMED_OUT), now)
        for link in self._links:
            overdue = self._overdue(link, now)
            if overdue is not None:
                self._close(actions, link, overdue, now)
        self._refused_until = {relay: until for relay, until in self._refused_until.items() if until > now}
        return self._settle(actions, now)

    def _overdue(self, link: Link, now: UnixTime) -> str | None:
        limits = self._limits
        if link.incomplete_since is not None and now - link.incomplete_since > limits.frame_timeout_s:
            return "frame_too_slow"
        if link.state is LinkState.PROVEN and link.peer not in self._key_hashes:
            return Fault.PEER_LEFT_NETWORK.value
        if link.backlog.age(now) > limits.stall_timeout_s:
            return "peer_never_reads"
        unproven = link.state in (LinkState.CLAIMED, LinkState.CLAIMING)
        if unproven and now - link.opened_at > limits.proof_timeout_s:
            return "proof_too_slow"
        is_used = link.in_flight or self._exchanges.awaits(link.link_id)
        if link.going_away and not is_used:
            return "went_away"
        return "idle" if now - link.heard_at > limits.idle_timeout_s and not is_used else None

    # The small common ends.

    def _write(
        self,
        actions: Actions,
        link: Link,
        kind: Kind,
        now: UnixTime,
        *,
        body: bytes | memoryview = b"",
        size_class: SizeClass = SizeClass.SMALL,
        depth: int = 0,
        generation: int = 0,
        slot: int = 0,
        exchange_id: int = 0,
    ) -> None:
        data = encode_frame(
            self._geometry, kind, body,
            size_class=size_class, depth=depth, generation=generation, slot=slot, exchange_id=exchange_id,
        )  # fmt: skip
        actions.writes.append((link.link_id, data))
        self._links.queued(link, len(data), now)
        if self._watch:
            self._watch.saw(link.link_id, sent=True, kind=kind, size=len(data))

    def _settle(self, actions: Actions, now: UnixTime) -> Actions:
        """End a step: close links that hold too much, largest first, until none does."""
        while (too_much := self._links.holder_of_too_much()) is not None:
            self._close(actions, *too_much, now)
        return actions

    def _close(self, actions: Actions, link: Link, reason: str, now: UnixTime) -> None:
        actions.closes.append((link.link_id, reason))
        self._forget_link(actions, link.link_id, reason, now)

    def _forget_link(self, actions: Actions, link_id: int, reason: str, now: UnixTime) -> None:
        link = self._links.remove(link_id)
        if link is None:
            return
        self._counts[f"link_{reason}"] += 1
        if link.state is LinkState.CLAIMING and link.peer is not None:
            self._give_up_dialling(actions, link.peer, now)
        for origin in self._exchanges.by_link(link_id):
            self._fail_edge(actions, origin, Reason.NEXT_CLOSED, now)

    def _give_up_dialling(self, actions: Actions, relay: RelayId, now: UnixTime) -> None:
        self._refused_until[relay] = UnixTime(now + self._limits.redial_after_s)
        for _, origin in self._exchanges.by_dial(relay):
            self._fail_edge(actions, origin, Reason.NEXT_UNREACHABLE, now)


# Frames that draw from the link's rate. Replies cost work too, but each belongs to a request of ours; the ones that
# don't are handled in ``_reply``.
_LIMITED = [number not in (Kind.REPLY, Kind.REJECT) for number in range(max(Kind) + 1)]
