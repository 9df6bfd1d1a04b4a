"""The outstation: DNP3 over TCP, address 10. Usage: outstation.py ADDRESS"""
import asyncio
import sys

from dnp3.database import AnalogInputConfig, BinaryInputConfig, Database
from dnp3.outstation import DefaultCommandHandler, Outstation, OutstationConfig, OutstationTcpRunner


class Feeder(DefaultCommandHandler):
    """Answers a restart as a real outstation does: with the time it will take."""

    def cold_restart(self) -> int:
        return 5000


async def main():
    database = Database()
    for index in range(8):
        database.add_binary_input(index, BinaryInputConfig())
        database.add_analog_input(index, AnalogInputConfig())
        database.update_binary_input(index, value=index % 2 == 0)
        database.update_analog_input(index, value=230 + index)
    outstation = Outstation(database=database, handler=Feeder(), config=OutstationConfig(address=10))
    await OutstationTcpRunner(outstation=outstation, host=sys.argv[1], port=20000).run()


asyncio.run(main())
