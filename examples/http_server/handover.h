// Hand-over: a new version of the program takes over the listener, and no connection is
// lost.
#ifndef HTTP_SERVER_HANDOVER_H
#define HTTP_SERVER_HANDOVER_H

// handover_ready tells the older server, or systemd, that this one accepts.
void handover_ready(void);

// handover_start starts the program file again, with the same arguments and the
// listener, and waits until the new process accepts. For tasks. Returns: 0: this server
// may stop, and systemd knows the new one's number; a negative error: the new one did not
// start or has ended, and this one continues.
int handover_start(int listener, char **argv);

#endif
