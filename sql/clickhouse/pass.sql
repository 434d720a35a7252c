-- Keeps nothing: it hands every block on to the views that read from it.
ENGINE = Null
