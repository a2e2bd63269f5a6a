"""What the last hop can be asked, and how a service looks to the relay that carries its calls.

Enter through ``calls`` (the types), ``registry`` (which services a relay offers) and one module per protocol
(``echo``, ``directory``, ``stream``). The wire forms live here because both ends need them; dialling does not.
"""
