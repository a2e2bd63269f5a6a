"""What a process that holds keys does first: no core dumps, no debugger, no files for others."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def harden_process() -> list[str]:
    """Apply all of it; gives back what could not be done, as sentences for the operator.

    A core dump or another process of the same user that attaches to us would see every key.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings = []
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            warnings.append("the kernel refused to keep other processes of this user out of our memory")
    else:
        warnings.append("only Linux keeps other processes of this user out of our memory")
    if os.geteuid() == 0:
        warnings.append("running as root: a relay needs no right of root, give it a user of its own")
    return warnings
