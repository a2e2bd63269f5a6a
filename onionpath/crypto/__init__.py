"""The cryptography that the other rooms compose: hybrid seals, signatures, reply keys, tags, certificates.

Enter through the module named for what is needed (``hybrid``, ``identity``, ``reply_keys``, ``tags``,
``certificates``). Only this room imports PyNaCl and cryptography, and it knows no packet, link or directory.
"""
