"""What every floor above the compiled loops needs.

types      names for the types that signatures repeat
fields     types of a dataclass's fields
numbers    checks of single numbers and flags
arrays     checks of whole arrays
rows       2-D X, read as rows of numbers or as pixels
containers data frames from transformers
caller     warnings that point at the user's line
threads    the one policy for threads
workspace  memory that every step uses again
build      how the compiled loops were built, and which level runs
"""
