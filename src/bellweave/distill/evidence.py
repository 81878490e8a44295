"""What a test of other rounds of the same block showed, and the key length that follows from it.

A protocol that tests more than two bases has a stage before the session: it opens the rounds that test and leaves those
that become key. What it found goes into the session, which then takes the key's length, the proof and its assumptions
from there. Both ends hold the same evidence, or the session refuses to start.
"""

from bellweave.distill.chsh import ChshTest
from bellweave.distill.decoys import DecoyTest

Evidence = ChshTest | DecoyTest
