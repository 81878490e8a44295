"""Which users a link takes, as a matrix for linear and integer programs."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array

from bellweave.network.scheduling import Link


def user_rows(names: Sequence[str], links: Mapping[str, Link]) -> csr_array:
    """Return a row for each user with ones at the links that it takes part in, one column a name (at least one)."""
    users = {user: row for row, user in enumerate(dict.fromkeys(user for name in names for user in links[name]))}
    rows, columns = zip(*((users[user], at) for at, name in enumerate(names) for user in links[name]), strict=True)
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(users), len(names)))
