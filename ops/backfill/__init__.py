"""The load of a table's existing rows, beside the stream of its changes: docs/decisions/0009."""
