"""Cards: what an authority's operator gives to those who found a network, or change its authorities."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onionpath.directory.canonical import Form, decode_canonical, encode_canonical, without_white_space
from onionpath.directory.trust import Authority, AuthorityForm
from onionpath.errors import MalformedError, SettingsError

MAX_CARD_SIZE = 4 * 1024  # bytes


def encode_card(card: Authority) -> bytes:
    """A card's file: JSON, laid out for people."""
    return msgspec.json.format(encode_canonical(_CardForm(AuthorityForm.of(card))), indent=2) + b"\n"


def decode_card(data: bytes) -> Authority:
    """Read what ``encode_card`` wrote; the layout may have changed.

    Raises:
        MalformedError: the form is wrong, or a value is.
    """
    compact = without_white_space(data, what="the card", max_size=MAX_CARD_SIZE)
    return decode_canonical(_CardForm, compact, what="the card", max_size=MAX_CARD_SIZE).authority.parse()


def read_card(file: Path) -> Authority:
    """Read a card's file.

    Raises:
        SettingsError: it is missing or isn't one.
    """
    try:
        with file.open("rb") as opened:
            return decode_card(opened.read(MAX_CARD_SIZE + 1))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}", file=str(file)) from error
    except MalformedError as error:
        raise SettingsError(f"{file}: {error}", file=str(file)) from error


class _CardForm(Form, frozen=True):
    authority: AuthorityForm
