"""Swarms that never lose what they acknowledged: what one member decides, without I/O.

Enter through ``member.py``: events go in, frozen steps come out, and two drivers carry them out, ``running.py`` beside
this room and the virtual one of the simulations. Judging requests is the work of ``onionpath/swarm``, keeping rows that
of the store.
"""
