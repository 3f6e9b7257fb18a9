"""The names that job scripts of earlier versions, and templates that sites have made of them, start on the nodes."""
