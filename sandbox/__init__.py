"""The API world: documents, recordings, model clients, and the one door to the network."""
