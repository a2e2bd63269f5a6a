"""What an adversary gains: the rules that clients really follow, over generated networks, held against theory.

Enter by ``python -m simulations adversary``, or ``experiments``. Packets and links are no part of this room: here only
relays are chosen, kept, blamed and left.
"""
