#!/usr/bin/env bash
# Hashes for a lock file of bare pins: of every file that PyPI has of each version. Of torch for Linux,
# PyPI has builds with gigabytes for GPUs alone, and pip prefers a file whose hash it knows to any other:
# there the hashes are of the builds of PyTorch's own index, and of the one that pip finds on this machine.
# Usage: dependencies/hashes.sh LOCK, with pip and uv in $BIN (.venv/bin). It downloads no package but torch.
set -euo pipefail
lock=$1
bin=${BIN:-.venv/bin}
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

compile() {
    "$bin/uv" pip compile --quiet --universal --no-deps --generate-hashes --no-header --no-annotate \
        --python-version "$("$bin/python" -c 'import platform; print(platform.python_version())')" "$@"
}

compile "$lock" -o "$work/lock"
if ! torch=$(grep -oE '^torch==[^ ]+' "$lock"); then
    cp "$work/lock" "$lock"
    exit
fi
echo "$torch" >"$work/torch.in"
compile "$work/torch.in" -o "$work/pylock.toml"
"$bin/python" - "$work/pylock.toml" >"$work/torch" <<'PYTHON'
import sys, tomllib

(torch,) = tomllib.load(open(sys.argv[1], "rb"))["packages"]
print(*(w["hashes"]["sha256"] for w in torch["wheels"] if "linux" not in w["url"]), sep="\n")
PYTHON
if ! compile --index "$index" -o "$work/index" "$work/torch.in" 2>"$work/error"; then
    echo "Of the builds of $torch for Linux, only this machine's gets a hash: $index gave no answer"
    touch "$work/index"
fi
"$bin/python" -m pip download --quiet --retries 0 --no-deps --extra-index-url "$index" --dest "$work/wheels" "$torch"
"$bin/python" -m pip hash "$work"/wheels/*.whl >>"$work/index"
hashes=$(grep -ohE '[0-9a-f]{64}' "$work/torch" "$work/index" | sort -u | sed 's/.*/    --hash=sha256:& \\/; $ s/ \\$//')
# The block of torch, with these hashes in place of its own.
awk -v hashes="$hashes" '/^[^ ]/ { on = /^torch==/; print; if (on) print hashes; next } !on' "$work/lock" >"$work/whole"
cp "$work/whole" "$lock"
