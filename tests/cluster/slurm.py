"""A real SLURM cluster on this machine, for tests: one slurmd per virtual node, on loopback, without systemd.

    python tests/cluster/slurm.py up [--nodes 4] [--no-accounting]
    python tests/cluster/slurm.py down

It needs root and Debian (or Ubuntu) and installs SLURM's packages itself. Nodes claim more CPUs, memory and GPUs than
the machine has: SLURM's bookkeeping is real, the hardware is pretended. Without accounting there is no slurmdbd, as on
many small clusters; with it there are MariaDB and slurmdbd, and an account that jobs must name.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from this_machine import (
    FREEZER,
    ClusterError,
    freezer,
    install,
    links,
    loopback,
    processes,
    read,
    run,
    succeeds,
    wait_for,
)

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server-core", "mariadb-client-core")
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # the nested srun of a job looks nowhere else
FOLDER = Path("/var/tmp/secateur-slurm")
PORT = 16817  # slurmctld's; slurmdbd has the next one, node k the one 100 + k above
ACCOUNT = "lab"


@dataclass
class Cluster:
    """A cluster; `with Cluster() as cluster:` brings it up and takes it down.

    Attributes:
        nodes: number of virtual nodes, n1, n2, …; all are in the partition `cpu`, the last one in `gpu`, too.
        cpus, memory: CPUs and MB that each node claims.
        gpus: pretended GPUs of the last node.
        accounting: whether there is slurmdbd.
        folder: of everything that the daemons write. It is removed when the cluster goes down.
    """

    nodes: int = 4
    cpus: int = 4
    memory: int = 64000
    gpus: int = 2
    accounting: bool = True
    folder: Path = FOLDER
    _mode: str = field(default="", init=False)

    def __enter__(self) -> "Cluster":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.down()

    # --- up and down

    def up(self) -> None:
        """Install what is missing, write the configuration and start every daemon. Raises ClusterError."""
        if os.getuid():
            raise ClusterError("the test cluster needs root: it installs packages and starts daemons")
        if self._alive("slurmctld"):
            raise ClusterError(f"a test cluster is up in {self.folder}: python tests/cluster/slurm.py down")
        if CONFIGURATION.exists() and not self._ours():
            raise ClusterError(f"{CONFIGURATION} exists and is not the test cluster's; it is left alone")
        install([*PACKAGES, *(ACCOUNTING_PACKAGES if self.accounting else ())])
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("log", "run", "state", "spool", "dev", "etc"):
            (self.folder / name).mkdir(parents=True)
        self._write_configuration()
        self._start_munge()
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for node in self.names:
            self.start_node(node)

    def down(self) -> None:
        """Cancel all jobs, stop every daemon by the process that it is, and remove what they left."""
        if self._alive("slurmctld"):
            with contextlib.suppress(ClusterError, subprocess.TimeoutExpired):
                self.cancel_all()
        daemons = ["slurmctld", *(f"slurmd-{name}" for name in self.names), "slurmdbd", "mariadbd", "munged"]
        for name in daemons:
            self._stop(name)
        for group in FREEZER.glob("slurm_n[0-9]*"):
            for path in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
        if self._ours():
            CONFIGURATION.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def names(self) -> list[str]:
        """The names of the nodes."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    # --- faults

    def stop_controller(self) -> None:
        """Take slurmctld away; jobs that run go on."""
        self._stop("slurmctld")

    def start_controller(self) -> None:
        """Start slurmctld, with the jobs that it knew."""
        run("slurmctld", "-f", str(self.folder / "etc" / "slurm.conf"))
        wait_for("slurmctld", lambda: succeeds("scontrol", "ping"))

    def start_node(self, name: str) -> None:
        """Start a node's slurmd and wait until the node can take jobs."""
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        run("slurmd", "-f", str(self.folder / "etc" / "slurm.conf"), "-N", name)
        wait_for(f"node {name}", lambda: self.state(name) in ("idle", "mixed", "allocated"))

    def lose_node(self, name: str) -> None:
        """A power cut: SIGKILL the node's slurmd, its step daemons, and every process of its jobs."""
        log = str(self.folder / "log" / f"slurmd-{name}.log")
        daemons, jobs = [], []
        for pid in processes():
            if read(pid, "comm").strip() in ("slurmd", "slurmstepd"):
                if log in (links(pid)):
                    daemons.append(pid)
            elif f"SLURMD_NODENAME={name}" in read(pid, "environ").split("\0"):
                jobs.append(pid)
        for pid in [*daemons, *jobs]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (self.folder / "run" / f"slurmd-{name}.pid").unlink(missing_ok=True)

    # --- what it is doing

    def state(self, node: str) -> str:
        """The state of a node, as sinfo has it."""
        return run("sinfo", "-h", "-N", "-n", node, "-o", "%T").split("\n")[0].strip("*")

    def jobs(self, *states: str) -> list[dict[str, str]]:
        """The jobs in some states (by default those that wait or run), each by the names below."""
        fields = {"id": "%i", "name": "%j", "state": "%T", "node": "%N", "comment": "%k", "tres": "%b", "memory": "%m"}
        fields |= {"limit": "%l", "partition": "%P", "account": "%a", "cpus": "%C"}
        chosen = ",".join(states or ("PENDING", "RUNNING", "COMPLETING"))
        lines = run("squeue", "-h", "-t", chosen, "-o", "|".join(fields.values())).splitlines()
        return [dict(zip(fields, line.split("|"), strict=True)) for line in lines]

    def cancel_all(self) -> None:
        """Cancel every job and wait until all are gone."""
        if ids := [job["id"] for job in self.jobs()]:
            run("scancel", *ids)
        wait_for("end of the jobs", lambda: not self.jobs())

    # --- the parts

    def _ours(self) -> bool:
        return CONFIGURATION.is_symlink() and Path(os.readlink(CONFIGURATION)).is_relative_to(self.folder)

    def _write_configuration(self) -> None:
        host = socket.gethostname().partition(".")[0]
        loopback(host)
        with contextlib.suppress(FileExistsError):
            CONFIGURATION.parent.mkdir(parents=True)
        etc, folder = self.folder / "etc", self.folder
        # How SLURM finds the processes of a job that it ends: by process group it loses those that leave the group.
        tracking = "cgroup" if freezer() else "pgid"
        if tracking == "cgroup":
            (etc / "cgroup.conf").write_text(
                "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\n"
            )
        nodes = []
        for number, name in enumerate(self.names, 1):
            gpus = f" Gres=gpu:pretended:{self.gpus}" if self.gpus and number == self.nodes else ""
            nodes.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + 100 + number} "
                f"CPUs={self.cpus} RealMemory={self.memory} State=UNKNOWN{gpus}"
            )
        partitions = [f"PartitionName=cpu Nodes={','.join(self.names)} Default=YES MaxTime=INFINITE State=UP"]
        if self.gpus:
            devices = []
            for number in range(self.gpus):
                device = folder / "dev" / f"gpu{number}"
                run("mknod", str(device), "c", "1", "3")  # slurmd wants a character device: another /dev/null
                devices.append(f"NodeName={self.names[-1]} Name=gpu Type=pretended File={device}\n")
            (etc / "gres.conf").write_text("".join(devices))
            partitions.append(f"PartitionName=gpu Nodes={self.names[-1]} Default=NO MaxTime=INFINITE State=UP")
        accounting = ["AccountingStorageType=accounting_storage/none"]
        if self.accounting:
            accounting = [
                "AccountingStorageType=accounting_storage/slurmdbd",
                "AccountingStorageHost=127.0.0.1",
                f"AccountingStoragePort={PORT + 1}",
                f"AccountingStoragePass={folder}/run/munge.socket",
                "AccountingStorageEnforce=associations",
                "AccountingStoreFlags=job_comment",
                "AccountingStorageTRES=gres/gpu",
            ]
        lines = [
            f"ClusterName={ACCOUNT}",
            f"SlurmctldHost={host}(127.0.0.1)",
            "SlurmUser=root",
            "SlurmdUser=root",
            "AuthType=auth/munge",
            f"AuthInfo=socket={folder}/run/munge.socket,cred_expire=30",
            "CredType=cred/munge",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
            f"SlurmctldPort={PORT}",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/spool/%n",
            f"SlurmctldPidFile={folder}/run/slurmctld.pid",
            f"SlurmdPidFile={folder}/run/slurmd-%n.pid",
            f"SlurmctldLogFile={folder}/log/slurmctld.log",
            f"SlurmdLogFile={folder}/log/slurmd-%n.log",
            f"ProctrackType=proctrack/{tracking}",
            "TaskPlugin=task/none",
            "MpiDefault=none",
            "SwitchType=switch/none",
            "MailProg=/bin/true",
            # Memory limits without memory cgroups: look every second, and kill what is over.
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            "JobAcctGatherParams=OverMemoryKill,UsePss",
            "SlurmdParameters=config_overrides",  # believe what the nodes claim
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SchedulerType=sched/backfill",
            # Quick reactions, where production has minutes.
            "SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1",
            "SlurmdTimeout=10",
            "SlurmctldTimeout=10",
            "KillWait=2",
            "OverTimeLimit=0",
            "ReturnToService=2",
            "JobRequeue=1",  # SLURM's default, as on most clusters
            "MinJobAge=300",  # SLURM's default, too
            "GresTypes=gpu",
            *accounting,
            *nodes,
            *partitions,
        ]
        (etc / "slurm.conf").write_text("\n".join(lines) + "\n")
        CONFIGURATION.unlink(missing_ok=True)
        CONFIGURATION.symlink_to(etc / "slurm.conf")

    def _start_munge(self) -> None:
        run_folder, key = self.folder / "run", self.folder / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._spawn(
            *("munged", "--foreground", f"--key-file={key}", f"--socket={run_folder}/munge.socket"),
            *(f"--pid-file={run_folder}/munged-own.pid", f"--log-file={self.folder}/log/munged.log"),
            f"--seed-file={run_folder}/munged.seed",
        )
        wait_for("munged", lambda: succeeds("munge", "-n", "-S", f"{run_folder}/munge.socket"))

    def _start_accounting(self) -> None:
        run_folder, data, log = self.folder / "run", self.folder / "mysql", self.folder / "log"
        # The path of a socket has at most 107 characters.
        database = run_folder / "mysql.sock"
        run(
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )
        self._spawn(
            *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={database}"),
            *("--skip-networking", f"--log-error={log}/mariadbd.log", "--innodb-buffer-pool-size=64M"),
            *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF"),
        )
        create = "CREATE DATABASE slurm_acct_db"
        wait_for("mariadbd", lambda: succeeds("mariadb", "--no-defaults", "-uroot", "-S", str(database), "-e", create))
        configuration = self.folder / "etc" / "slurmdbd.conf"
        configuration.write_text(
            "\n".join(
                [
                    "AuthType=auth/munge",
                    f"AuthInfo=socket={run_folder}/munge.socket",
                    "DbdHost=localhost",
                    "DbdAddr=127.0.0.1",
                    "CommunicationParameters=NoInAddrAny",
                    f"DbdPort={PORT + 1}",
                    "SlurmUser=root",
                    f"PidFile={run_folder}/slurmdbd.pid",
                    f"LogFile={log}/slurmdbd.log",
                    "StorageType=accounting_storage/mysql",
                    "StorageHost=localhost",
                    "StorageUser=root",
                    "StorageLoc=slurm_acct_db",
                    "CommitDelay=1",
                ]
            )
            + "\n"
        )
        configuration.chmod(0o600)
        # Its client library looks for the database where this variable says.
        run("slurmdbd", MYSQL_UNIX_PORT=str(database), SLURM_CONF=str(self.folder / "etc" / "slurm.conf"))
        wait_for("slurmdbd", lambda: succeeds("sacctmgr", "-n", "-P", "show", "cluster"))
        for words in (
            ["cluster", ACCOUNT],
            ["account", ACCOUNT, f"Cluster={ACCOUNT}", f"Description={ACCOUNT}", f"Organization={ACCOUNT}"],
            ["user", "root", f"Account={ACCOUNT}", f"Cluster={ACCOUNT}", f"DefaultAccount={ACCOUNT}"],
        ):
            run("sacctmgr", "-i", "-Q", "add", *words)

    def _pid_file(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.pid"

    def _spawn(self, *command: str) -> None:
        """Start a daemon that stays in the foreground."""
        name = command[0]
        log = open(self.folder / "log" / f"{name}.out", "ab")  # noqa: SIM115
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._pid_file(name).write_text(str(process.pid))

    def _alive(self, name: str) -> int | None:
        """The process of a daemon, if it runs and is really that program."""
        try:
            pid = int(self._pid_file(name).read_text())
        except (OSError, ValueError):
            return None
        lines = read(pid, "status").splitlines()
        words = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
        program = name.partition("-")[0]
        return pid if words.get("Name") == [program] and words.get("State", ["Z"])[0] != "Z" else None

    def _stop(self, name: str) -> None:
        """SIGTERM, after 15 s SIGKILL."""
        if pid := self._alive(name):
            os.kill(pid, signal.SIGTERM)
            try:
                wait_for(f"end of {name}", lambda: not self._alive(name), 15)
            except ClusterError:
                os.kill(pid, signal.SIGKILL)
                wait_for(f"end of {name}", lambda: not self._alive(name), 15)
        with contextlib.suppress(ChildProcessError, OSError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        self._pid_file(name).unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down"], help="bring it up, or take it down")
    parser.add_argument("--nodes", type=int, default=Cluster.nodes, help="virtual nodes (4)")
    parser.add_argument("--no-accounting", action="store_true", help="leave out slurmdbd")
    options = parser.parse_args()
    cluster = Cluster(nodes=options.nodes, accounting=not options.no_accounting)
    try:
        cluster.up() if options.action == "up" else cluster.down()
    except ClusterError as error:
        sys.exit(f"error: {error}")
    if options.action == "up":
        print(run("sinfo"), end="")


if __name__ == "__main__":
    main()
