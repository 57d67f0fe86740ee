"""Models in GGUF files, run in process by llama.cpp: no server, no key, no GPU.

The modules that load llama.cpp are imported only when a model is opened, so that reading a name or
a grammar's schema needs no compiled library.
"""
