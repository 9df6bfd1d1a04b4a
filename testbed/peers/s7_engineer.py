"""The engineering station: does to the S7 controller what an engineer does, each once. Usage: s7_engineer.py CONTROLLER"""
import datetime
import json
import logging
import sys

from snap7.client import Client
from snap7.type import Area, Block, Parameter

logging.disable(logging.CRITICAL)
client = Client()
client.set_param(Parameter.RecvTimeout, 30_000)
client.connect(sys.argv[1], 0, 2)
refused = 0
for deed in (
    lambda: client.db_read(1, 0, 16),
    lambda: client.db_write(1, 4, bytearray(b"\x00A")),
    lambda: client.write_area(Area.MK, 0, 4, bytearray(b"A")),
    lambda: client.mb_read(0, 8),
    client.get_cpu_info,
    client.get_order_code,
    client.get_cpu_state,
    client.get_protection,
    client.list_blocks,
    lambda: client.list_blocks_of_type(Block.DB, 10),
    lambda: client.get_block_info(Block.DB, 1),
    lambda: client.full_upload(Block.DB, 1),
    lambda: client.delete(Block.DB, 1),
    client.get_plc_datetime,
    lambda: client.set_plc_datetime(datetime.datetime(2026, 11, 25, 12, 34, 56)),
    lambda: client.set_session_password("secret"),
    client.clear_session_password,
    lambda: client.compress(1),
    lambda: client.copy_ram_to_rom(1),
    client.plc_stop,
    client.plc_hot_start,
    client.plc_cold_start,
):
    try:
        deed()
    except RuntimeError:
        # The server lets nobody upload a block.
        refused += 1
client.disconnect()
print(json.dumps({"refused": refused}))
