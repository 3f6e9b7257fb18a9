"""What training would find in a dataset, with its faults, before any rank starts. Changes no file of it."""
