// What the monitor finds: the scheduler's answer to the reactor thread (the `monitor`
// hook), which decides when to look again.
#ifndef WF_BASE_MONITOR_H
#define WF_BASE_MONITOR_H

enum {
    WF_MONITOR_ASLEEP = 1,      // no worker is awake
    WF_MONITOR_STUCK = 2,       // one has computed, or was blocked, in the same task since the last look
    WF_MONITOR_PROGRESSING = 4, // one runs many short tasks: no need to look so often
    WF_MONITOR_AGAIN = 8,       // something is to be done when some time has passed, even if no worker wakes up
};

#endif
