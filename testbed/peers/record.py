"""Records what an interface receives into a pcap file. Usage: record.py INTERFACE FILE SECONDS"""
import socket
import struct
import sys
import time

EVERY_PROTOCOL = 3
interface, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
end = time.monotonic() + seconds
frames = 0
with open(path, "wb") as out, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL)) as tap:
    tap.bind((interface, 0))
    tap.settimeout(0.2)
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    while time.monotonic() < end:
        try:
            frame = tap.recv(65536)
        except TimeoutError:
            continue
        now = time.time_ns() // 1000
        out.write(struct.pack("<IIII", now // 1000000, now % 1000000, len(frame), len(frame)) + frame)
        frames += 1
print(f'{{"frames": {frames}}}')
