"""What the tests of the servers share: an example that runs while a test talks to it."""
import contextlib
import signal
import subprocess


@contextlib.contextmanager
def serve(program, *args):
    """Runs the server, and requires that SIGTERM ends it with 0."""
    server = subprocess.Popen([program, "--listen", "127.0.0.1:0", *args], stdout=subprocess.PIPE, text=True)
    try:
        server.port = int(server.stdout.readline().rsplit(":", 1)[1])
        yield server
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, f"{program} ended with {server.returncode}"
    finally:
        server.kill()
