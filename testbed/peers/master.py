"""The DNP3 master, address 1: an integrity poll every half second; prints what was answered as JSON.

Usage: master.py OUTSTATION SECONDS
"""
import asyncio
import json
import sys
import time

from dnp3.master import DefaultSOEHandler, Master, MasterConfig, MasterTcpRunner


async def poll(outstation, end):
    """Polls until `end` or until the line is lost; gives the number of polls answered."""
    master = Master(handler=DefaultSOEHandler(), config=MasterConfig(address=1, outstation_address=10))
    polls = 0
    try:
        async with MasterTcpRunner(master=master, host=outstation, port=20000) as runner:
            while time.monotonic() < end:
                await runner.integrity_poll()
                polls += 1
                await asyncio.sleep(0.5)
    except Exception:  # an outstation serves one master at a time: another one takes the line over
        await asyncio.sleep(0.5)
    return polls


async def main():
    end = time.monotonic() + float(sys.argv[2])
    polls = 0
    while time.monotonic() < end:
        polls += await poll(sys.argv[1], end)
    print(json.dumps({"integrity_polls": polls}))


asyncio.run(main())
