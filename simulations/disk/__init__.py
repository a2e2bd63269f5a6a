"""Disks that lose what was not synced: SQLite writes to one, the power goes, and another shows what was left.

Enter through ``simulated``. What a store makes of it is left to ``relay/store``.
"""
