"""Successions: how a network changes its authorities without a new file for every reader.

The old authorities name the new ones, and the new ones agree; a reader follows one step after the other, and
never goes back. Only the authorities and the threshold change.
Spec: docs/specs/directory.md §4.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.canonical import Form, decode_canonical, encode_canonical
from onionpath.directory.envelope import open_signed, sign
from onionpath.directory.trust import MAX_AUTHORITIES, MAX_VERSION, RootForm, TrustRoot
from onionpath.errors import DirectoryError, UsageError

PAYLOAD_TYPE = "application/vnd.onionpath.succession.v1+json"

# Fixed by the specification (§4.4).
MAX_SUCCESSION_SIZE = 32 * 1024  # bytes of the envelope: 32 authorities and the signatures of 64
MAX_SUCCESSIONS = MAX_VERSION - 1


class SuccessionError(DirectoryError):
    """This is not the step that follows the trust root that we have."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A version of a network's trust root, and the successions that led to it.

    Args:
        root: the newest version that we know.
        successions: their envelopes, the oldest first; the last one led to ``root``.
    """

    root: TrustRoot
    successions: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def first_version(self) -> int:
        """The version from which the successions lead on."""
        return self.root.version - len(self.successions)

    def follow(self, envelopes: Iterable[bytes]) -> Lineage:
        """Take these steps, in this order.

        Raises:
            MalformedError, SignatureThresholdError, SuccessionError: see ``verify_succession``.
        """
        lineage = self
        for envelope in envelopes:
            root = verify_succession(envelope, lineage.root)
            lineage = Lineage(root, (*lineage.successions, envelope))
        return lineage

    def after(self, version: int) -> tuple[bytes, ...]:
        """The steps for a reader that has this version; none if we don't know them all."""
        return self.successions[version - self.first_version :] if version >= self.first_version else ()


def newest(first: Lineage, *others: Lineage | None) -> Lineage:
    """The one whose trust root has the highest version; of equal ones the one with the longest memory."""
    lineages = [first, *(other for other in others if other is not None)]
    return max(lineages, key=lambda lineage: (lineage.root.version, len(lineage.successions)))


def resume(root: TrustRoot, first_version: int, envelopes: Sequence[bytes]) -> Lineage:
    """Follow successions that were kept, from a trust root that may be newer than the first of them.

    Args:
        first_version: that of the trust root from which the first succession leads on.

    Raises:
        SuccessionError: they begin after this root.
        MalformedError, SignatureThresholdError: see ``verify_succession``.
    """
    if first_version > root.version:
        raise SuccessionError(f"the successions begin after version {root.version} of the trust root")
    return Lineage(root).follow(envelopes[root.version - first_version :])


def sign_succession(before: TrustRoot, after: TrustRoot, keys: Sequence[IdentityKey]) -> bytes:
    """The envelope that leads from one version of a trust root to the next.

    Args:
        keys: of enough authorities of both.

    Raises:
        UsageError: the one does not follow the other.
    """
    try:
        _check_step(before, after)
    except SuccessionError as error:
        raise UsageError(str(error)) from error
    form = _SuccessionForm(before.digest, RootForm.of(after))
    return sign(PAYLOAD_TYPE, encode_canonical(form), keys)


def verify_succession(envelope: bytes, root: TrustRoot) -> TrustRoot:
    """The next version of this trust root.

    Raises:
        MalformedError: no succession, or longer than 32 KiB.
        SignatureThresholdError: too few authorities of the old or of the new version have signed.
        SuccessionError: it follows another version, or changes what must stay.
    """
    payload = _signed_by(root, envelope)
    form = decode_canonical(_SuccessionForm, payload, what="the succession", max_size=MAX_SUCCESSION_SIZE)
    after = form.root.parse()
    _check_step(root, after)
    if form.previous != root.digest:
        raise SuccessionError("the succession follows another trust root of this version")
    # Without this, authorities could be named who know nothing of it, or whose keys nobody holds.
    _signed_by(after, envelope)
    return after


def _signed_by(root: TrustRoot, envelope: bytes) -> bytes:
    return open_signed(
        envelope,
        payload_type=PAYLOAD_TYPE,
        signers=root.signers,
        threshold=root.threshold,
        max_size=MAX_SUCCESSION_SIZE,
        max_signatures=2 * MAX_AUTHORITIES,
    )


def _check_step(before: TrustRoot, after: TrustRoot) -> None:
    if after.version != before.version + 1:
        raise SuccessionError(f"version {after.version} does not follow version {before.version}")
    kept = replace(before, authorities=after.authorities, threshold=after.threshold, version=after.version)
    if kept != after:
        raise SuccessionError("a succession changes more than authorities and threshold")


class _SuccessionForm(Form, frozen=True):
    previous: bytes
    root: RootForm
