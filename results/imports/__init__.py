"""Other programs' results as records: one module a program, ``formats`` has them by name.
``trnbench import`` is the command.

What is imported is ``published``: what somebody says was measured. ``measured`` is what our own
workers measured and stored, with their warm-up, their processes and the machine's identity; no
other program's file has these, and a file that says so is only a file. ``simulated`` stays
``simulated``.

A file is data from strangers: nothing in it is run, unpickled, or opened as a path; its size is
bounded, figures are finite, and control characters are taken out of texts.
"""
