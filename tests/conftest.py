"""How hard the fuzz tests try, and how many cases they ran.

    pytest                                    "ci": 1,000 cases and more, other ones at each run
    pytest --hypothesis-profile=nightly       50,000 and more; `make fuzz`

Cases are random in both, so that every run looks at new ones; a failure prints what replays it.
"""

import os

import fuzzing
from hypothesis import HealthCheck, settings

LEAST = 50_000  # cases of a nightly run
# A shared machine may be slow: no case fails for the time it takes, only for never ending (fuzzing.SECONDS).
COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("ci", max_examples=fuzzing.CI_CASES, **COMMON)
settings.register_profile("nightly", max_examples=fuzzing.NIGHTLY_CASES, **COMMON)
settings.load_profile("ci")


def pytest_configure(config):
    fuzzing.stderr = os.dup(2)  # not captured yet: a hanging case shows where it hangs


def _nightly(config):
    return config.getoption("--hypothesis-profile") == "nightly"


def pytest_sessionfinish(session):
    if _nightly(session.config) and fuzzing.cases.total() < LEAST:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    if not _nightly(config):
        return
    terminalreporter.section("fuzz cases")
    for name, count in sorted(fuzzing.cases.items()):
        terminalreporter.line(f"{count:>8,}  {name}")
    total = fuzzing.cases.total()
    terminalreporter.line(f"{total:>8,}  in all{'' if total >= LEAST else f': fewer than {LEAST:,}'}")
