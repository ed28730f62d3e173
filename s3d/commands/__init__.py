"""Mutations: commands that the journal's writer decides, one after another, on current state."""
