"""Messages: what was found, as far as anyone reads it."""

from tssd.errors import LONGEST, DataError


def test_a_long_find_is_cut_and_said_so() -> None:
    said = str(DataError("f", found="x" * LONGEST, allowed="less"))
    assert said == f"f: found {'x' * LONGEST}; allowed: less"
    said = str(DataError("f", found="x" * 12_345, allowed="less", hint="cut it"))
    end = " ... (12,345 characters); allowed: less\n  try: cut it"
    assert said == f"f: found {'x' * LONGEST}{end}"
