"""A real PostgreSQL of Debian's package, started for a test, as a user that is not root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server that listens on a Unix socket alone; gives the address of its database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: make database (Debian's package postgresql)")
    folder = Path(mkdtemp(prefix="toolreplay-pg-"))
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    options = "-c listen_addresses='' -c fsync=off -c shared_buffers=16MB"

    def run(name: str, *arguments: str) -> None:
        command = [str(programs[-1].with_name(name)), *arguments]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **who
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    data, log = str(folder / "data"), str(folder / "log")
    run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
    run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", f"{options} -k {folder}")
    try:
        yield f"postgresql:///postgres?host={folder}&user=tester"
    finally:
        run("pg_ctl", "stop", "-w", "-D", data, "-m", "immediate")
        shutil.rmtree(folder)
