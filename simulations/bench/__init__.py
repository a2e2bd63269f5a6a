"""Measurements of the code that really runs, each beside a floor or a peer that was timed in the same run.

Enter through ``python -m simulations bench``. Figures are medians; CPU time is the kernel's own account of a process.
"""
