"""The gateway: a world over HTTP, in the protocols that agents speak already."""
