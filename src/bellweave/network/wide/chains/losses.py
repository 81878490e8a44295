"""Pairs that are given up: at a deadline, or with a node that is lost. Rare, so compiled by themselves."""

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import called
from bellweave.network.wide.chains.steps import drop, last_node


@called
def lose(s: f.State, node: int) -> None:
    """Drop all pairs with a qubit at ``node``."""
    for row in range(s.pairs.shape[0]):
        if s.pairs[row, f.LABEL] >= 0 and (s.pairs[row, f.END] == node or s.pairs[row, f.END + 1] == node):
            drop(s, row, f.DROPPED)


@called
def expire(s: f.State, time: int) -> None:
    """Give up all pairs whose deadline is now.

    Where spans are built by themselves, a cutoff gives up whatever there is of the span that it should have been joined
    to, and both begin anew.
    """
    while s.counters[f.DUES] > 0 and s.pairs[s.dues[0], f.DUE] <= time:
        row = s.dues[0]
        left, right = s.pairs[row, f.END], s.pairs[row, f.END + 1]
        patience = min(s.nodes[left, f.CUTOFF], s.nodes[right, f.CUTOFF])
        cut = s.pairs[row, f.MADE] + patience <= time
        start, end = left, right
        if cut and s.switches[f.EXCLUSIVE]:
            if right < last_node(s) and s.nodes[right, f.SPAN + 1] == left:
                end = s.nodes[right, f.SPAN]
            elif left > 0:
                start = s.nodes[left, f.SPAN + 1]
        for each in range(s.pairs.shape[0] if end - start > right - left else 1):
            found = each if end - start > right - left else row
            inside = s.pairs[found, f.END] >= start and s.pairs[found, f.END + 1] <= end
            if s.pairs[found, f.LABEL] >= 0 and inside:
                drop(s, found, f.CUT if cut else f.EXPIRED)
