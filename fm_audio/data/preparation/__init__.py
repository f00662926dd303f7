"""Recordings and their transcripts: read, measured, checked, trimmed and written as cuts, with a report of what was left out."""
