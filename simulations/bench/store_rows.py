"""What ``bench store`` counts: made-up messages, and one row for each measurement."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Message
from simulations.bench.processes import own_cpu_ns

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
ACCOUNTS = 200


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One measurement; ``cpu_us`` is of this whole process, for each message or retrieval."""

    what: str
    data_size: int
    under_way: int
    count: int
    per_second: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    cpu_us: float

    def __str__(self) -> str:
        return (
            f"{self.what:<24} {self.data_size:>6} B, {self.under_way:>3} at a time: {self.per_second:6} /s,"
            f" p50 {self.p50_ms:7.3f} ms, p99 {self.p99_ms:7.3f} ms, longest {self.longest_ms:6.1f} ms,"
            f" CPU {self.cpu_us:6.1f} µs"
        )


def made_up_account() -> AccountId:
    """Any person's account."""
    return AccountId(b"\x05" + os.urandom(32))


def made_up_messages(
    data_size: int, count: int, *, accounts: int = ACCOUNTS, namespace: int = 0
) -> list[Message]:
    """Messages of so many accounts in turn."""
    owners = [made_up_account() for _ in range(accounts)]
    messages = []
    for number in range(count):
        account, data = owners[number % accounts], os.urandom(data_size)
        name = message_hash(account, namespace, data)
        messages.append(Message(account, namespace, name, NOW_MS, NOW_MS + DAY_MS, data))
    return messages


def store_row(
    what: str, data_size: int, under_way: int, times: list[float], begin: float, cpu_ns: int
) -> StoreRow:
    """What was measured since ``begin``, when this process had used ``cpu_ns``; times in seconds."""
    elapsed, cpu_ns = time.perf_counter() - begin, own_cpu_ns() - cpu_ns
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return StoreRow(
        what=what,
        data_size=data_size,
        under_way=under_way,
        count=len(times),
        per_second=round(len(times) / elapsed),
        p50_ms=round(cuts[49] * 1000, 3),
        p99_ms=round(cuts[98] * 1000, 3),
        longest_ms=round(max(times) * 1000, 3),
        cpu_us=round(cpu_ns / len(times) / 1000, 1),
    )
