"""The environment variables that several modules name: those of yoloscale, and of others what more than one reads."""

from __future__ import annotations

CACHE = "YOLOSCALE_CACHE"  # where data and weights are kept, if `paths.cache` says nothing
MARK = "YOLOSCALE_JOB"  # on every process of an attempt, so that none can be overlooked at its end
ATTEMPT = "YOLOSCALE_ATTEMPT"  # which start of the run a process is part of, from 1
STOP_AT = "YOLOSCALE_STOP_AT"  # seconds since the epoch: the ranks save and stop
RUN_ID = "YOLOSCALE_RUN_ID"  # the id of the run that a process is started for
READ_UNTIL = "YOLOSCALE_AFTER"  # seconds since the epoch: the newest event that whoever started this process has read
CPU_SHARE = "YOLOSCALE_CPUS"  # how many CPUs a point of a sweep may use
FIRST_POINT = "YOLOSCALE_FIRST_POINT"  # ARRAY:INDEX, the point of the first task of that array
BENCH_FILE = "YOLOSCALE_BENCH_FILE"  # where a benchmark of `yolo` writes what it has measured, as JSON
BENCH_THREADS = "YOLOSCALE_BENCH_THREADS"  # of `yolo predict` tuned by hand

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ULTRALYTICS_RANK = ("RANK", "LOCAL_RANK", "WORLD_SIZE")  # Ultralytics takes a process that has them for a rank
TORCHRUN = (
    *ULTRALYTICS_RANK,
    *("LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
