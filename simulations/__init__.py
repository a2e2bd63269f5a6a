"""Experiments on the code that really runs: networks of real processes on this machine, in ``local``.

Enter by ``python -m simulations`` in a shell, or ``local.network.LocalNetwork`` in a program. Nothing here is
installed with the package.
"""
