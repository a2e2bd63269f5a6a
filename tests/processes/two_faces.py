"""``python -m tests.processes.two_faces SETTINGS``: a real authority that shows every second visitor another vote.

Both votes are signed, and both ballots can be had: all but this one lie is honest, so that only evidence tells.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import digest
from onionpath.directory.countersigned import open_countersigned
from onionpath.directory.vote import MAX_VOTE_SIZE, VOTE_TYPE, decode_vote, sign_vote
from onionpath.service.calls import Call, Reply, ServiceId
from relay import daemon
from relay.authority.agreement import Agreement
from relay.authority.ballots import Ballot, ballot_digest, decode_ballot
from relay.authority.bulletin import Bulletin, decode_bulletin
from relay.authority.making import Made, make_authority
from relay.authority.visit import Kind, Question, decode_question, part_of
from relay.authority.votes_service import VotesService
from relay.logs import configure_logs
from relay.settings import AuthoritySettings
from relay.settings_files import load_settings


class TwoFaces(VotesService):
    """The votes service of a liar."""

    def __init__(self, agreement: Agreement, identity: IdentityKey, made: Made) -> None:
        super().__init__(agreement, made.services[ServiceId.VOTES].limits)
        self._identity = identity
        self._hidden: dict[bytes, bytes] = {}

    async def answer(self, call: Call) -> Reply:
        """Honest to those with an even number; each keeps its connection, and so its face."""
        question = decode_question(call.body)
        if question.digest in self._hidden and question.kind is Kind.CONTENT:
            return Reply(part_of(self._hidden[question.digest], question, room=call.reply_capacity))
        if question.kind is Kind.BULLETIN and call.caller % 2:
            shown = self._lie(decode_bulletin(self._agreement.bulletin())).encode()
            self._hidden[digest(shown)] = shown
            return Reply(part_of(shown, Question(Kind.CONTENT, digest(shown)), room=call.reply_capacity))
        return await super().answer(call)

    def _lie(self, bulletin: Bulletin) -> Bulletin:
        return replace(bulletin, votes=tuple(self._other_vote(envelope) for envelope in bulletin.votes))

    def _other_vote(self, envelope: bytes) -> bytes:
        opened = open_countersigned(
            envelope,
            payload_type=VOTE_TYPE,
            signers=[self._identity.public],
            max_size=MAX_VOTE_SIZE,
        )
        vote = decode_vote(opened.payload)
        encoded = self._agreement.content(vote.ballot)
        if vote.author != self._identity.public or encoded is None:
            return envelope
        choices = dict(list(decode_ballot(encoded).choices.items())[1:])
        other = Ballot(choices).encode()
        self._hidden[ballot_digest(other)] = other
        return sign_vote(replace(vote, ballot=ballot_digest(other)), self._identity).encode()


def make_liar(settings: AuthoritySettings, identity: IdentityKey, *args: Any, **options: Any) -> Made:
    """An authority with two faces."""
    made = make_authority(settings, identity, *args, **options)
    made.services[ServiceId.VOTES] = TwoFaces(made.agreement, identity, made)
    return made


def main() -> None:
    """The program."""
    settings = load_settings(Path(sys.argv[1]), AuthoritySettings, environment={})
    configure_logs(settings.log.level, settings.log.format)
    daemon.make_authority = make_liar
    trio.run(lambda: daemon.run_authority(settings, ready=lambda ready: None))


if __name__ == "__main__":
    os.umask(0o077)
    main()
