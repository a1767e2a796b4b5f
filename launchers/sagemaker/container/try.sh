#!/bin/sh
# Tries the image in real containers, with no registry and no account: sets an engine up, makes a base, builds the image,
# runs tests/launchers/sagemaker/in_containers.py, and takes everything down again.
#
#   launchers/sagemaker/container/try.sh             on Debian 12, as root, with docker.io and debootstrap installed
#   launchers/sagemaker/container/try.sh --install   installs these two first
#   BUILD_TRAIN=1 launchers/sagemaker/container/try.sh    builds the target train too, with torch and CUDA: gigabytes
#
# PYTHON is the Python that has the project installed (default: .venv/bin/python). Without BUILD_TRAIN what teaches comes
# from its packages, mounted beside those of the target serve. It takes some ten minutes, one and a half of which make the base.
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=$(readlink -f "$(dirname "${PYTHON:-.venv/bin/python}")")/$(basename "${PYTHON:-python}")
DOCKERFILE=launchers/sagemaker/container/Dockerfile

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
missing() { say "cannot try: $*" >&2; exit 3; }

[ "$(id -u)" = 0 ] || missing "an engine is started by root alone"
if [ "${1:-}" = --install ]; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker.io debootstrap
fi
for needed in dockerd docker debootstrap; do
    command -v "$needed" >/dev/null || missing "$needed is not installed (apt-get install docker.io debootstrap)"
done
[ -x "$PYTHON" ] || missing "no Python at $PYTHON"

WORK=$(mktemp -d)
export DOCKER_HOST="unix://$WORK/docker.sock" DOCKER_BUILDKIT=0
BRIDGES=$(ls /sys/class/net)

down() {
    status=$?
    trap - EXIT INT TERM
    say "taking everything down"
    docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1 || true
    if [ -s "$WORK/docker.pid" ]; then
        engine=$(cat "$WORK/docker.pid")
        kill "$engine" 2>/dev/null || true
        for _ in $(seq 300); do kill -0 "$engine" 2>/dev/null || break; sleep 0.1; done
    fi
    awk -v work="$WORK/" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r | while read -r at; do
        umount -l "$at" || true
    done
    for link in $(ls /sys/class/net); do  # the engine may make links of its own, and leaves them
        case "$link" in br-*|docker0) echo "$BRIDGES" | grep -qx "$link" || ip link delete "$link" || true ;; esac
    done
    rm -rf "$WORK"
    [ ! -e "$WORK" ] && say "nothing is left behind"
    exit "$status"
}
trap down EXIT
trap 'exit 130' INT TERM

say "starting an engine"
dockerd --storage-driver=overlay2 --iptables=false --bridge=none --data-root "$WORK/data" --exec-root "$WORK/exec" \
    -H "$DOCKER_HOST" --pidfile "$WORK/docker.pid" >"$WORK/dockerd.log" 2>&1 &
for _ in $(seq 100); do docker info >/dev/null 2>&1 && break; sleep 0.3; done
docker info >/dev/null 2>&1 || { tail -5 "$WORK/dockerd.log" >&2; missing "the engine does not start"; }
say "engine $(docker version --format '{{.Server.Version}}'), client $(docker version --format '{{.Client.Version}}')"

say "making a base: Debian 12 with its Python"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$WORK/base" >"$WORK/base.log" 2>&1 \
    || { tail -3 "$WORK/base.log" >&2; missing "no Debian mirror can be reached"; }
rm -rf "$WORK"/base/var/cache/apt/archives/*.deb "$WORK"/base/var/lib/apt/lists/*
# The package index may be known by a certificate that this network alone trusts.
cp /etc/ssl/certs/ca-certificates.crt "$WORK/base/etc/ssl/certs/ca-certificates.crt"
tar -C "$WORK/base" -c . | docker import --change "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt" - base:bookworm >/dev/null
rm -rf "$WORK/base"

build() {
    say "building the target $1"
    docker build --network host --build-arg BASE=base:bookworm -f "$DOCKERFILE" --target "$1" -t "earthsnap:$1" . >"$WORK/$1.log" 2>&1 \
        || { tail -5 "$WORK/$1.log" >&2; say "the target $1 cannot be built here" >&2; exit 1; }
    say "the target $1 has $(($(docker image inspect --format '{{.Size}}' "earthsnap:$1") / 1000000)) MB, $(docker image inspect --format '{{.Size}}' base:bookworm | awk '{ print int($1 / 1000000) }') of which are its base"
}
build serve
if [ -n "${BUILD_TRAIN:-}" ]; then
    build train
    export EARTHSNAP_TRAIN_IMAGE=earthsnap:train
else
    packages=$("$PYTHON" -c 'import torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])')
    printf 'FROM earthsnap:serve\nENV PYTHONPATH=/opt/earthsnap:/opt/packages\n' | docker build -q -t earthsnap:mounted - >/dev/null 2>&1
    export EARTHSNAP_TRAIN_IMAGE=earthsnap:mounted EARTHSNAP_ENGINE_OPTIONS="--volume=$packages:/opt/packages:ro"
    say "the target train is not built: torch comes from packages of this machine, mounted"
fi

say "trying it"
EARTHSNAP_SERVE_IMAGE=earthsnap:serve OMP_NUM_THREADS=1 \
    "$PYTHON" -m pytest -p no:cacheprovider --no-header -v --durations=0 --durations-min=1 tests/launchers/sagemaker/in_containers.py
