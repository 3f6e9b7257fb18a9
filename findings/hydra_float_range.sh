#!/usr/bin/env bash
# One would expect: a sweep over range(start, stop, step) leaves `stop` out, as Hydra's page on the extended override syntax says of it.
# What happens with Hydra 1.3.8 and fractions: the ends are made Decimals with all digits of their binary values, and the sums are rounded
#   to 28 of them. Whether a sum is below `stop` is decided there, and the sweep has a job more or not: range(0.1,0.4,0.1) trains 0.4,
#   range(0.1,0.7,0.1) does not train 0.7, range(0.2,1.1,0.3) trains 1.0999999999999999. Names of folders carry 0.30000000000000004 likewise.
# Source: hydra/core/override_parser/types.py, FloatRange; seen below by counting the jobs of --multirun
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check "hydra-core==1.3.8" "omegaconf==2.3.1"
cat > app.py <<'PY'
import hydra

@hydra.main(version_base=None, config_path=None)
def main(config):
    print("job", repr(config.lr))

main()
PY
venv/bin/python -c 'import hydra, sys; print("python", sys.version.split()[0], "hydra", hydra.__version__)'
wrong=0
check() {
    local found
    found=$(venv/bin/python app.py --multirun hydra.sweep.dir=out "+lr=$1" | sed -n 's/^job //p' | paste -sd ' ')
    printf '%-22s %s\n' "$1" "$found"
    [ "$found" = "$2" ] || wrong=1
}
check "range(0.1,0.4,0.1)" "0.1 0.2 0.30000000000000004 0.4"
check "range(0.1,0.7,0.1)" "0.1 0.2 0.30000000000000004 0.4 0.5 0.6"
check "range(0.1,0.8,0.1)" "0.1 0.2 0.30000000000000004 0.4 0.5 0.6 0.7000000000000001 0.8"
check "range(0.2,1.1,0.3)" "0.2 0.5 0.7999999999999999 1.0999999999999999"
[ "$wrong" = 0 ] || { echo "not what was seen before"; exit 1; }
