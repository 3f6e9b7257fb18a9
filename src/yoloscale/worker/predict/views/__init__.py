"""Views of the rows of a prediction, made by its ranks unit by unit; what is drawn comes from yolo/inference."""
