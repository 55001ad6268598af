"""Which checkpoint is better, by one fixed measure: `automate-train judge DIR`, in a process of its own.

In the order in which a session uses them: `process` (started by the sweep), `session` (the loop), `pictures` (the
held-out ones), `planner` (what has no score), `device` (where it may run), `measurer` (the program that measures).
Beside it, pure: what follows from scores and votes.
"""
