"""Which way entanglement goes: paths, routers behind one interface, and who is admitted."""
