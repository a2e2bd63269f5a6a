"""Swarms in virtual time: the members that run in relays, under faults, and a judge of what they promised.

Enter through ``trial.py``: one seed, one history. What a member decides is in ``relay/store/replica``.
"""
