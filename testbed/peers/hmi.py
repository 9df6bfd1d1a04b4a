"""The HMI: polls the PLC ten times a second; prints what was answered as JSON. Usage: hmi.py PLC SECONDS"""
import json
import sys
import time

from pymodbus.client import ModbusTcpClient

plc, seconds = sys.argv[1], float(sys.argv[2])
client = ModbusTcpClient(plc, port=502)
if not client.connect():
    sys.exit("the PLC does not answer")
end = time.monotonic() + seconds
answered = {"read_holding_registers": 0, "read_coils": 0}
while time.monotonic() < end:
    for read, count in (("read_holding_registers", 20), ("read_coils", 16)):
        if getattr(client, read)(0, count=count, device_id=1).isError():
            sys.exit(f"{read} failed")
        answered[read] += 1
    time.sleep(0.1)
client.close()
print(json.dumps(answered))
