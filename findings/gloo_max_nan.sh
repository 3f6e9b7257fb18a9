#!/usr/bin/env bash
# One would expect: all_reduce with MAX or MIN over floats passes NaN on, as torch.maximum and torch.minimum do.
# What happens with gloo in torch 2.14.1: NaN is lost or kept by where it stands, and the result can be neither NaN nor the maximum.
#   SUM is right: NaN in, NaN out.
# Source: seen below; the pattern is that of C++ std::max(a, b) and std::min(a, b), pair by pair: a stays where the comparison with NaN is false
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check "torch==2.14.1" numpy
cat > reduce.py <<'PY'
import itertools, math, sys
import torch, torch.distributed as dist, torch.multiprocessing as mp
NAN, OPS = math.nan, {"MAX": dist.ReduceOp.MAX, "MIN": dist.ReduceOp.MIN, "SUM": dist.ReduceOp.SUM}

def rank(number, store, inputs, queue):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=len(inputs[0]))
    told = {}
    for index, (name, op) in itertools.product(range(len(inputs)), OPS.items()):
        tensor = torch.tensor([inputs[index][number]])
        dist.all_reduce(tensor, op=op)
        told[name, index] = tensor.item()
    queue.put((number, told))
    dist.barrier()
    dist.destroy_process_group()

if __name__ == "__main__":
    print("python", sys.version.split()[0], "torch", torch.__version__)
    inputs = sorted(set(itertools.permutations((1.0, NAN, 3.0))), key=str)
    queue = mp.get_context("spawn").Queue()
    context = mp.spawn(rank, args=(sys.argv[1], inputs, queue), nprocs=3, join=False)
    told = dict(queue.get(timeout=120) for _ in range(3))
    while not context.join():
        pass
    results = {name: [told[n][name, index] for index in range(len(inputs)) for n in range(3)] for name in OPS}
    for index, values in enumerate(inputs):
        print(values, {name: [told[n][name, index] for n in range(3)] for name in OPS})
    lost = {name: sum(not math.isnan(value) for value in found) for name, found in results.items()}
    # the right answer without NaN would be 3 and 1: which results are neither that nor NaN?
    wrong = {name: sum(not math.isnan(v) and v != best for v in results[name]) for name, best in (("MAX", 3.0), ("MIN", 1.0))}
    print("results without NaN:", lost, "neither NaN nor the extreme:", wrong)
    is_so = lost["SUM"] == 0 and lost["MAX"] and lost["MIN"] and (wrong["MAX"] or wrong["MIN"])
    print("as described" if is_so else "changed")
    sys.exit(0 if is_so else 1)
PY
GLOO_SOCKET_IFNAME=lo venv/bin/python reduce.py "$folder/store"
