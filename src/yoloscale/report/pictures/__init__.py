"""Pictures of a sweep. Drawn without a screen, and without a state that other drawings share."""
