"""The command line: serve the services, or write what is made from their declarations."""

import argparse
from pathlib import Path

import uvicorn

from . import application
from .documents import sample_calls, write_calls, write_documents


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m examples.upstream")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve every tool on one port")
    serve.add_argument("--port", type=int, default=8900)
    documents = commands.add_parser("documents", help="write one document per tool")
    documents.add_argument("--into", type=Path, required=True)
    calls = commands.add_parser("calls", help="write the sample calls as JSON Lines")
    calls.add_argument("--into", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.command == "serve":
        uvicorn.run(
            application(),
            host="127.0.0.1",
            port=chosen.port,
            log_level="warning",
            date_header=False,
            server_header=False,
        )
    elif chosen.command == "documents":
        print(f"{write_documents(chosen.into)} documents in {chosen.into}")
    else:
        print(f"{write_calls(chosen.into, sample_calls())} calls in {chosen.into}")


if __name__ == "__main__":
    main()
