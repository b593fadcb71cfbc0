// The results of the `monitor` hook, by which the scheduler tells the reactor thread
// when to check the workers again.
#ifndef WF_BASE_MONITOR_H
#define WF_BASE_MONITOR_H

enum {
    WF_MONITOR_ASLEEP = 1,      // no worker is awake
    WF_MONITOR_STUCK = 2,       // a worker has been in the same task since the last look
    WF_MONITOR_PROGRESSING = 4, // a worker runs many short tasks: the next look may come later
    WF_MONITOR_LATER = 16,      // the same, when seconds have passed
    WF_MONITOR_AGAIN = 8,       // call again after some time, even if no worker wakes up
};

#endif
