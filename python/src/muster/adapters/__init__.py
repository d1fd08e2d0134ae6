"""Adapters between Muster's parameters and frameworks. Each imports its framework only when it is used."""
