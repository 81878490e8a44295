"""Figures and pages drawn from records: legible in print, in grey and to colour-blind eyes."""
