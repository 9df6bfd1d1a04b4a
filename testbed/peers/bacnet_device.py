"""The controller of a ventilation: a BACnet device with a set point. Usage: bacnet_device.py ADDRESS"""
import asyncio
import sys

from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogValueObjectCmd
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address


async def serve(address):
    device = DeviceObject(
        objectIdentifier=("device", 108),
        objectName="AHU-01",
        vendorIdentifier=999,
        vendorName="Acme",
        modelName="M-1",
        firmwareRevision="1.2",
        serialNumber="S-7",
    )
    application = NormalApplication(device, IPv4Address(address + "/24"))
    setpoint = AnalogValueObjectCmd(
        objectIdentifier=("analogValue", 1), objectName="Setpoint", presentValue=20.0, relinquishDefault=20.0, covIncrement=0.1
    )
    application.add_object(setpoint)
    await asyncio.Future()


asyncio.run(serve(sys.argv[1]))
