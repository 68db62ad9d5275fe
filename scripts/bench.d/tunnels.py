"""The tunnels that are compared: how each kind is configured, started and known to be ready."""

import contextlib
import re
import socket
import subprocess
from pathlib import Path

from services import SERVICES
from system import HOST, Failure, Process, free_ports, listens, wait_until

TOKEN = "bench"


class Direct:
    """No tunnel: visitors meet the services themselves."""

    kind = "direct"
    processes = ()

    def __init__(self, name, services):
        self.name, self.services = name, services

    def address(self, service):
        return self.services.place.home, self.services.ports[service]

    def start(self):
        pass

    def stop(self):
        pass


class Tunnel:
    """A server and a client of one program. `ports` are where visitors come, by service."""

    def __init__(self, name, path, services, kinds, keys):
        self.name, self.kind, self.path = name, kind_of(name), Path(path)
        self.services, self.kinds, self.keys = services, kinds, keys
        self.processes = []

    def address(self, service):
        """Where its visitors come."""
        return HOST, self.ports[service]

    def local(self, service):
        """Where the client finds it."""
        return f"{self.services.place.home}:{self.services.ports[service]}"

    def start(self):
        """Starts both and returns when a byte comes back through them."""
        control, http, iperf, echo = free_ports(4)
        public = {"http": http, "iperf": iperf, "iperf-udp": iperf, "echo": echo, "echo-udp": echo}
        self.ports = {service: public[service] for service in self.kinds}
        server, client = self.commands(control)
        try:
            process = self.run("server", server)
            wait_until(lambda: listens(control), f"the server of {self.name}", process)
            process = self.run("client", client)
            wait_until(self.is_up, f"the client of {self.name}", process)
        except Failure:
            self.stop()
            raise

    def run(self, role, command):
        """The client lives where its services do."""
        with self.services.place.inside() if role == "client" else contextlib.nullcontext():
            self.processes.append(Process(command, self.services.work / f"{self.name}-{role}.log"))
        return self.processes[-1]

    def is_up(self):
        return all(listens(self.ports[name], kind) for name, kind in self.kinds.items()) and self.echoes("echo")

    def echoes(self, service):
        try:
            with socket.create_connection(self.address(service), 1) as visitor:
                visitor.sendall(b"x")
                return visitor.recv(1) == b"x"
        except OSError:
            return False

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []

    def commands(self, control):
        """The command lines of server and client, with configurations written for them."""
        server, client = (frp if self.kind == "frp" else toml)(self, control)
        return self.command("server", "server", server), self.command("client", "client", client)

    def command(self, role, stem, text):
        # A folder for each: all others would notice what is written into one that they share.
        folder = self.services.work / f"{self.name}-{stem}"
        folder.mkdir(exist_ok=True)
        path = folder / "config.toml"
        path.write_text(text)
        if self.kind == "frp":
            return [self.path / {"server": "frps", "client": "frpc"}[role], "-c", path]
        return [self.path, f"--{role}", path]


def kind_of(name):
    return name.split("-")[0]


def toml(tunnel, control):
    """The configurations of rathole and of pinhole, which are the same."""
    return toml_server(tunnel, control), toml_client(tunnel, control, tunnel.kinds)


def toml_server(tunnel, control):
    text = f'[server]\nbind_addr = "{tunnel.services.place.world}:{control}"\ndefault_token = "{TOKEN}"\n'
    if tunnel.keys:
        key = f'local_private_key = "{tunnel.keys[0]}"'
        text += f'[server.transport]\ntype = "noise"\n[server.transport.noise]\n{key}\n'
    for name, kind in tunnel.kinds.items():
        text += f'[server.services.{name}]\ntype = "{kind}"\nbind_addr = "{HOST}:{tunnel.ports[name]}"\n'
    return text


def toml_client(tunnel, control, names):
    text = f'[client]\nremote_addr = "{tunnel.services.place.world}:{control}"\ndefault_token = "{TOKEN}"\n'
    if tunnel.keys:
        key = f'remote_public_key = "{tunnel.keys[1]}"'
        text += f'[client.transport]\ntype = "noise"\n[client.transport.noise]\n{key}\n'
    for name in names:
        text += f'[client.services.{name}]\ntype = "{tunnel.kinds[name]}"\nlocal_addr = "{tunnel.local(name)}"\n'
    return text


def frp(tunnel, control):
    """The configurations of frp, which encrypts streams alone."""
    common = f'auth.token = "{TOKEN}"\nlog.level = "warn"\n'
    place = tunnel.services.place
    server = f'bindAddr = "{place.world}"\nproxyBindAddr = "{HOST}"\nbindPort = {control}\n{common}'
    client = f'serverAddr = "{place.world}"\nserverPort = {control}\n{common}'
    for name, kind in tunnel.kinds.items():
        local, public = tunnel.services.ports[name], tunnel.ports[name]
        client += f'[[proxies]]\nname = "{name}"\ntype = "{kind}"\n'
        client += f'localIP = "{place.home}"\nlocalPort = {local}\nremotePort = {public}\n'
        if tunnel.keys and kind == "tcp":
            client += "transport.useEncryption = true\n"
    return server, client


def ask(path, option):
    """What a program says about itself; nothing if it does not know the option."""
    try:
        return subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"{path} {option}: {error}") from error


def version(name, path):
    """The version of a column's program."""
    if kind_of(name) == "direct":
        return "(no tunnel)"
    said = ask(Path(path) / "frps" if kind_of(name) == "frp" else path, "--version")
    found = re.search(r"\b\d+\.\d+\.\d+\b", said)
    return found[0] if found else "of unknown version"


def service_kinds(path):
    """The services that a build of pinhole can carry."""
    said = re.search(r"^service types: (.*)$", ask(path, "--version"), re.MULTILINE)
    able = said[1].split(", ") if said else list(SERVICES.values())
    return {name: kind for name, kind in SERVICES.items() if kind in able}


def noise_keys(path):
    """A private key and its public one."""
    found = re.findall(r"^[A-Za-z0-9+/]{43}=$", ask(path, "--genkey"), re.MULTILINE)
    if len(found) != 2:
        raise Failure(f"{path} --genkey prints no pair of keys: build it with the feature `noise`")
    return found
