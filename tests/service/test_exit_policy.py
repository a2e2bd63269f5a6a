"""The first rule that matches decides, and nothing listed means denied."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.errors import UsageError
from onionpath.service.exit_policy import DEFAULT_RULES, ExitPolicy, IPAddress

# Few values, so that rules and questions meet often.
NETWORKS = (
    "*",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "[::/0]",
    "[2001:db8::/32]",
    "[2001:db8::1/128]",
)
PORTS = ("*", "1", "80", "443", "80-81", "79-443", "65535")
ADDRESSES = (
    "10.1.2.3",
    "10.1.9.9",
    "10.9.9.9",
    "8.8.8.8",
    "2001:db8::1",
    "2001:db8::2",
    "2606::1",
    "::ffff:10.1.2.3",
)

rules = st.builds(
    "{} {}:{}".format,
    st.sampled_from(["accept", "reject"]),
    st.sampled_from(NETWORKS),
    st.sampled_from(PORTS),
)
addresses = st.sampled_from(ADDRESSES).map(ip_address)
ports = st.sampled_from([1, 79, 80, 81, 82, 442, 443, 444, 65535])


def reference(rules: list[str], address: IPAddress, port: int) -> bool:
    """The same in twenty lines that share nothing with the policy but the text."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for rule in rules:
        action, target = rule.split(" ")
        network, _, span = target.rpartition(":")
        low, _, high = span.partition("-")
        if span == "*":
            low, high = "1", "65535"
        if not int(low) <= port <= int(high or low):
            continue
        if network != "*" and address not in ip_network(network.strip("[]")):
            continue
        return action == "accept"
    return False


@settings(max_examples=500)
@given(st.lists(rules, max_size=6), st.lists(st.tuples(addresses, ports), min_size=20, max_size=20))
def test_the_policy_agrees_with_a_reference_evaluator(
    texts: list[str], questions: list[tuple[IPAddress, int]]
) -> None:
    """500 policies with 20 questions each."""
    policy = ExitPolicy.parse(texts)
    for address, port in questions:
        assert reference(texts, address, port) == policy.allows(address, port)
        # What an address may reach, a name may be resolved for.
        assert policy.may_allow_port(port) or not policy.allows(address, port)


@pytest.mark.slow
def test_the_policy_agrees_with_the_reference_in_a_million_cases() -> None:
    """20,000 policies of any networks and ports, asked 50 times each about what lies in and beside their rules."""
    chance = random.Random(7)
    wrong = [
        (texts, str(address), port)
        for texts in (random_rules(chance) for _ in range(20_000))
        for policy in [ExitPolicy.parse(texts)]
        for address, port in (random_question(chance, texts) for _ in range(50))
        if reference(texts, address, port) != policy.allows(address, port)
        or (policy.allows(address, port) and not policy.may_allow_port(port))
    ]

    assert [] == wrong


def random_rules(chance: random.Random) -> list[str]:
    return [random_rule(chance) for _ in range(chance.randint(0, 5))]


def random_rule(chance: random.Random) -> str:
    low, high = sorted(chance.choices(range(1, 65536), k=2))
    ports = chance.choice(["*", str(low), f"{low}-{high}", "443", "80-81"])
    bits, address = chance.choice([(32, IPv4Address), (128, IPv6Address)])
    # Above 2001::, so that no network lies among the IPv4 addresses inside IPv6, which rules may not name.
    value = chance.getrandbits(bits) if bits == 32 else 0x2001 << 112 | chance.getrandbits(112)
    prefix = chance.randint(0 if bits == 32 else 16, bits)
    network = str(ip_network((str(address(value >> bits - prefix << bits - prefix)), prefix)))
    where = chance.choice(
        ["*", network if bits == 32 else f"[{network}]", network if bits == 32 else f"[{network}]"]
    )
    return f"{chance.choice(['accept', 'reject'])} {where}:{ports}"


