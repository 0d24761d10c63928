"""The fault simulation: every money flow of the platform, with every fault at every call, on a clock that is moved.

A *flow* is what somebody sets off, in *steps* as they are invoked: a client's request, a message, a step of a workflow,
a webhook. A *script* says what goes wrong: faults at calls of AWS or of a rail (by their position in the run), whether
each step is delivered twice, how long it takes until it is delivered again, and whether it ever is. After the steps the
platform settles what is open by its own means, and the books are read: what must hold is in `books.py` and `work.py`.

An *attempt* is one try of one call of AWS or of a rail, as the SDK counts it, made during a run; set-up and checks make
none. Everything follows from the seed: same seed, same trace.

    python -m tests.sim                              what `make sim` runs
    python -m tests.sim --flow approve --faults "7:timeout after commit" --duplicate --gap 700
"""
