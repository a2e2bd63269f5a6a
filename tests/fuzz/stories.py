"""A relay's switch under any sequence of frames, links and ticks, told by bytes that a fuzzer can change.

A story is a list of steps of five bytes and more: what happens, on which link, and three numbers; a step that brings
raw bytes is followed by them. Frames are built from the good ones of ``TEMPLATES`` and then damaged as the numbers
say, so that most of a story gets past the frame reader.

What must hold at each step: nothing is raised, no bound is passed, no exchange is answered twice. And at the end, when
every deadline has passed: each request whose link still stands was answered once, and nothing is held.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from random import Random

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import TagKey
from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.link.proof import Claim, Parties, sign_proof
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, HopKey, OnionCall
from onionpath.onion.replay import MemoryTables, ReplayMemory, slot_at
from onionpath.service.calls import Reply
from relay.limits import PeerLimits, SwitchLimits
from relay.step import Actions, Serving
from relay.switch import Switch

SIZES = Geometry(2, small=4096, large=16384)
NETWORK_ID = hashlib.sha256(b"a network of stories").digest()
LINK_KEY_HASH = hashlib.sha256(b"our link key").digest()
ONION = NativeOnion(SIZES, NETWORK_ID)
START = UnixTime(1_800_000_000.0)
GENERATION = 7
STEP_SIZE = 5
MAX_STEPS, MAX_LINKS, MAX_RAW = 96, 12, 4096
# Small enough that every bound is met.
LIMITS = SwitchLimits(
    client=PeerLimits(packets_per_second=200, burst=60, in_flight=6),
    relay=PeerLimits(packets_per_second=400, burst=60, in_flight=12),
    in_flight=16,
    queued_bytes_per_peer=8 * SIZES.large,
    queued_bytes=24 * SIZES.large,
    dial_queue=3,
    dial_bytes=4 * SIZES.large,
)
# What no order of events may pass: every exchange may still be answered over a queue that is nearly full.
MOST_HELD_BYTES = LIMITS.queued_bytes + LIMITS.dial_bytes + 2 * SIZES.large
# The longest wait, of the packets that wait for another relay, and a second.
LONGEST_S = LIMITS.patience_s(SIZES.last_depth) + 1


def _identity(name: str) -> IdentityKey:
    return IdentityKey(hashlib.sha256(name.encode()).digest())


OURS, NEXT, OTHER = _identity("ours"), _identity("next"), _identity("other")
PEERS = (NEXT, OTHER)
OUR_KEY = HopKey(OURS.relay_id, GENERATION, HybridPrivateKey(hashlib.sha256(b"ours").digest()))
NEXT_KEY = HybridPrivateKey(hashlib.sha256(b"next").digest()).public


@cache
def templates() -> tuple[bytes, ...]:
    """Good frames as neighbours send them: packets to forward and to serve, calls, and the rest by kind."""
    random, slot = Random(1), slot_at(START, 300)
    ours = Hop(OURS.relay_id, OUR_KEY.private.public, GENERATION)
    frames = []
    for number in range(6):
        classes = SizeClass(number == 5), SizeClass(number % 2)
        after = [NEXT.relay_id, NEXT.relay_id, OTHER.relay_id, _identity("unlisted").relay_id][number % 4]
        hops = [ours, Hop(after, NEXT_KEY, 1)] if number < 4 else [ours]
        call = OnionCall(1, b"body", bytes(16), *classes)
        packet = ONION.wrap(hops, call, slot=slot, entropy=random.randbytes).packet
        frames.append(_request(packet.layer, classes[0], 0, slot, number))
    for kind in Kind:
        match kind:
            case Kind.REQUEST | Kind.REPLY:
                size_of = SIZES.request_layer_size if kind is Kind.REQUEST else SIZES.reply_layer_size
                body = random.randbytes(size_of(SizeClass.SMALL, 1))
                depth = 1
            case Kind.CALL:
                body, depth = encode_call(CallBody(2, SizeClass.LARGE, b"call")), 0
            case Kind.CLAIM:
                body, depth = Claim(OTHER.relay_id, bytes(32)).encode(), 0
            case Kind.CHALLENGE | Kind.PROOF:
                body, depth = random.randbytes(32 if kind is Kind.CHALLENGE else 64), 0
            case _:
                body, depth = b"", 0
        frames.append(encode_frame(SIZES, kind, body, depth=depth, exchange_id=50 + kind))
    return tuple(frames)


def _request(
    layer: bytes | memoryview, size_class: SizeClass, depth: int, slot: int, exchange_id: int
) -> bytes:
    return encode_frame(
        SIZES, Kind.REQUEST, layer,
        size_class=size_class, depth=depth, generation=GENERATION, slot=slot, exchange_id=exchange_id,
    )  # fmt: skip


class Story:
    """One switch to which the steps happen; ``tell`` runs them all."""

    def __init__(self) -> None:
        random = Random(7)
        self.now = START
        self.switch = Switch(
            ONION,
            OURS,
            network_id=NETWORK_ID,
            link_key_hash=LINK_KEY_HASH,
            replay=ReplayMemory(MemoryTables(capacity=64), TagKey(bytes(32)), slot_s=300),
            limits=LIMITS,
            entropy=random.randbytes,
        )
        self.switch.use_keys({GENERATION: OUR_KEY})
        self.know(2)
        self.links: dict[int, float] = {}  # to the time until which its driver reads no more
        self.next_link = 1
        self.dials: list[bytes] = []
        self.calls: list[Serving] = []
        self.challenges: dict[int, bytes] = {}
        self.forwarded: list[tuple[int, bytes]] = []
        self.unwritten: list[tuple[int, int]] = []
        self.asked: Counter[tuple[int, int]] = Counter()
        self.answered: Counter[tuple[int, int]] = Counter()

    def know(self, peers: int) -> None:
        self.switch.use_network({each.relay_id: LINK_KEY_HASH for each in (OURS, *PEERS[:peers])})

    def tell(self, story: bytes) -> None:
        """Let every step happen, then let time pass until all must be over.

        Raises:
            MalformedError: the story ends within a step.
            AssertionError: the switch broke a promise.
        """
        at, steps = 0, 0
        while at < len(story) and steps < MAX_STEPS:
            step = story[at : at + STEP_SIZE]
            at, steps = at + STEP_SIZE, steps + 1
            if len(step) < STEP_SIZE:
                raise MalformedError("a story ends within a step")
            raw = b""
            if step[0] % 16 == 4:
                size = int.from_bytes(step[2:4], "big") % MAX_RAW
                raw, at = story[at : at + size], at + size
            self.happen(*step, raw)
            self.check()
        self.end()

    def happen(self, what: int, where: int, one: int, two: int, three: int, raw: bytes) -> None:
        link = sorted(self.links)[where % len(self.links)] if self.links else 0
        match what % 16:
            case 0:
                self.open(None)
            case 1:
                self.open(PEERS[where % 2])
            case 2 if link:
                self.forget(link)
                self.carry_out(self.switch.closed(link, now=self.now))
            case 3 | 11 | 12 | 13 if link:
                self.feed(link, self.frame(one, two, three, is_damaged=what % 16 == 13))
            case 4 if link:
                self.feed(link, raw)
            case 5:
                self.pass_time((one + 1) / 8)
            case 6 if self.calls:
                serving = self.calls[where % len(self.calls)]
                if one % 4:
                    self.calls.remove(serving)
                # The registry lets no longer reply through.
                reply = Reply(bytes(two * serving.call.reply_capacity // 255))
                self.carry_out(self.switch.answered(serving.call_id, reply, now=self.now))
            case 7 if self.dials:
                relay = self.dials.pop(where % len(self.dials))
                self.end_dial(relay, fails=bool(one % 2))
            case 8:
                written, self.unwritten = self.unwritten, []
                for to, size in written:
                    self.switch.written(to, size)
            case 9 if one > 250:
                self.carry_out(self.switch.drain(now=self.now))
            case 10:
                self.know(one % 3)
            case 14 if link:
                self.prove(link, PEERS[one % 2], is_right=two < 200)
            case 15 if self.forwarded:
                self.reply(*self.forwarded.pop(where % len(self.forwarded)), one, two)

    # What neighbours do.

    def frame(self, one: int, two: int, three: int, *, is_damaged: bool) -> bytes:
        frame = bytearray(templates()[one % len(templates())])
        if frame[0] == Kind.REQUEST and two % 4:
            frame[8:16] = (1000 + two).to_bytes(8, "big")
        if is_damaged:
            # Half of the damage falls on the header.
            place = three % 16 if two % 2 else (three * 257 + two) % len(frame)
            frame[place] ^= 1 << two % 8 or 1
        return bytes(frame)

    def feed(self, link: int, data: bytes) -> None:
        if self.links[link] > self.now:
            return
        self.note_requests(link, data)
        self.carry_out(self.switch.receive(link, data, now=self.now))

    def note_requests(self, link: int, data: bytes) -> None:
        """Whole frames alone are counted: a piece may or may not become a request."""
        if len(data) >= 16 and len(data) == (SIZES.small, SIZES.large)[data[1] % 2]:
            if data[0] in (Kind.REQUEST, Kind.CALL):
                self.asked[link, int.from_bytes(data[8:16], "big")] += 1
        elif data:
            # From here on its frames may be cut anywhere, so nothing is promised about single ones.
            self.asked[link, -1] += 1

    def open(self, peer: IdentityKey | None) -> int:
        if len(self.links) >= MAX_LINKS:
            return 0
        link, self.next_link = self.next_link, self.next_link + 1
        self.links[link] = 0.0
        relay = None if peer is None else peer.relay_id
        self.carry_out(self.switch.opened(link, now=self.now, peer=relay))
        return link

    def end_dial(self, relay: bytes, *, fails: bool) -> None:
        peer = next(each for each in PEERS if each.relay_id == relay)
        link = 0 if fails else self.open(peer)
        if link:
            self.feed(link, encode_frame(SIZES, Kind.CHALLENGE, bytes(32)))
        else:
            self.carry_out(self.switch.dial_failed(peer.relay_id, now=self.now))

    def prove(self, link: int, peer: IdentityKey, *, is_right: bool) -> None:
        self.feed(link, encode_frame(SIZES, Kind.CLAIM, Claim(peer.relay_id, bytes(32)).encode()))
        if link not in self.links or link not in self.challenges:
            return
        nonce = self.challenges.pop(link)
        parties = Parties(NETWORK_ID, peer.relay_id, OURS.relay_id, LINK_KEY_HASH, bytes(32), nonce)
        self.feed(link, encode_frame(SIZES, Kind.PROOF, sign_proof(parties, peer if is_right else OURS)))

    def reply(self, link: int, frame: bytes, one: int, two: int) -> None:
        """The next relay answers what was sent to it, well or badly, once or twice."""
        exchange_id, size_class = int.from_bytes(frame[8:16], "big"), SizeClass(one % 2)
        body = bytes([two]) * SIZES.reply_layer_size(size_class, 1)
        answer = encode_frame(
            SIZES, Kind.REPLY, body, size_class=size_class, depth=1, exchange_id=exchange_id
        )
        if one % 5 == 4:
            answer = encode_frame(SIZES, Kind.REJECT, exchange_id=exchange_id)
        for _ in range(1 + two % 2):
            if link in self.links:
                self.feed(link, answer)

    # What a driver does.

    def pass_time(self, seconds: float) -> None:
        self.now = UnixTime(self.now + seconds)
        self.carry_out(self.switch.tick(self.now))
        for link in [link for link, until in self.links.items() if 0.0 < until <= self.now]:
            if link in self.links:
                self.links[link] = 0.0
                self.carry_out(self.switch.receive(link, b"", now=self.now))

    def carry_out(self, actions: Actions) -> None:
        for link, data in actions.writes:
            self.note_written(link, data)
        self.dials += actions.dials
        self.calls += actions.serves
        for link, until in actions.pauses:
            if link in self.links:
                self.links[link] = until
        for link, _ in actions.closes:
            self.forget(link)

    def note_written(self, link: int, data: bytes) -> None:
        if len(data) != SIZES.frame_size(SizeClass(data[1])):
            raise AssertionError("a frame of another size than its class's was written")
        self.unwritten.append((link, len(data)))
        exchange_id = int.from_bytes(data[8:16], "big")
        match data[0]:
            case Kind.REPLY | Kind.REJECT | Kind.ANSWER:
                self.answered[link, exchange_id] += 1
            case Kind.CHALLENGE:
                self.challenges[link] = data[16:48]
            case Kind.REQUEST:
                self.forwarded.append((link, data))

    def forget(self, link: int) -> None:
        self.links.pop(link, None)
        self.challenges.pop(link, None)

    # What must hold.

    def check(self) -> None:
        held = self.switch.statistics()
        if held.links != len(self.links):
            raise AssertionError("the switch and its driver disagree on which links stand")
        if held.queued_bytes > MOST_HELD_BYTES or held.in_flight < 0:
            raise AssertionError("a switch holds more than its limits allow")
        if held.waiting + held.calls > LIMITS.in_flight:
            raise AssertionError("more exchanges are under way than may be")
        for name, count in self.answered.items():
            if count > self.asked[name] and not self.asked[name[0], -1]:
                raise AssertionError("an exchange was answered twice")

    def end(self) -> None:
        """Fail every dial, let every deadline pass, and look at what is left."""
        while self.dials:
            self.end_dial(self.dials.pop(), fails=True)
        for _ in range(int(LONGEST_S) + 1):
            self.pass_time(1.0)
            for link, size in self.unwritten:
                self.switch.written(link, size)
            self.unwritten.clear()
        self.check()
        held = self.switch.statistics()
        if (held.waiting, held.calls, held.in_flight, held.queued_bytes) != (0, 0, 0, 0):
            raise AssertionError(f"a switch still holds something after every deadline: {held}")
        for (link, exchange_id), count in self.asked.items():
            whole = link in self.links and not self.links[link] and not self.asked[link, -1]
            if whole and exchange_id >= 0 and self.answered[link, exchange_id] != count:
                raise AssertionError("a request over a link that stands was not answered")


def tell(story: bytes) -> None:
    """Run one story from its beginning."""
    Story().tell(story)


def good_stories() -> dict[str, bytes]:
    """A client is served, a packet forwarded and answered, a relay proves itself, the limits are met."""
    opened = bytes([0, 0, 0, 0, 0])
    forwarded = opened + bytes([3, 0, 0, 1, 0]) + bytes([7, 0, 0, 0, 0]) + bytes([15, 0, 0, 2, 0])
    served = opened + bytes([3, 0, 4, 1, 0]) + bytes([6, 0, 1, 2, 0]) + bytes([8, 0, 0, 0, 0])
    proven = opened + bytes([14, 0, 0, 0, 0]) + b"".join(bytes([3, 0, n, n, 0]) for n in range(18))
    crowded = (
        opened * 3 + b"".join(bytes([11, n, n % 6, n, 0]) for n in range(40)) + bytes([5, 0, 80, 0, 0]) * 3
    )
    raw = opened + bytes([4, 0, 0, 20, 0]) + encode_frame(SIZES, Kind.PING)[:20]
    return {
        "good-served": served,
        "good-forwarded": forwarded,
        "good-proven": proven,
        "good-crowded": crowded,
        "good-raw": raw,
        "bad-cut": served[:-2],
    }
