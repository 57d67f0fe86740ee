"""Importers: published data and other people's recordings, brought into a world."""
