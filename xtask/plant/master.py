"""The DNP3 master, address 1: an integrity poll every half second. Usage: master.py OUTSTATION SECONDS"""
import asyncio
import sys
import time

from dnp3.master import DefaultSOEHandler, Master, MasterConfig, MasterTcpRunner


async def poll(outstation, end):
    """Polls until `end`; gives the number of polls answered."""
    master = Master(handler=DefaultSOEHandler(), config=MasterConfig(address=1, outstation_address=10))
    polls = 0
    try:
        async with MasterTcpRunner(master=master, host=outstation, port=20000) as runner:
            while time.monotonic() < end:
                await runner.integrity_poll()
                polls += 1
                await asyncio.sleep(0.5)
    except Exception as lost:  # an outstation serves one master at a time: another one takes the line over
        print(f"master: connection lost ({lost})")
        await asyncio.sleep(0.5)
    return polls


async def main():
    end = time.monotonic() + float(sys.argv[2])
    polls = 0
    while time.monotonic() < end:
        polls += await poll(sys.argv[1], end)
    print(f"master: {polls} integrity polls")


asyncio.run(main())
