"""A stored run in the forms that other programs read: one module a form, ``formats`` has them
by name. ``trnbench export`` is the command."""
