"""The operator panel: reads the S7 controller ten times a second; prints what was answered as JSON.

Usage: s7_panel.py CONTROLLER SECONDS
"""
import json
import sys
import time

from snap7.client import Client

controller, seconds = sys.argv[1], float(sys.argv[2])
client = Client()
client.connect(controller, 0, 2)
end = time.monotonic() + seconds
reads = 0
while time.monotonic() < end:
    client.db_read(1, 0, 16)
    reads += 1
    time.sleep(0.1)
client.disconnect()
print(json.dumps({"reads": reads}))
