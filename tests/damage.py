"""Damage as disks, power cuts and hands do it to a file."""

import random
from pathlib import Path

MUTATIONS = ("empty", "halved", "zeros", "digit", "bit", "longer", "garbage")


def mutated(path: Path, mutation: str, rng: random.Random) -> bytes:
    """Damage a file in place, and return what it holds now, which is another content than before.

    mutation: one of MUTATIONS. `zeros` is what a power cut leaves of a file whose name reached the
    disk before its blocks did.
    """
    before = path.read_bytes()
    after = before
    while after == before:
        after = _mutated(before, mutation, rng)
    path.write_bytes(after)
    return after


def _mutated(content: bytes, mutation: str, rng: random.Random) -> bytes:
    place = rng.randrange(max(len(content), 1))
    if mutation == "empty" and content:
        return b""
    if mutation == "halved" and len(content) > 1:
        return content[: rng.randrange(1, len(content))]
    if mutation == "zeros" and any(content):
        start = rng.choice((0, rng.randrange(len(content))))
        return content[:start] + bytes(len(content) - start)
    if mutation == "digit":
        digits = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
        if digits:
            at = rng.choice(digits)
            return content[:at] + str(rng.randrange(10)).encode() + content[at + 1 :]
    if mutation == "bit" and content:
        flipped = content[place] ^ (1 << rng.randrange(8))
        return content[:place] + bytes([flipped]) + content[place + 1 :]
    if mutation == "garbage" and content:
        return content[:place] + rng.randbytes(16) + content[place + 16 :]
    return content + rng.randbytes(rng.randrange(1, 64))
