"""An isolated environment: a separate network, so that the pages' ports are free, and folders whose changes are discarded."""

import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys

INSIDE = "MUSTER_CHECK_DOCS_INSIDE"
# The addresses that the pages use.
ADDRESSES = ["10.0.0.1", "10.0.1.1", "10.0.2.1"]
HOSTS = {"broker.example.org": "10.0.0.1"}
# Writes to these folders go to memory.
FOLDERS = ["/etc", "/var", "/srv"]


def enter():
    """Starts this program again in new namespaces."""
    if os.environ.get(INSIDE):
        return
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        sys.exit("scripts/check-docs: needs root, for a separate network and separate folders")
    os.execvpe("unshare", [*command, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


def furnish(folder, checkout):
    """Sets up the addresses, names and folders that the pages use, and makes the checkout read-only. Nothing outside changes."""
    with socket.socket() as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, 0x8913, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", flags | 1))
        for index, address in enumerate(ADDRESSES):
            request = struct.pack("16sHH4s8x", b"lo:%d" % (index + 1), socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, 0x8916, request)
    for options in ("bind", "remount,bind,ro"):
        subprocess.run(["mount", "-o", options, str(checkout), str(checkout)], check=True)
    scratch = pathlib.Path(folder) / "layers"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(scratch)], check=True)
    for path in FOLDERS:
        layers = scratch / path.strip("/").replace("/", "-")
        for name in ("upper", "work"):
            (layers / name).mkdir(parents=True)
        options = f"lowerdir={path},upperdir={layers}/upper,workdir={layers}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, path], check=True)
    with open("/etc/hosts", "a") as file:
        for name, address in HOSTS.items():
            file.write(f"{address} {name}\n")
    os.umask(0o022)


def leave(folder):
    """Unmounts the folders. Must be called before the folder is removed, because the machine's own folders would otherwise look empty."""
    for path in (*FOLDERS, str(pathlib.Path(folder) / "layers")):
        subprocess.run(["umount", "--lazy", path], check=True)
