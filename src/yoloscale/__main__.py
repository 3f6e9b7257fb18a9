"""`python -m yoloscale` is `yoloscale`."""

from __future__ import annotations

import sys

from yoloscale.cli.main import main

sys.exit(main())
