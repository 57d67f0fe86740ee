"""toolreplay: ToolLLM on tape."""
