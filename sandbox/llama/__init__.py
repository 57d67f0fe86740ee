"""Models in GGUF files, run in process by llama.cpp: no server, no key, no GPU.

The modules that load llama.cpp are imported only when a model is opened, so that reading a name or
a grammar's schema needs no compiled library.
"""

import os

# OpenMP's threads wait for each other by spinning unless told otherwise before it is loaded. On
# cores that others use too, a spinning thread keeps away the one it waits for: with two threads on
# two busy cores, 1 token a second instead of 20 to 40.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
