-- Keeps nothing: it hands every checked row on to the views below, so that a message is parsed once.
ENGINE = Null
