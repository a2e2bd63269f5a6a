"""Layered packets: wrap a call for a path, peel one layer, seal and open the replies.

Enter through ``native`` (the format of our own relays); ``geometry`` has every size, ``replay`` the memory of what
was seen. This room knows no link, no peer and no directory.
"""
