"""How two slaves agree on key: the cluster paper's four steps, with everything that can go wrong.

1. Alice asks Bob (:class:`~.messages.Ask`).
2. Bob judges whether they are of one cluster, or declines.
3. Same cluster: MDI-QKD in turns at the master, and Ekert91 from its pairs.
4. Else: memory units are reserved along a path of the backbone, pairs are swapped along it, then Ekert91.

Roles are generators (:mod:`bellweave.dialogue`); every message names whom it is for, so that one driver can carry it to
Bob, to a node of the path, or to the own node's quantum layer. No role knows a clock: it asks to be woken.
"""
