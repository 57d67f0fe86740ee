"""Compaction: one shard in the place of many, without the recordings that were replaced."""

from sandbox.archive import Shards
from sandbox.errors import BadInput
from sandbox.journal import Journal, recording_alone
from sandbox.store import Store
from sandbox.world import World


def compact(world: World) -> tuple[int, int]:
    """Put a world's recordings into one shard.

    Args:
        world: a world that keeps its recordings in shards.

    Returns:
        The bytes that the shards took before, and take now.

    Raises:
        BadInput: the world has no shards, or another process is recording into it.
        CorruptTape: a shard is damaged; nothing was changed.
    """
    archive = world.archive
    if not isinstance(archive, Shards):
        raise BadInput(f"{world.path} keeps its recordings as cassettes: there are no shards.")
    with recording_alone(world.path):
        journal = Journal(world.path)
        journal.mend()
        journal.file(archive, world.key)
        before = _size(archive)
        store = Store(world.path, world.catalogue, archive)
        archive.compact(store.all_lines())
        store.close()
        return before, _size(archive)


def _size(archive: Shards) -> int:
    return sum(file.stat().st_size for file in archive.files())
