"""Photons: sources, paths, noise, analysers, detectors, time tags, coincidences, and what theory expects of them."""
