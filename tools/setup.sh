#!/bin/sh
# `make setup` and `make lock`: gets uv, the package installer, and runs it. Needs Python 3.10 or newer ($PYTHON) alone.
#
#   tools/setup.sh          install requirements.lock and this project into .venv
#   tools/setup.sh dist     build the wheel into dist/
#   tools/setup.sh extra X  install the extra X of pyproject.toml (s3, cluster) beside them
#   tools/setup.sh lock     choose new versions for requirements.lock, within pyproject.toml's limits
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

fail() {
    echo "error: $*" >&2
    exit 2
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$PYTHON is $("$PYTHON" --version 2>/dev/null || echo missing), but Python 3.10 or newer is needed:" \
        "install one and name it, as in 'make PYTHON=python3.12 repro'."

# uv from the PATH, or in .tools from an earlier run, or else installed there: with Python's venv module, or without it
# (Debian packs it separately).
find_uv() {
    command -v uv && return
    for uv in .tools/bin/uv .tools/uv/bin/uv; do
        if [ -x "$uv" ]; then
            echo "$uv"
            return
        fi
    done
    echo "Getting uv, the package installer, into .tools" >&2
    log=$(mktemp)
    if { "$PYTHON" -m venv .tools && .tools/bin/python -m pip install --quiet uv; } >"$log" 2>&1; then
        echo .tools/bin/uv
    elif rm -rf .tools && "$PYTHON" -m pip install --quiet --target .tools/uv uv >>"$log" 2>&1; then
        echo .tools/uv/bin/uv
    else
        rm -rf .tools
        tail -n 3 "$log" >&2
        rm -f "$log"
        fail "uv cannot be installed with $PYTHON: check the network, or install Python's venv module" \
            "(Debian: apt install python3-venv) or uv itself, then run make again."
    fi
    rm -f "$log"
}
uv=$(find_uv)

if [ "${1:-}" = lock ]; then
    exec "$uv" pip compile --quiet pyproject.toml --extra dev --extra export --universal --python-version 3.10 --generate-hashes \
        --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock
fi

if [ "${1:-}" = dist ]; then
    # What `clmot init` lays down goes into the package, from where it is in the repository.
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    cp -r clmot pyproject.toml README.md LICENSE "$copy"
    mkdir "$copy/clmot/project"
    cp -r dvc.yaml stages profiles weights .dvcignore .gitignore .dvc/config .dvc/plots.html "$copy/clmot/project"
    mkdir "$copy/clmot/project/detections"
    cp detections/README.md "$copy/clmot/project/detections"
    find "$copy" -name __pycache__ -prune -exec rm -rf {} +
    "$uv" build --quiet --wheel --no-build-isolation --python .venv/bin/python -o dist "$copy"
    ls dist/*.whl
    exit
fi

if [ "${1:-}" = extra ]; then
    grep -q "^$2 = \[" pyproject.toml || fail "pyproject.toml has no extra '$2': make extra-s3 and make extra-cluster are there."
    exec "$uv" pip install --quiet --python .venv/bin/python --constraints requirements.lock --no-build-isolation -e ".[$2]"
fi

[ -x .venv/bin/python ] || "$uv" venv --quiet --no-python-downloads --python "$(command -v "$PYTHON")" .venv
echo "Installing the locked environment into .venv"
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Where Python may not write bytecode (PYTHONDONTWRITEBYTECODE, a read-only image), every stage and every dvc would compile
# torch again, which takes longer than to load it. What is compiled already is not again (uv's own option skips or repeats
# all), packages' own tests are not, and a file for another version of Python may fail.
echo "Compiling it"
.venv/bin/python -m compileall -q -j 0 -x 'site-packages/.*/tests?/' "$packages" clmot stages >/dev/null 2>&1 || true

# DVC starts `python` for a stage and `dvc` for a worker of its queue, by these names. This line, which the environment's
# Python runs at every start, lets them be found beside the program that asks, so that `.venv/bin/dvc ...` works in a
# shell where the environment is not activated.
cat >"$packages/siblings.pth" <<'LINE'
import os, sys; b = os.path.join(sys.prefix, "bin"); p = os.environ.get("PATH", os.defpath); os.environ["PATH"] = p if p.split(os.pathsep)[0] == b else b + os.pathsep + p
LINE
touch .venv/.installed
