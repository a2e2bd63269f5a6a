"""Coverage-guided fuzzing of one target, beginning with its corpus; needs the extra ``fuzz``.

``python -m tests.fuzz.with_atheris TARGET FOLDER [OPTIONS OF LIBFUZZER]``, from the top of the checkout. New inputs
land in FOLDER. An input that breaks something lands in the working directory unless ``-artifact_prefix`` says where:
name it ``bad-…`` and add it to the corpus. ``./dev fuzz`` starts this for one target after the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["onionpath", "relay"]):
    from tests.fuzz.targets import TARGETS, fuzz_one

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    program, *arguments = sys.argv
    if len(arguments) < 2 or arguments[0] not in TARGETS:
        sys.exit(f"usage: {program} {{{','.join(TARGETS)}}} FOLDER [-max_total_time=60 …]")
    name, folder, *options = arguments
    target = TARGETS[name]
    known = {path.read_bytes() for path in (CORPUS / name).iterdir()}

    def attempt(data: bytes) -> None:
        if fuzz_one(name, data) and target.is_sealed and data not in known:
            raise AssertionError(f"{name} reads what was sealed or signed otherwise")

    atheris.Setup([program, folder, str(CORPUS / name), *options], attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
