"""What a swarm stores for accounts: Session's requests read and judged, what a store is asked, and who stores.

Enter by ``planning`` (from a request's text to a plan), ``operations`` (what a store carries out) and ``nodes`` (relays
as Session's clients list them). Disks, clocks and other relays are left to ``relay/store``.
"""
