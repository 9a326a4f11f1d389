"""A command as an engine would run it in the image, by mounts of its own: `unshare` and an overlay.

The root is this machine's, since its base image cannot be had, with what the second stage of the
Dockerfile adds; nothing of that reaches the machine, and it goes when the command ends.
"""

import os
import subprocess
from pathlib import Path

# Arguments: a folder to mount in, the step of the second stage, the environment that the first
# stage made, the model, the folder of the history, the user; then the command.
_SCRIPT = """
folder=$1 step=$2 environment=$3 model=$4 history=$5 user=$6
shift 6
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
cd "$folder"
mount -t overlay -o lowerdir=/,upperdir="$PWD/upper",workdir="$PWD/work" overlay root
cd root
mount --rbind /dev dev
mount --rbind /proc proc
chroot . sh -ec "$step"
# The interpreter that the environment links to may lie in a folder of root's.
chmod a+x root
mkdir -p models/production opt
ln -s "$environment" opt/fraud_ae
mount -t tmpfs -o mode=1777,noexec,nosuid,nodev tmpfs tmp
mkdir -p "./$environment"
for pair in "$environment:./$environment" "$model:models/production"; do
    mount --bind "${pair%%:*}" "${pair#*:}"
    mount -o remount,bind,ro "${pair#*:}"
done
mount --bind "$history" history
mount -o remount,bind,ro .
exec chroot . setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all \\
    env -u HOME PATH="/opt/fraud_ae/bin:$PATH" PYTHONUNBUFFERED=1 "$@"
"""
_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-ec")


def can_confine() -> bool:
    """Whether this machine lets us mount an overlay."""
    if os.geteuid() != 0:
        return False
    mounts = (
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
        "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r"
    )
    return subprocess.run([*_OWN_MOUNTS, mounts], capture_output=True).returncode == 0


def confined(
    folder: Path, *, step: str, environment: Path, model: Path, history: Path, user: int
) -> list[str]:
    """The command that a command of the image follows.

    folder: made, to mount in. step: the RUN step of the second stage. environment: the virtual
    environment, seen as /opt/fraud_ae. model: seen as /models/production. history: as /history.
    """
    folder.mkdir()
    given = (folder, step, environment, model, history, user)
    return [*_OWN_MOUNTS, _SCRIPT, "sh", *map(str, given)]
