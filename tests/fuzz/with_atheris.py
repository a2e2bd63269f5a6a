"""Coverage-guided fuzzing of one target, beginning with its corpus; needs the extra ``fuzz``.

``python -m tests.fuzz.with_atheris TARGET FOLDER [OPTIONS OF LIBFUZZER]``, from the top of the checkout. New inputs
land in FOLDER. An input that breaks something lands in the working directory: name it ``bad-…`` and add it to the
corpus.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["onionpath"]):
    from tests.fuzz.targets import TARGETS, fuzz_one

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    program, *arguments = sys.argv
    if len(arguments) < 2 or arguments[0] not in TARGETS:
        sys.exit(f"usage: {program} {{{','.join(TARGETS)}}} FOLDER [-max_total_time=60 …]")
    target, folder, *options = arguments
    atheris.Setup([program, folder, str(CORPUS / target), *options], lambda data: fuzz_one(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
