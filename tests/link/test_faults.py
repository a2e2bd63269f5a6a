"""The faults that close a link, held against the specification."""

from pathlib import Path

from onionpath.link.faults import Fault

SPEC = Path(__file__).parents[2] / "docs" / "specs" / "link.md"


def test_the_specification_names_every_fault_as_it_is_counted() -> None:
    spec = SPEC.read_text()

    assert [] == [fault.value for fault in Fault if f"`link_{fault.value}`" not in spec]
