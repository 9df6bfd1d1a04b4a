"""The HMI: polls the PLC ten times a second. Usage: hmi.py PLC SECONDS"""
import sys
import time

from pymodbus.client import ModbusTcpClient

plc, seconds = sys.argv[1], float(sys.argv[2])
client = ModbusTcpClient(plc, port=502)
end = time.monotonic() + seconds
polls = 0
while time.monotonic() < end:
    if not client.connected and not client.connect():
        time.sleep(0.2)
        continue
    client.read_holding_registers(0, count=20, device_id=1)
    client.read_coils(0, count=16, device_id=1)
    polls += 2
    time.sleep(0.1)
client.close()
print(f"hmi: {polls} polls")
