"""The S7 controller: snap7's server with a data block and flags. Usage: s7_controller.py [CLIENTS]

Serves for ever; with CLIENTS, until so many clients have gone: then it prints its own log as JSON, each line with how often
it stands there, without times and addresses.
"""
import collections
import ctypes
import json
import re
import sys
import time

from snap7.server import Server
from snap7.type import SrvArea

clients = int(sys.argv[1]) if len(sys.argv) > 1 else None
block, flags = (ctypes.c_uint8 * 256)(), (ctypes.c_uint8 * 64)()
server = Server(log=False)
server.register_area(SrvArea.DB, 1, block)
server.register_area(SrvArea.MK, 0, flags)
server.start(102)
log = collections.Counter()
gone = 0
while clients is None or gone < clients:
    event = server.pick_event()
    if not event:
        time.sleep(0.02)
        continue
    text = str(server.event_text(event))
    said = re.search(r"\[\d+\.\d+\.\d+\.\d+\] (.*)", text)
    if said is None or said[1].startswith("Client added"):
        continue
    if said[1].startswith("Client disconnected"):
        gone += 1
        continue
    log[said[1].strip()] += 1
print(json.dumps(log))
