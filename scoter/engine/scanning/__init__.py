"""How a scan is made: footers, bounds, pruning and the SQL that reads the files."""
