"""What ranks of every kind do before and after their work: who takes part, requests to stop. No work of a kind."""
