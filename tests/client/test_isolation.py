"""Keys that a program gives never meet the ones that we make."""

from onionpath.client.isolation import isolation_key


def test_a_given_key_is_never_a_default_one() -> None:
    default = isolation_key(None, "origin example.com:443")

    assert default != isolation_key("example.com:443", "origin example.com:443")
    assert default != isolation_key("origin example.com:443", "origin example.com:443")
    assert "given " == isolation_key("", "service 1")
