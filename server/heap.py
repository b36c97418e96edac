"""What C code has freed, given back to the system.

glibc keeps it, for each thread that ever asked in an arena of its own. Loading a model frees as
much as it keeps, in whichever thread it runs: unless told, the process holds several models'
worth of nothing.
"""

import ctypes
import sys


def give_back() -> None:
    """Return free pages to the system; takes a few ms, and the interpreter's lock is not held."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
