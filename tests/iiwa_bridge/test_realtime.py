"""What a process with deadlines asks of the kernel, and that it says what came of it."""

import re
import subprocess
import sys


def test_locked_memory_is_that_of_the_whole_process_or_the_refusal_is_said() -> None:
    script = "from iiwa_bridge.realtime import lock_memory; print(lock_memory(), open('/proc/self/status').read())"
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    locked = int(re.findall(r"VmLck:\s+(\d+) kB", said)[0])
    if said.startswith("memory lock: done"):
        assert locked > 0.5 * int(re.findall(r"VmRSS:\s+(\d+) kB", said)[0])
    else:
        assert re.match(r"memory lock: refused \(\w[\w ]+\)", said)
        assert locked == 0
