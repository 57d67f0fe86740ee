"""ToolEval: is an answer a pass, is it grounded, and how sure is the rate."""
