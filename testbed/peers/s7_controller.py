"""The S7 controller: snap7's server with a data block and flags. Usage: s7_controller.py ADDRESS

Serves until it is asked to end (SIGTERM) and its clients have gone; then it prints its own log as JSON, each line with how
often it stands there, without times and addresses.
"""
import collections
import ctypes
import json
import re
import signal
import sys
import threading

from snap7.server import Server
from snap7.type import SrvArea

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
block, flags = (ctypes.c_uint8 * 256)(), (ctypes.c_uint8 * 64)()
server = Server(log=False)
server.register_area(SrvArea.DB, 1, block)
server.register_area(SrvArea.MK, 0, flags)
server.start(102)
log = collections.Counter()
clients = 0
while True:
    event = server.pick_event()
    if not event:
        if clients == 0 and ended.is_set():
            break
        ended.wait(0.02)
        continue
    text = str(server.event_text(event))
    said = re.search(r"\[\d+\.\d+\.\d+\.\d+\] (.*)", text)
    if said is None:
        continue
    if said[1].startswith("Client "):
        clients += {"added": 1, "disconnected": -1}[said[1].split()[1]]
        continue
    log[said[1].strip()] += 1
print(json.dumps(log))
