"""The report of `make mutants`: reads `mutmut results --all true`, prints the survivors and each module's share.

It fails if a module, or all of them together, has ten per cent or more; docs/evidence/mutants.md lists those that
change nothing.
"""

import sys
from collections import Counter

MOST = 0.1  # share of survivors
CAUGHT = {"killed", "timeout", "segfault", "caught by type check"}


def main() -> int:
    """Return the exit status."""
    mutants, survivors = Counter(), Counter()
    for line in sys.stdin:
        name, _, status = line.strip().rpartition(": ")
        module = name.rpartition(".")[0]
        if "__mutmut_" not in name or status == "not checked":
            continue
        for key in (module, "all"):
            mutants[key] += 1
            survivors[key] += status not in CAUGHT
        if status not in CAUGHT:
            print(f"{status}: {name}")
    for module, count in sorted(mutants.items()):
        print(f"{survivors[module] / count:6.1%}  {survivors[module]:4} of {count:4}  {module}")
    return int(not mutants or any(survivors[module] >= MOST * count for module, count in mutants.items()))


if __name__ == "__main__":
    sys.exit(main())
