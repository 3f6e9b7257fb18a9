"""Pictures of a sweep, drawn without a screen or a state that other drawings share. What they show is given."""
