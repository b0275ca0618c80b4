"""The checks from a shell: ``python -m pyconvx.testing activation snake squared_relu``."""

import argparse
import sys

from pyconvx import testing
from pyconvx.exceptions import PluginError
from pyconvx.registry.families import FAMILIES

CHECKS = {family.kind: getattr(testing, family.check_name) for family in FAMILIES.values()}


def main(arguments: list[str] | None = None) -> int:
    """Check registered names one after the other; return the exit code of the process, 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m pyconvx.testing",
        description="Check that plugins keep their contract: gradients, shapes, dtypes, purity, pickling.",
    )
    parser.add_argument("family", choices=CHECKS)
    parser.add_argument("name", nargs="+", help="registered, by a package or by pyconvx")
    given = parser.parse_args(arguments)
    failed = False
    for name in given.name:
        try:
            CHECKS[given.family](name)
        except (AssertionError, PluginError) as error:
            failed = True
            print(f"FAILED  {error}", file=sys.stderr)
        else:
            print(f"ok      {given.family} {name!r}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
