"""The cluster paper's six figures: theory, simulation, and whether what the captions claim holds.

The paper prints almost no parameters of its figures and no value at all, so nothing is compared number by number: axes
and curves are of our choice where :data:`Panel.chosen <bellweave.results.panels.Panel>` says so, and the
captions' claims are the test (:mod:`bellweave.studies.cluster.claims`).
"""