def random_question(chance: random.Random, texts: list[str]) -> tuple[IPAddress, int]:
    """At the edges of a rule, where mistakes are made, or anywhere."""
    network, _, span = chance.choice(texts or ["accept *:443"]).partition(" ")[2].rpartition(":")
    low, _, high = span.replace("*", "1-65535").partition("-")
    port = chance.choice([int(low), int(high or low), int(low) - 1, int(high or low) + 1, 443])
    if network == "*":
        return IPv4Address(chance.getrandbits(32)), min(max(port, 1), 65535)
    edges = ip_network(network.strip("[]"))
    first, last = int(edges.network_address), int(edges.broadcast_address)
    value = chance.choice([first, last, chance.randint(first, last), max(first - 1, 0), last + 1])
    kind = type(edges.network_address)
    address = kind(min(value, 2**edges.max_prefixlen - 1))
    if isinstance(address, IPv4Address) and chance.random() < 0.1:
        address = IPv6Address(f"::ffff:{address}")
    return address, min(max(port, 1), 65535)


@given(st.lists(rules, max_size=6))
def test_the_canonical_text_gives_the_same_policy(texts: list[str]) -> None:
    assert tuple(texts) == ExitPolicy.parse(texts).rules
    assert ExitPolicy.parse(texts) == ExitPolicy.parse(ExitPolicy.parse(texts).rules)


@pytest.mark.parametrize(
    ("bare", "canonical"),
    [("accept 192.0.2.1:443", "192.0.2.1/32"), ("reject [2001:db8::1]:*", "2001:db8::1/128")],
)
def test_a_single_address_is_written_with_its_prefix(bare: str, canonical: str) -> None:
    """Two spellings of one rule would be two descriptors of one policy."""
    with pytest.raises(UsageError, match=f"as {canonical}"):
        ExitPolicy.parse([bare])


def test_no_rules_deny_everything() -> None:
    assert not ExitPolicy().allows(IPv4Address("8.8.8.8"), 443)
    assert not ExitPolicy().may_allow_port(443)


def test_the_default_is_the_web_and_nothing_else() -> None:
    policy = ExitPolicy.parse(DEFAULT_RULES)
    allowed = [port for port in range(1, 65536) if policy.allows(IPv4Address("8.8.8.8"), port)]

    assert [80, 443] == allowed
    assert [80, 443] == [port for port in range(1, 65536) if policy.may_allow_port(port)]


def test_a_port_that_every_address_is_denied_may_not_be_tried() -> None:
    policy = ExitPolicy.parse(
        ["reject *:25", "reject 10.0.0.0/8:80", "accept 10.1.0.0/16:80", "accept *:1-30"]
    )
    assert (False, False, True) == tuple(policy.may_allow_port(port) for port in (25, 80, 24))


@pytest.mark.parametrize(
    "rule",
    [
        *(
            "",
            "accept",
            "accept ",
            "accept *",
            "accept *:",
            "accept :80",
            "allow *:80",
            "Accept *:80",
            "accept  *:80",
        ),
        *(
            " accept *:80",
            "accept *:80 ",
            "accept *:80\n",
            "accept\t*:80",
            "accept *:0",
            "accept *:65536",
            "accept *:080",
        ),
        *(
            "accept *:80-",
            "accept *:-80",
            "accept *:81-80",
            "accept *:80-81-82",
            "accept *:٨٠",
            "accept *:+80",
        ),
        *(
            "accept 10.0.0.1/8:80",
            "accept 10.0.0.0/08:80",
            "accept 10.0.0.0/33:80",
            "accept 10.0.0.0/255.0.0.0:80",
        ),
        *("accept 10.0:80", "accept 010.0.0.0/8:80", "accept [10.0.0.0/8]:80", "accept 2001:db8::/32:80"),
        *(
            "accept [2001:DB8::/32]:80",
            "accept [fe80::1%eth0]:80",
            "accept [::ffff:0:0/96]:80",
            "accept []:80",
        ),
    ],
)
def test_a_rule_in_any_other_spelling_is_refused(rule: str) -> None:
    with pytest.raises(UsageError):
        ExitPolicy.parse([rule])


def test_a_policy_has_a_longest_length() -> None:
    assert 256 == len(ExitPolicy.parse(["accept *:80"] * 256).rules)
    with pytest.raises(UsageError):
        ExitPolicy.parse(["accept *:80"] * 257)
