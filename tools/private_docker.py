"""A Docker of one's own: a daemon with its data, socket and process id below a temporary directory, or
the one that is there."""
import os
import shutil
import subprocess
import tempfile
import time

DEADLINE = 60


class DockerFailed(Exception):
    """A docker command failed."""


class Docker:
    """Context manager; `of_this_machine` takes the daemon that `docker` finds by itself."""

    def __init__(self, of_this_machine=False):
        self.home = tempfile.mkdtemp(prefix="audittrail-docker-")
        self.daemon = None
        self.environment = dict(os.environ)
        try:
            if not of_this_machine:
                self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        if os.geteuid() != 0:
            raise DockerFailed("a Docker daemon of one's own needs root; --docker this takes the one that is there")
        if not shutil.which("dockerd"):
            raise DockerFailed("there is no dockerd: apt-get install docker.io iptables")
        host = f"unix://{self.home}/docker.sock"
        self.environment["DOCKER_HOST"] = host
        # The settings of the daemon that may be on this machine are not this one's.
        settings = os.path.join(self.home, "daemon.json")
        with open(settings, "w", encoding="utf-8") as file:
            file.write("{}")
        with open(os.path.join(self.home, "log"), "wb") as log:
            self.daemon = subprocess.Popen(
                ["dockerd", "--config-file", settings, "--host", host,
                 "--data-root", os.path.join(self.home, "data"),
                 "--exec-root", os.path.join(self.home, "exec"),
                 "--pidfile", os.path.join(self.home, "pid")],
                stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + DEADLINE
        while subprocess.run(["docker", "version"], env=self.environment, check=False,
                             capture_output=True).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > end:
                with open(os.path.join(self.home, "log"), encoding="utf-8") as log:
                    raise DockerFailed("dockerd does not start:\n" + "".join(log.readlines()[-15:]))
            time.sleep(0.2)

    def run(self, *arguments, check=True, **more):
        """What `docker ARGUMENTS` printed."""
        ran = subprocess.run(["docker", *arguments], env=self.environment, check=False,
                             capture_output=True, text=True, **more)
        if check and ran.returncode != 0:
            raise DockerFailed(f"docker {' '.join(arguments)}: {ran.stdout}{ran.stderr}")
        return ran.stdout.strip()

    def stop(self):
        if self.daemon:
            # It ends its containers and its containerd.
            self.daemon.terminate()
            try:
                self.daemon.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
