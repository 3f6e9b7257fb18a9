"""Tables and pictures from run directories; of a run that goes on, `cli.show` tells."""
