"""What every floor above the compiled loops needs.

types      names for the types that signatures repeat
fields     types of a dataclass's fields
numbers    checks of single numbers and flags
arrays     checks of whole arrays
threads    the one policy for threads
workspace  memory that every step uses again
build      how the compiled loops were built, and which level runs
"""
