"""What changed from one document to a later one, for readers that have the first.

A difference proves nothing by itself: what it makes of the known document is an envelope like any other, which
its reader verifies like any other. So a wrong difference can only fail. Spec: docs/specs/directory.md §11.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec

from onionpath.directory.canonical import Form, decode_canonical, encode_canonical
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    MAX_RELAYS,
    PAYLOAD_TYPE,
    Document,
    DocumentForm,
    ListingForm,
)
from onionpath.directory.envelope import (
    MAX_SIGNATURES,
    SignatureForm,
    join,
    parse_signatures,
    read_envelope,
    signature_forms,
)
from onionpath.errors import MalformedError


def difference(known: Document, newer: Document) -> bytes:
    """What leads from one verified document to another.

    Args:
        newer: with its envelope, whose signatures are part of the difference.
    """
    before, after = DocumentForm.of(known), DocumentForm.of(newer)
    unchanged = set(before.relays)
    removed = {one.relay_id for one in before.relays} - {one.relay_id for one in after.relays}
    read = read_envelope(newer.envelope, payload_type=PAYLOAD_TYPE, max_size=MAX_DOCUMENT_SIZE)
    form = _DifferenceForm(
        known=known.digest,
        removed=tuple(sorted(removed)),
        document=msgspec.structs.replace(
            after, relays=tuple(one for one in after.relays if one not in unchanged)
        ),
        signatures=signature_forms(read.signatures),
    )
    return encode_canonical(form)


def apply_difference(data: bytes, known: Document) -> bytes:
    """The envelope of the newer document, not verified.

    Raises:
        MalformedError: no difference, not one from the known document, or one that says something in vain.
    """
    form = decode_canonical(_DifferenceForm, data, what="the difference", max_size=MAX_DOCUMENT_SIZE)
    if form.known != known.digest:
        raise MalformedError("the difference is not from the document that we have")
    relays = {one.relay_id: one for one in DocumentForm.of(known).relays}
    _check(form, relays)
    for relay_id in form.removed:
        del relays[relay_id]
    relays.update((one.relay_id, one) for one in form.document.relays)
    merged = tuple(relays[relay_id] for relay_id in sorted(relays))
    payload = encode_canonical(msgspec.structs.replace(form.document, relays=merged))
    return join(PAYLOAD_TYPE, payload, parse_signatures(form.signatures))


def _check(form: _DifferenceForm, known: dict[bytes, ListingForm]) -> None:
    """Let each change be said once and change something, so that a difference has one form."""
    listed = [one.relay_id for one in form.document.relays]
    if not _ascends(listed) or not _ascends(form.removed):
        raise MalformedError("the relays of a difference are repeated or out of order")
    if not known.keys() >= set(form.removed) or not set(listed).isdisjoint(form.removed):
        raise MalformedError("a difference removes a relay that is not there, or is listed")
    if any(known.get(one.relay_id) == one for one in form.document.relays):
        raise MalformedError("a difference changes nothing in a listing")


def _ascends(names: list[bytes] | tuple[bytes, ...]) -> bool:
    return all(one < two for one, two in pairwise(names))


class _DifferenceForm(Form, frozen=True):
    known: bytes
    removed: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MAX_RELAYS)]
    document: DocumentForm
    signatures: Annotated[tuple[SignatureForm, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]
