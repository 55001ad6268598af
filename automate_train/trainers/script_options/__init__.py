"""What a trainer's script accepts on its command line, read from its source: nothing of it is imported or started.

`reader` (entry: a script -> its options) - `parser_walk` (follows the code around an argparse parser) with
`add_argument` (one option) and `python_source` (modules, names, constants) - `argument` (an option, and whether a value
fits it) - `table` (the rows of `automate-train args`).
"""
