"""Which classes and functions of a `.pt` file Ultralytics' safe loading knows.

Follows `_SafeLoad` of ultralytics.nn.tasks and `_get_allowed_globals` of torch._weights_only_unpickler; a test
compares.
"""

from __future__ import annotations

import re

# everything torch.load(weights_only=True) knows by itself
_TORCH = re.compile(
    r"torch\.(_utils\._rebuild_\w+|_tensor\._rebuild_from_type_v2|nn\.parameter\.Parameter|serialization\._get_layout"
    r"|Size|Tensor|device|\w+Tensor|\w+Storage|storage\.(Typed|Untyped)Storage|(cuda|sparse)(\.sparse)?\.\w+(Tensor|Storage)"
    r"|u?int\d+|uint1|float\w+|bfloat16|half|double|b?complex\w+|bool|long|short|u?qu?int\w+|bits\w+"
    r"|per_(tensor|channel)_\w+)"
)
# classes of networks and of what Ultralytics keeps beside them
_CLASSES = re.compile(
    r"(torch\.nn\.modules(\.\w+)?|ultralytics\.nn\.modules(\.\w+)?|ultralytics\.nn\.(tasks|distill_model)"
    r"|ultralytics\.utils\.(loss|tal))\.([A-Z]|v8|v10)\w*"
)
_TRANSFORMS = ("Compose", "Normalize", "Resize", "CenterCrop", "ToTensor")
_DATA = frozenset(
    {
        *("collections.OrderedDict", "collections.Counter", "_codecs.encode"),
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("bytearray", "set", "complex")),
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "ultralytics.utils.IterableSimpleNamespace",
        "ultralytics.yolo.utils.IterableSimpleNamespace",
        "builtins.getattr",
        "__builtin__.getattr",
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
        *(f"torchvision.transforms.transforms.{name}" for name in _TRANSFORMS),
        "torchvision.transforms.functional.InterpolationMode",
    }
)


def is_known(full_name: str) -> bool:
    """Whether safe loading reconstructs `module.name`; what it does not know needs unpickling of foreign code."""
    return full_name in _DATA or bool(_TORCH.fullmatch(full_name) or _CLASSES.fullmatch(full_name))
