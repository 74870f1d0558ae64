"""Do something in several threads at once."""

import threading
from collections.abc import Callable


def together(work: Callable[[int], None], *, threads: int = 4) -> None:
    """Call `work` with 0, 1, 2, ..., each in a thread, and wait for all."""
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
