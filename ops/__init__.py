"""The operator's commands, behind `./cdc`."""
