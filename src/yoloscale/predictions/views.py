"""Which views there are of a run's rows, and where they lie below the run directory."""

from __future__ import annotations

COCO, TXT, PICTURES, CROPS = "coco", "txt", "pictures", "crops"
VIEWS = (COCO, TXT, PICTURES, CROPS)

COCO_FILE, COCO_IMAGES_FILE = "coco.json", "coco-images.csv"
FOLDERS = {TXT: "labels", PICTURES: "pictures", CROPS: "crops"}
SUFFIXES = {TXT: ".txt", PICTURES: ".jpg", CROPS: ".jpg"}
WORK_FOLDER = "views.part"  # what the ranks have of views that are being made; gone in a finished run
