"""An HTTP client that sends any bytes, and reads replies strictly."""
import email.utils
import re
import socket


class Client:
    """A connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self, head_only=False):
        """Returns: (status, headers, body)."""
        first = self.file.readline()
        if not first:
            raise EOFError
        status = int(re.fullmatch(rb"HTTP/1\.1 (\d{3}) [\w -]+\r\n", first).group(1))
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = re.fullmatch(rb"([\w-]+): (.*)\r\n", line).groups()
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        if status == 100:
            return self.reply(head_only)
        assert email.utils.parsedate_to_datetime(headers[b"date"].decode())
        if head_only or status == 304:
            return status, headers, b""
        if headers.get(b"transfer-encoding") == b"chunked":
            return status, headers, self.chunks()
        return status, headers, self.file.read(int(headers[b"content-length"]))

    def chunks(self):
        body = b""
        while (n := int(self.file.readline(), 16)) > 0:
            body += self.file.read(n)
            assert self.file.read(2) == b"\r\n"
        assert self.file.readline() == b"\r\n"
        return body

    def ended(self):
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True
