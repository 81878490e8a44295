"""Hypothesis profiles: what CI finds, it finds every time; a developer's machine keeps looking elsewhere."""

import os

from hypothesis import settings

settings.register_profile("dev", deadline=None)  # the first example compiles numba code
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
