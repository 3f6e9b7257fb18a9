#!/usr/bin/env bash
# One would expect: `augmentations=[…]`, which Ultralytics takes as a list of Albumentations transforms, is applied or refused.
# What happens with Ultralytics 8.4.190 and AlbumentationsX 2.5.1, the package that is maintained: a list of pixel transforms works, but as
#   soon as it holds one that moves pixels, all of the list is left out. BboxParams has no argument `format` any more, Ultralytics catches
#   what is raised, logs a line, and trains without any of them.
# Source: ultralytics/data/augment.py, class Albumentations; AlbumentationsX's BboxParams (coord_format); seen below
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export YOLO_CONFIG_DIR="$folder" NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check "torch==2.14.1" "torchvision==0.29.1" "ultralytics==8.4.190" \
    "albumentationsx==2.5.1"
cat > lists.py <<'PY'
import inspect, sys
from importlib.metadata import version

import albumentations as A
from ultralytics.data.augment import Albumentations

print("python", sys.version.split()[0], *(f"{name} {version(name)}" for name in ("ultralytics", "albumentationsx")))
lists = {"pixels": [A.Blur(p=1.0)], "moves": [A.HorizontalFlip(p=1.0)], "both": [A.Blur(p=1.0), A.HorizontalFlip(p=1.0)]}
found = {}
for name, transforms in lists.items():
    composed = Albumentations(p=1.0, transforms=transforms).transform
    found[name] = None if composed is None else len(composed.transforms)
    print(f"{name:7} {len(transforms)} given, composed: {found[name]}")
names = inspect.signature(A.BboxParams.__init__).parameters
print("BboxParams takes:", ", ".join(list(names)[1:4]))
sys.exit(found != {"pixels": 1, "moves": None, "both": None})
PY
venv/bin/python lists.py
