"""A real local mail server of the few words that sending takes; it misbehaves as a test wants."""

import socket
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self


@dataclass
class Mailbox:
    """Listens on a loopback port. `says` answers a command by its first word otherwise than with 250."""

    says: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    people: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            with line, line.makefile("rwb", buffering=0) as talk:
                talk.write(b"220 ready\r\n")
                while command := talk.readline():
                    if not self._answer(talk, command.decode().strip()):
                        break

    def _answer(self, talk: "socket.SocketIO", command: str) -> bool:
        word = command.partition(" ")[0].upper()
        for begins, answer in self.says.items():
            if command.upper().startswith(begins.upper()):
                talk.write(f"{answer}\r\n".encode() if answer else b"")
                return bool(answer)
        if word == "RCPT":
            self.people.append(command)
        if word == "DATA":
            talk.write(b"354 go on\r\n")
            lines = iter(talk.readline, b".\r\n")
            self.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
        talk.write(b"221 bye\r\n" if word == "QUIT" else b"250 fine\r\n")
        return word != "QUIT"
