"""New voices from recordings: an adapter of a few megabytes for a voice that exists, or all of its weights."""
