"""Chains of repeaters with finite memories: links, swaps, losses, in compiled loops that can stop and go on.

``fields`` names what the arrays hold, ``draws`` and ``queues`` are the kernel's tools, ``kernel`` is the mechanism,
``orders`` says who swaps with whom, ``run`` is what others call.
"""
