"""What the daemon builds from settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from onionpath.link.frames import CallBody
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from relay.limits import SwitchLimits
from relay.services import build_dialer, build_services
from relay.settings import RelaySettings
from relay.settings_sections import ExitSection, LimitsSection
from tests.relay.nodes import Node
from tests.relay.test_links import serving, talking


@pytest.mark.parametrize("service_s", [5.0, 60.0])
async def test_every_service_has_the_time_that_the_settings_give(service_s: float) -> None:
    """It had 25 s whatever was set above that."""
    settings = RelaySettings(exit=ExitSection(enabled=True), limits=LimitsSection(service_s=service_s))
    async with trio.open_nursery() as nursery:
        services, _ = build_services(settings, nursery, build_dialer(settings, listeners=()), streams=100)

    assert {ServiceId.ECHO, ServiceId.DIRECTORY, ServiceId.STREAM} == set(services)
    assert {service_s} == {service.limits.timeout_s for service in services.values()}
    assert {service_s} == {settings.limits.switch_limits().service_timeout_s}


class Endless:
    """A service that never answers, and says when it was cancelled."""

    limits = Limits(timeout_s=0.1, any_depth=True)

    def __init__(self) -> None:
        self.cancelled = trio.Event()

    async def answer(self, call: Call) -> Reply:
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled.set()
        raise AssertionError("woke up")


async def test_a_call_that_takes_too_long_is_cancelled_once_and_answered_once(tmp_path: Path) -> None:
    node, service = Node(tmp_path / "node", limits=SwitchLimits(service_timeout_s=0.1)), Endless()
    node.services[7] = service
    async with serving(node), talking(node) as caller:
        answer = await caller.call(CallBody(7, SizeClass.SMALL, b""))
        with trio.fail_after(5):
            await service.cancelled.wait()

    assert Reason.SERVICE_TIMED_OUT == answer.reason
