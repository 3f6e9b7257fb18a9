#!/usr/bin/env bash
# One would expect: with --nnodes=1:2, a second node that starts late joins, and all workers start again (torchrun's manual, "Elasticity").
# What happens in torch 2.14.1: both agents end with exit 1. The first keeps the address of its store from the first round
#   and does not publish it under the prefix of the second, where the late one waits for it until it times out.
# With TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on both nodes the second round comes about.
# Source: torch/distributed/elastic/rendezvous/dynamic_rendezvous.py, next_rendezvous: `if self._bootstrap_store_info is None or …`
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check "torch==2.14.1" numpy
venv/bin/python -c 'import sys, torch; print("python", sys.version.split()[0], "torch", torch.__version__)'

cat > worker.py <<'PY'
import os, pathlib, time
import torch.distributed as dist
dist.init_process_group("gloo")
world = dist.get_world_size()
pathlib.Path(os.environ["STARTED"], f"{dist.get_rank()}-of-{world}").touch()
end = time.monotonic() + (5 if world == 2 else 240)
while time.monotonic() < end:
    time.sleep(0.1)
PY

node() { # is_host
    timeout 300 venv/bin/python -m torch.distributed.run --nnodes=1:2 --nproc-per-node=1 --max-restarts=0 \
        --monitor-interval=0.2 --rdzv-backend=c10d --rdzv-endpoint="127.0.0.1:$port" --rdzv-id=late --local-addr=127.0.0.1 \
        --rdzv-conf="is_host=$1,last_call_timeout=2,read_timeout=20" worker.py
}

late_node() { # name: exit codes of both into $first and $late
    export STARTED="$folder/$1"
    mkdir "$STARTED"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    node 1 > "$1-first.log" 2>&1 &
    local pid=$!
    for _ in $(seq 600); do [ -e "$STARTED/0-of-1" ] && break; sleep 0.2; done
    [ -e "$STARTED/0-of-1" ] || { echo "the first node did not start"; cat "$1-first.log"; exit 2; }
    late=0; node 0 > "$1-late.log" 2>&1 || late=$?
    first=0; wait "$pid" || first=$?
    echo "$1: first node exit $first, late node exit $late, workers that joined: $(ls "$STARTED" | tr '\n' ' ')"
    { grep -h "^torch.distributed.DistStoreError" "$1-first.log" "$1-late.log" || true; } | sed 's/^/  /'
}

unset TORCH_DISABLE_SHARE_RDZV_TCP_STORE
late_node shared
[ "$first" = 1 ] && [ "$late" = 1 ] && [ ! -e shared/0-of-2 ] && grep -q MASTER_ADDR shared-late.log || { echo "changed: it does not end both any more"; exit 1; }
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
late_node unshared
[ "$first" = 0 ] && [ "$late" = 0 ] && [ -e unshared/1-of-2 ] || { echo "changed: the variable does not help any more"; exit 1; }
echo "as described"
