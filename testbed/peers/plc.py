"""The PLC: a Modbus/TCP server with coils, inputs and registers. Usage: plc.py ADDRESS"""
import sys

from pymodbus.server import StartTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COILS = [SimData(0, count=64, values=False, datatype=DataType.BITS)]
INPUTS = [SimData(0, count=64, values=True, datatype=DataType.BITS)]
REGISTERS = [SimData(0, count=200, values=230, datatype=DataType.REGISTERS)]

StartTcpServer(SimDevice(id=1, simdata=(COILS, INPUTS, REGISTERS, REGISTERS)), address=(sys.argv[1], 502))
