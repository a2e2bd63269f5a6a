"""One replica's store: messages of accounts, kept through kills, power loss, full disks and damage.

Enter through ``disk`` (``DiskStore``: a writer thread, awaited by the relay) or ``inline`` (``InlineStore``: the same
without thread). Which change wins is decided in ``changes``; who stores what, and what is acknowledged, is left to
``replica``.
"""
